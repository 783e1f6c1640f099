"""Nested lists that came cut are read on, and are as if they had come whole."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.line import Line

LONG = "INGEST_LONG" in os.environ
BY_URL = {
    "has_more": "lines.has_more",
    "url": "lines.url",
    "params": {"limit": 2},
    "records": "data",
    "paginator": {"type": "last_record", "param": "after", "field": "id", "has_more": "has_more"},
}
BY_PATH = {**BY_URL, "url": None, "path": "/things/{id}/lines"}
BY_PAGE = {**BY_PATH, "paginator": {"type": "page", "total": "total"}}
BY_TOTAL = {**BY_PATH, "has_more": None, "total": "lines.total_count"}
KINDS = {"url": BY_URL, "path": BY_PATH, "page": BY_PAGE, "total": BY_TOTAL}


class Invoices:
    """Records with a list of lines each, of which `inside` come with the record, and two a page by themselves."""

    def __init__(self, answer, counts, inside, size=2):
        self.answer, self.counts, self.inside, self.size = answer, counts, inside, size
        self.down, self.asked = set(), 0

    def lines(self, record):
        return [
            {"id": f"{record}-{n}", "n": n, "taxes": [{"rate": n}, {}][: n % 3]} for n in range(self.counts[record])
        ]

    def record(self, number):
        lines = self.lines(number)
        url, more = f"/things/{number}/lines", len(lines) > self.inside
        told = {"data": lines[: self.inside], "has_more": more, "url": url, "total_count": len(lines)}
        return {"id": number, "lines": told, "memo": 'é "'}

    def __call__(self, query):
        self.asked += 1
        if self.asked in self.down:
            return self.answer({}, status=503, headers={"Retry-After": "0"})
        if "/" in query:
            return self._page(self.lines(int(query["/"].split("/")[0])), query)
        first = int(query.get("cursor", 0))
        found = [self.record(n) for n in range(len(self.counts))[first : first + self.size]]
        more = first + self.size < len(self.counts)
        return self.answer({"data": found, "next": str(first + self.size) if more else None})

    def _page(self, lines, query):
        begin = 2 * int(query["page"]) - 2 if "page" in query else 0
        if "after" in query:
            begin = [line["id"] for line in lines].index(query["after"]) + 1
        body = {"data": lines[begin : begin + 2], "has_more": begin + 2 < len(lines), "total": len(lines)}
        return self.answer(body)


def endpoint(kind, **more):
    return {"cut_lists": {"lines.data": {k: v for k, v in KINDS[kind].items() if v is not None}}, **more}


def loaded(lab, told):
    """All that the tables hold after a fetch and a load, without lineage and ids; and the account."""
    line = Line(lab.source(told), lab.folder, now=lambda: lab.now)
    fetched(line)
    (done,) = line.load("things", None)
    return tables(line), done.account


def fetched(line):
    for _ in range(6):
        try:
            return line.fetch("things", None)
        except TransientFailure:
            continue
    raise AssertionError("the API was down too often")


def tables(line):
    with line.warehouse.session("looking") as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'shop' ORDER BY table_name"
        ).fetchall()
        found = {}
        for (name,) in names:
            result = connection.execute(f"SELECT * FROM w.shop.{name}")  # noqa: S608 -- ours
            columns = [column[0] for column in result.description]
            rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
            own = [{k: v for k, v in row.items() if k == "_position" or not k.startswith("_")} for row in rows]
            own = [{k: v for k, v in row.items() if k != "lines__has_more"} for row in own]
            if name == "things":
                own = [{k: v for k, v in row.items() if k != "_position"} for row in own]
            found[name] = sorted(own, key=lambda row: json.dumps(row, sort_keys=True, default=str))
        return found


@pytest.fixture(autouse=True)
def _limits(monkeypatch, tmp_path):
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_cut_list_is_read_from_its_start_and_arrives_as_if_it_had_been_inside(
    lab, lab_of, api, answer, tmp_path, kind
):
    api.answer = Invoices(answer, [0, 5, 2, 7], inside=2)
    cut, account = loaded(lab, endpoint(kind))
    api.answer = Invoices(answer, [0, 5, 2, 7], inside=99)
    whole, _ = loaded(lab_of(api, tmp_path / "whole"), endpoint(kind))

    assert cut == whole
    assert len(cut["things__lines__data"]) == 14
    assert (account.received, account.inserted, account.adds_up) == (4, 4, True)


def test_only_lists_that_are_cut_are_asked_for(lab, api, answer):
    api.answer = Invoices(answer, [0, 5, 2], inside=2)

    lab.fetch(lab.walk(endpoint("url")))

    assert [asked.get("/") for asked in api.asked] == [None, None, "1/lines", "1/lines", "1/lines"]
    assert api.asked[2]["limit"] == "2"


def test_a_second_run_with_the_same_lists_changes_nothing(lab, api, answer):
    api.answer = Invoices(answer, [5, 3], inside=1)
    loaded(lab, endpoint("url"))

    _, account = loaded(lab, endpoint("url"))

    assert (account.unchanged, account.inserted, account.updated, account.child_rows) == (2, 0, 0, 0)


def test_a_replay_asks_nothing_and_gives_the_same_tables(lab, api, answer):
    api.answer = Invoices(answer, [5, 3], inside=1)
    before, _ = loaded(lab, endpoint("url"))
    api.asked.clear()
    line = Line(lab.source(endpoint("url")), lab.folder, now=lambda: lab.now)

    line.load("things", None, replay=True)

    assert tables(line) == before
    assert api.asked == []


def test_what_is_stored_stays_whole_where_the_note_of_its_parts_is_lost(lab, api, answer):
    api.answer = Invoices(answer, [5, 3], inside=1)
    before, _ = loaded(lab, endpoint("url"))
    (lab.stored()[0].folder / "parts.jsonl").unlink()
    line = Line(lab.source(endpoint("url")), lab.folder, now=lambda: lab.now)

    line.load("things", None, replay=True)

    assert tables(line) == before


def test_what_is_stored_stays_whole_where_the_file_no_longer_names_the_list(lab, api, answer):
    api.answer = Invoices(answer, [5, 3], inside=1)
    before, _ = loaded(lab, endpoint("url"))
    line = Line(lab.source({}), lab.folder, now=lambda: lab.now)

    line.load("things", None, replay=True)

    assert tables(line) == before


@pytest.mark.parametrize("at", [2, 4, 7])
def test_a_walk_that_died_in_a_nested_list_goes_on_there(lab, api, answer, at):
    api.answer = api_of = Invoices(answer, [5, 3], inside=1, size=1)
    api_of.down = {at}
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk(endpoint("url")), attempts=1)
    stored = len(lab.stored()[0].pages)

    snapshot = lab.fetch(lab.walk(endpoint("url")))

    assert stored == at - 1
    assert len(api.asked) == len(snapshot.pages) + 1
    assert len(snapshot.pages) == 7
    assert snapshot.manifest.ended.records == 2
    assert lab.verdicts() == ["complete"]


def test_a_list_whose_rest_is_refused_fails_the_fetch(lab, api, answer):
    invoices = Invoices(answer, [5], inside=1)
    api.answer = lambda query: answer({}, status=404) if "/" in query else invoices(query)

    with pytest.raises(RequestFailed, match=r"/things/0/lines.*404"):
        lab.fetch(lab.walk(endpoint("url")))

    assert lab.verdicts() == ["failed"]


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"id": 1, "lines": {"data": [1]}}, "record 0: expected true or false at 'lines.has_more'.*found nothing"),
        ({"id": 1, "lines": {"data": [1], "has_more": True}}, "at 'lines.url' to ask for all of it, found nothing"),
    ],
)
def test_a_record_that_does_not_tell_is_a_failure(lab, api, record, told):
    api.pages({"data": [record], "next": None})

    with pytest.raises(WalkIncomplete, match=told):
        lab.fetch(lab.walk(endpoint("url")))


@pytest.mark.parametrize("value", [".", ".."])
def test_a_value_that_leads_to_another_path_is_not_asked_for(lab, api, value):
    api.pages({"data": [{"id": value, "lines": {"data": [], "has_more": True}}]})

    with pytest.raises(
        WalkIncomplete, match=re.escape(f"lines.data: record 0: {{id}} is {value!r}, which is no part of a path")
    ):
        lab.fetch(lab.walk(endpoint("path")))
    assert len(api.asked) == 1


def test_the_url_of_a_list_leads_nowhere_else(lab, api):
    lines = {"data": [1], "has_more": True, "url": "https://evil.example/lines"}
    api.pages({"data": [{"id": 1, "lines": lines}], "next": None})

    with pytest.raises(RequestFailed, match="another origin"):
        lab.fetch(lab.walk(endpoint("url")))


def test_a_record_without_the_list_has_none_that_is_cut(lab, api):
    api.pages({"data": [{"id": 1}, {"id": 2, "lines": None}], "next": None})

    lab.fetch(lab.walk(endpoint("url")))

    assert len(api.asked) == 1


def test_the_rest_of_a_graphql_connection_is_asked_for_by_its_own_query(lab, api, answer):
    lines = [{"id": n} for n in range(5)]

    def told(query):
        if "id" not in query["variables"]:
            inner = {"nodes": lines[:2], "pageInfo": {"hasNextPage": True}}
            body = {"orders": {"nodes": [{"id": 7, "lines": inner}], "pageInfo": {"hasNextPage": False}}}
            return answer({"data": body})
        first = int(query["variables"].get("after", 0))
        info = {"hasNextPage": first + 2 < 5, "endCursor": str(first + 2)}
        return answer({"data": {"order": {"lines": {"nodes": lines[first : first + 2], "pageInfo": info}}}})

    api.answer = told
    rest = {
        "has_more": "lines.pageInfo.hasNextPage",
        "path": "/graphql",
        "method": "POST",
        "body": {"query": "query($id: ID) { order }", "variables": {"id": "{id}"}},
        "records": "data.order.lines.nodes",
        "paginator": {"type": "graphql", "path": "data.order.lines.pageInfo"},
    }
    graphql = {
        "path": "/graphql",
        "method": "POST",
        "body": {"query": "query { orders }", "variables": {}},
        "records": "data.orders.nodes",
        "paginator": {"type": "graphql", "path": "data.orders.pageInfo"},
        "cut_lists": {"lines.nodes": rest},
    }

    found, _ = loaded(lab, graphql)

    assert [row["id"] for row in found["things__lines__nodes"]] == [0, 1, 2, 3, 4]
    assert [asked["variables"].get("id") for asked in api.asked] == [None, "7", "7", "7"]


@settings(max_examples=100 if LONG else 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    inside=st.integers(0, 4),
    size=st.integers(1, 3),
    kind=st.sampled_from(sorted(KINDS)),
    down=st.sets(st.integers(1, 25), max_size=3),
)
def test_whatever_is_cut_and_whenever_it_fails_each_line_is_there_once(
    lab_of, api, answer, counts, inside, size, kind, down
):
    with tempfile.TemporaryDirectory() as folder:
        api.answer = api_of = Invoices(answer, counts, inside, size)
        api_of.down = set(down)
        found, account = loaded(lab_of(api, Path(folder)), endpoint(kind))

    lines = found.get("things__lines__data", [])
    assert sorted(line["id"] for line in lines) == sorted(
        f"{record}-{n}" for record, count in enumerate(counts) for n in range(count)
    )
    assert all(line["_position"] == line["n"] for line in lines)
    assert (account.received, account.inserted) == (len(counts), len(counts))


@pytest.mark.parametrize("name", ["lines.data.taxes", "lines.data.taxes.data"])
def test_a_list_inside_of_a_lists_elements_is_refused_and_not_passed_over(lab, api, answer, name):
    api.answer = Invoices(answer, [2], 5)
    inner = {**BY_PATH, "has_more": "lines.has_more"}

    with pytest.raises(
        WalkIncomplete, match=r"'lines.data' is a list, and lists inside of its elements are not read on"
    ):
        lab.fetch(lab.walk({"paginator": {"type": "none"}, "cut_lists": {name: inner}}))
