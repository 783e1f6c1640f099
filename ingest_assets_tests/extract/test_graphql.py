"""GraphQL connections: their nodes or their edges become rows, page by page."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.line import Line

QUERY = "query($first: Int, $page: PageInput) { … }"


@pytest.mark.parametrize(("listed", "key"), [("nodes", "id"), ("edges", "node__id")])
def test_nodes_and_edges_become_rows(lab, api, answer, monkeypatch, listed, key):
    def page(query):
        after = int(query["variables"].get("page", {}).get("after", 0))
        found = [{"id": n, "title": f"issue {n}"} for n in range(after, min(after + 2, 5))]
        if listed == "edges":
            found = [{"cursor": str(node["id"]), "node": node} for node in found]
        info = {"hasNextPage": after + 2 < 5, "endCursor": str(after + 2)}
        return answer({"data": {"repository": {"issues": {listed: found, "pageInfo": info}}}})

    api.answer = page
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    path = "data.repository.issues"
    source = lab.source(
        {
            "method": "POST",
            "body": {"query": QUERY, "variables": {"first": 2}},
            "records": f"{path}.{listed}",
            "paginator": {"type": "graphql", "path": f"{path}.pageInfo", "variable": "page.after"},
            "primary_key": key,
        }
    )
    line = Line(source, lab.folder)

    line.fetch("things", None)
    line.load("things", None)
    line.publish()

    with duckdb.connect(str(lab.folder / "warehouse.duckdb"), read_only=True) as reader:
        title = key.replace("id", "title")
        rows = reader.execute(f"SELECT {key}, {title} FROM shop.things ORDER BY 1").fetchall()  # noqa: S608 -- ours
    assert rows == [(n, f"issue {n}") for n in range(5)]


ISSUES = {
    "method": "POST",
    "body": {"query": "query($after: String) { … }"},
    "records": "data.issues.nodes",
    "paginator": {"type": "graphql", "path": "data.issues.pageInfo"},
}


def answered(*nodes, more=False, **beside):
    """An answer with these issues."""
    info = {"hasNextPage": more, "endCursor": "c1" if more else None}
    return {"data": {"issues": {"nodes": list(nodes), "pageInfo": info}, **beside}}


def issue(number, *, labels_go_on):
    """An issue with a connection of its own."""
    return {"id": number, "labels": {"nodes": [{"name": "bug"}], "pageInfo": {"hasNextPage": labels_go_on}}}


def test_a_connection_inside_of_a_record_that_goes_on_and_is_not_read_on_is_a_failure(lab, api):
    api.pages(answered(issue(1, labels_go_on=False), issue(2, labels_go_on=True)))

    with pytest.raises(WalkIncomplete, match=r"record 1 of a page has more at 'labels\.pageInfo\.hasNextPage'"):
        lab.fetch(lab.walk(ISSUES))

    assert lab.verdicts() == ["failed"]


def test_one_of_which_the_last_were_asked_for_is_too(lab, api):
    last = {"nodes": [{"name": "bug"}], "pageInfo": {"hasNextPage": False, "hasPreviousPage": True}}
    api.pages(answered({"id": 1, "labels": last}))

    with pytest.raises(WalkIncomplete, match=r"has more at 'labels\.pageInfo\.hasPreviousPage'"):
        lab.fetch(lab.walk(ISSUES))


def test_what_lies_before_a_page_of_the_walks_own_connection_was_read(lab, api):
    first, second = answered({"id": 1}, more=True), answered({"id": 2})
    second["data"]["issues"]["pageInfo"]["hasPreviousPage"] = True
    api.in_turn(first, second)

    assert lab.fetch(lab.walk(ISSUES)).manifest.ended.verdict == "complete"


def test_one_in_a_list_of_a_record_is_too(lab, api):
    api.pages(answered({"id": 1, "pulls": [{"reviews": {"nodes": [], "pageInfo": {"hasNextPage": True}}}]}))

    with pytest.raises(WalkIncomplete, match=r"has more at 'pulls\[\]\.reviews\.pageInfo\.hasNextPage'"):
        lab.fetch(lab.walk(ISSUES))


def test_one_that_ends_is_taken(lab, api):
    api.pages(answered(issue(1, labels_go_on=False)))

    assert lab.fetch(lab.walk(ISSUES)).manifest.ended.verdict == "complete"


@pytest.mark.parametrize("cut", [{"has_more": "labels.pageInfo.hasNextPage"}, {"total": "labels.totalCount"}])
def test_one_that_is_named_is_read_on(lab, api, answer, cut):
    first = issue(7, labels_go_on=True)
    first["labels"]["totalCount"] = 2
    whole = {
        "data": {"node": {"labels": {"nodes": [{"name": "bug"}, {"name": "ui"}], "pageInfo": {"hasNextPage": False}}}}
    }
    api.answer = lambda query: answer(whole if query["variables"].get("id") == "7" else answered(first))
    place = "data.node.labels"
    told = {
        "path": "/things",
        "method": "POST",
        "body": {"query": "query($id: ID!) { … }", "variables": {"id": "{id}"}},
        "records": f"{place}.nodes",
        "paginator": {"type": "graphql", "path": f"{place}.pageInfo"},
    }

    body = {"query": "…", "variables": {"first": 1}}
    snapshot = lab.fetch(lab.walk({**ISSUES, "body": body, "cut_lists": {"labels.nodes": {**told, **cut}}}))

    assert [len(snapshot.pages), snapshot.manifest.ended.verdict] == [2, "complete"]


def test_a_connection_beside_the_records_that_goes_on_is_a_failure(lab, api):
    api.pages(answered({"id": 1}, labels={"nodes": [], "pageInfo": {"hasNextPage": True}}))

    with pytest.raises(WalkIncomplete, match=r"the answer has more at 'data\.labels\.pageInfo\.hasNextPage'"):
        lab.fetch(lab.walk(ISSUES))


def test_so_is_the_only_one_where_the_file_names_no_paginator(lab, api):
    api.pages(answered({"id": 1}, more=True))

    with pytest.raises(WalkIncomplete, match="name it by `paginator"):
        lab.fetch(lab.walk({**ISSUES, "paginator": None}))


def test_a_paginator_of_another_kind_may_go_by_it(lab, api, answer):
    api.answer = lambda query: answer(answered({"id": 1}, more="after" not in query["variables"]))
    info = "data.issues.pageInfo"
    told = {
        "type": "cursor",
        "path": f"{info}.endCursor",
        "has_more": f"{info}.hasNextPage",
        "param": "variables.after",
    }

    with pytest.raises(WalkIncomplete, match="circles"):
        lab.fetch(lab.walk({**ISSUES, "body": {"query": "…", "variables": {}}, "paginator": told}))


def test_errors_beside_data_are_a_failure(lab, api):
    api.pages(answered({"id": 1}) | {"errors": [{"message": "resolver timed out", "path": ["issues", 1]}]})

    with pytest.raises(RequestFailed, match="resolver timed out"):
        lab.fetch(lab.walk(ISSUES))


THROTTLED = {
    "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
    "extensions": {
        "cost": {
            "requestedQueryCost": 52,
            "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 50, "restoreRate": 100.0},
        }
    },
}


@pytest.mark.parametrize("refusal", [THROTTLED, {"errors": [{"type": "RATE_LIMITED", "message": "exceeded"}]}])
def test_throttling_is_waited_for_where_the_file_says_nothing_of_it(lab, api, monkeypatch, refusal):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    api.in_turn(answered({"id": 1}, more=True), refusal, answered({"id": 2}))
    source = lab.source({**ISSUES, "body": {"query": "…", "variables": {}}})

    snapshot = Line(source, lab.folder).fetch("things", None)

    assert [len(snapshot.pages), snapshot.manifest.ended.verdict] == [2, "complete"]
    assert snapshot.manifest.ended.traffic["retries"] == 1


def test_what_githubs_rate_limit_says_is_left_holds_the_next_request_back_before_any_is_refused(lab, api, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    reset = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    spent = {"limit": 5000, "cost": 50, "remaining": 0, "resetAt": reset}
    api.in_turn(answered({"id": 1}, more=True, rateLimit=spent), answered({"id": 2}))
    source = lab.source({**ISSUES, "body": {"query": "…", "variables": {}}})

    snapshot = Line(source, lab.folder).fetch("things", None)

    assert snapshot.manifest.ended.traffic["limit_wait_seconds"] > 0.5
    assert snapshot.manifest.ended.traffic["retries"] == 0


@pytest.mark.parametrize(
    "body",
    [{"query": "{ … }"}, {"id": "0f1e", "variables": {}}, {"extensions": {"persistedQuery": {"sha256Hash": "0f1e"}}}],
)
@pytest.mark.parametrize(
    "told", [{}, {"data": None}, {"data": {"issues": None}}, answered({"id": 1}), answered({"id": 1}, more=True)]
)
def test_errors_are_a_failure_that_quotes_them_whatever_comes_with_them(lab, api, told, body):
    """Also where the query is known to the server, and only named."""
    api.pages(told | {"errors": [{"message": "You may not see that"}]})

    with pytest.raises(RequestFailed, match="tells an error at 'errors': 'You may not see that'"):
        lab.fetch(lab.walk({**ISSUES, "body": body}))

    assert lab.verdicts() == ["failed"]
