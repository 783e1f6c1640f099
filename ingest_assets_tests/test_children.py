"""Children of parents: one chain of pages a parent, and one parent's failure is a matter of that parent."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ingest_assets.errors import ConfigError, PartsFailed, RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.line import Line, Pace
from ingest_assets.source import Source
from ingest_assets_tests.loopback import Replying, serving

LONG = "INGEST_LONG" in os.environ
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CUSTOMERS = {"path": "/customers", "records": "data", "primary_key": "id"}
INVOICES = {
    "path": "/customers/{customers.id}/invoices",
    "records": "data",
    "paginator": {"type": "cursor", "path": "next", "param": "after"},
    "primary_key": "id",
    "columns": {"customer": {"type": "varchar", "from_parent": "id"}},
}


class Shop:
    """Customers, and three pages of one invoice for each; `failing` are customers whose invoices are not to be had."""

    def __init__(self, count):
        self.customers = [{"id": f"c{n}", "kind": "even" if n % 2 == 0 else "odd", "orders": n} for n in range(count)]
        self.invoices = {one["id"]: [f"{one['id']}-{n}" for n in range(3)] for one in self.customers}
        self.failing, self.status, self.asked, self.seconds = set(), 500, [], 0.0
        self.fails_at, self.wait = 0, None

    def answer(self, path, query):
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["customers"]:
            return 200, {"data": self.customers}
        customer = parts[1]
        self.asked.append((customer, query.get("after", "0")))
        time.sleep(self.seconds)
        at = int(query.get("after", 0))
        if customer in self.failing and at >= self.fails_at:
            return self.status, {}
        found = self.invoices.get(customer, [])
        return 200, {
            "data": [{"id": one} for one in found[at : at + 1]],
            "next": at + 1 if at + 1 < len(found) else None,
        }

    def parents_asked(self):
        return set(dict(self.asked))


class _Handler(Replying):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def get(self):
        parts = urlsplit(self.path)
        self._answer(parts.path, dict(parse_qsl(parts.query)))

    def post(self):
        self._answer(self.path, json.loads(self.body()))

    def _answer(self, path, query):
        status, body = self.server.shop.answer(path, query)
        wait = getattr(self.server.shop, "wait", None)
        self.send(status, body, {"Retry-After": wait} if status >= 400 and wait else {})


@pytest.fixture
def shop(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    shop = Shop(6)
    with serving(_Handler, shop=shop) as server:
        shop.url = server.url
        yield shop


@pytest.fixture
def line_of(shop, tmp_path):
    """A line of the shop, its customers loaded; endpoints as they are told."""

    def made(now=NOW, customers=CUSTOMERS, load=True, **endpoints):
        told = {"customers": customers, **(endpoints or {"invoices": INVOICES})}
        source = Source.model_validate({"name": "shop", "base_url": shop.url, "at_once": 4, "endpoints": told})
        line = Line(source, tmp_path / "data", run="r", pace=Pace(retry_seconds=0.0), now=lambda: now)
        if load:
            fetched(line, "customers")
        return line

    return made


def fetched(line, endpoint="invoices", partition=None):
    """Fetch and load; the snapshot."""
    snapshot = line.fetch(endpoint, partition)
    line.load(endpoint, partition)
    return snapshot


def rows(line, query="SELECT id FROM shop.invoices ORDER BY 1"):
    with line.warehouse.session("a test") as connection:
        return [
            row if len(row) > 1 else row[0] for row in connection.execute(query.replace("shop.", "w.shop.")).fetchall()
        ]


def everything(shop):
    return sorted(invoice for found in shop.invoices.values() for invoice in found)


def test_each_parent_is_asked_for_its_children(shop, line_of):
    line = line_of()

    snapshot = fetched(line)

    assert rows(line) == everything(shop)
    assert snapshot.manifest.ended.verdict == "complete"
    assert set(rows(line, "SELECT id LIKE concat(customer, '-%') FROM shop.invoices")) == {True}


@pytest.mark.parametrize("at_once", [1, 4])
def test_children_are_stored_in_the_order_of_their_parents(shop, line_of, at_once):
    line = line_of(invoices={**INVOICES, "at_once": at_once})

    snapshot = fetched(line)

    assert [entry.note["part"] for entry in snapshot.pages] == [f"c{n // 3}" for n in range(18)]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_parent_that_fails_leaves_the_others_and_the_next_run_asks_for_it_alone(shop, line_of, status, at_once):
    line = line_of(invoices={**INVOICES, "at_once": at_once})
    shop.failing, shop.status = {"c2", "c4"}, status
    first = fetched(line)
    left = rows(line)
    shop.failing, shop.asked = set(), []

    second = fetched(line)

    assert first.manifest.ended.verdict == "incomplete"
    assert "2 of 6 requests for parents failed" in first.manifest.ended.reason
    assert "c2 (" in first.manifest.ended.reason
    assert left == [one for one in everything(shop) if one[:2] not in {"c2", "c4"}]
    assert shop.parents_asked() == {"c2", "c4"}
    assert (second.manifest.ended.verdict, second.manifest.completes) == ("complete", first.fetch)
    assert rows(line) == everything(shop)


def test_a_parent_that_is_to_be_asked_for_later_at_each_try_leaves_the_others(shop, line_of):
    line = line_of()
    shop.failing, shop.status, shop.wait = {"c0"}, 503, "0"

    ended = fetched(line).manifest.ended

    assert ended.verdict == "incomplete"
    assert "1 of 6 requests for parents failed" in ended.reason
    assert rows(line) == [one for one in everything(shop) if one[:2] != "c0"]


def test_a_parent_that_is_ready_later_than_is_waited_leaves_the_others(shop, line_of):
    rule = {"status": 409, "means": "retry", "wait": "PT2H"}
    line = line_of(invoices={**INVOICES, "responses": [rule]})
    shop.failing, shop.status = {"c0"}, 409

    ended = fetched(line).manifest.ended

    assert ended.verdict == "incomplete"
    assert "1 of 6 requests for parents failed" in ended.reason
    assert "(2 h), longer than the 15 min allowed" in ended.reason
    assert rows(line) == [one for one in everything(shop) if one[:2] != "c0"]


@pytest.mark.parametrize("wait", ["0", None])
def test_a_limit_that_lets_none_of_the_tries_through_stops_all(shop, line_of, wait):
    line = line_of()
    shop.failing, shop.status, shop.wait = {"c0"}, 429, wait

    with pytest.raises(TransientFailure, match="429"):
        line.fetch("invoices", None)


def test_a_parent_that_fails_each_time_does_not_keep_the_others_from_being_looked_at(shop, line_of):
    line = line_of()
    shop.failing = {"c2"}
    fetched(line)
    fetched(line)
    shop.asked = []

    fetched(line)

    assert shop.parents_asked() == {one["id"] for one in shop.customers}


def test_the_next_days_fetch_asks_for_all_parents_again(shop, line_of):
    shop.failing = {"c2"}
    fetched(line_of())
    shop.failing, shop.asked = set(), []

    fetched(line_of(now=NOW + timedelta(days=1)))

    assert shop.parents_asked() == {one["id"] for one in shop.customers}


def test_a_record_that_another_parent_has_by_now_is_that_parents(shop, line_of):
    fetched(line_of())
    shop.invoices["c1"].append(shop.invoices["c0"].pop())

    fetched(line_of(now=NOW + timedelta(days=1)))

    assert rows(line_of(load=False), "SELECT customer FROM shop.invoices WHERE id = 'c0-2'") == ["c1"]


def test_a_parent_that_is_new_is_asked_for_beside_the_one_that_failed(shop, line_of):
    line = line_of()
    shop.failing = {"c2"}
    fetched(line)
    shop.failing, shop.asked = set(), []
    shop.customers.append({"id": "c9", "kind": "odd", "orders": 1})
    shop.invoices["c9"] = ["c9-0"]
    fetched(line, "customers")

    fetched(line)

    assert shop.parents_asked() == {"c2", "c9"}
    assert rows(line) == everything(shop)


def test_a_table_that_is_replaced_waits_for_all_parents_and_goes_on_with_those_that_failed(shop, line_of):
    line = line_of(invoices={**INVOICES, "write": "replace"})
    fetched(line)
    shop.failing, shop.invoices["c0"] = {"c2"}, ["c0-9"]
    with pytest.raises(WalkIncomplete, match="1 of 6 requests for parents failed"):
        line.fetch("invoices", None)
    line.load("invoices", None)
    before = rows(line)
    shop.failing, shop.asked = set(), []

    fetched(line)

    assert len(before) == 18
    assert shop.parents_asked() == {"c2"}
    assert rows(line) == everything(shop)


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_cursor_that_is_over_after_a_rest_begins_its_parent_anew_and_no_other(shop, line_of, at_once):
    line = line_of(invoices={**INVOICES, "write": "replace", "at_once": at_once})
    shop.failing, shop.status, shop.fails_at = {"c2"}, 404, 1
    with pytest.raises(PartsFailed, match="1 of 6 requests for parents failed"):
        line.fetch("invoices", None)
    shop.asked = []
    with pytest.raises(PartsFailed, match="1 of 6 requests for parents failed"):
        line.fetch("invoices", None)
    again, shop.failing, shop.asked = shop.asked, set(), []

    snapshot = fetched(line)

    assert again == [("c2", "1"), ("c2", "0"), ("c2", "1")]
    assert shop.asked == [("c2", "1"), ("c2", "2")]
    assert (snapshot.fetch, snapshot.manifest.ended.verdict) == (2, "complete")
    assert rows(line) == everything(shop)


def test_a_refusal_of_the_key_stops_all(shop, line_of):
    line = line_of()
    shop.failing, shop.status = {"c0"}, 401

    with pytest.raises(RequestFailed, match="401"):
        line.fetch("invoices", None)


def test_an_api_that_is_down_stops_the_walk_and_it_goes_on_later(shop, line_of, tmp_path):
    shop.customers = [{"id": f"d{n:02}"} for n in range(40)]
    shop.invoices = {one["id"]: [one["id"]] for one in shop.customers}
    line = line_of(invoices={**INVOICES, "at_once": 1})
    shop.failing = {f"d{n:02}" for n in range(5, 40)}
    with pytest.raises(TransientFailure):
        line.fetch("invoices", None)
    asked = len(shop.parents_asked())
    shop.failing, shop.asked = set(), []

    fetched(line)

    assert asked == 15
    assert shop.parents_asked() == {f"d{n:02}" for n in range(5, 40)}
    assert rows(line) == everything(shop)


def test_gone_says_that_a_parent_without_a_page_has_no_children(shop, line_of):
    line = line_of(invoices={**INVOICES, "parents": {"gone": [404]}})
    shop.failing, shop.status = {"c2"}, 404

    snapshot = fetched(line)

    assert snapshot.manifest.ended.verdict == "complete"


def test_gone_is_for_the_first_page_alone(shop, line_of):
    line = line_of(invoices={**INVOICES, "parents": {"gone": [404]}})
    shop.failing, shop.status, shop.fails_at = {"c2"}, 404, 1

    snapshot = fetched(line)

    assert snapshot.manifest.ended.verdict == "incomplete"


def test_gone_is_not_for_a_list_that_came_cut(shop, line_of):
    cut = {"has_more": "lines.has_more", "path": "/lines/{id}", "records": "data", "paginator": {"type": "none"}}
    told = {**INVOICES, "paginator": {"type": "none"}, "parents": {"gone": [404]}, "cut_lists": {"lines.data": cut}}
    line = line_of(invoices=told)
    invoice = {"id": "i", "lines": {"data": [{"n": 1}], "has_more": True}}
    shop.answer = lambda path, _: (404, {}) if path.startswith("/lines") else (200, {"data": [invoice]})

    with pytest.raises(RequestFailed, match=r"lines/i: HTTP 404"):
        line.fetch("invoices", None)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"kind": "even"}, {"c0", "c2", "c4"}),
        ({"kind": ["even", "none"]}, {"c0", "c2", "c4"}),
        ({"orders": {"above": 3}}, {"c4", "c5"}),
        ({"kind": "odd", "orders": {"above": 3}}, {"c5"}),
        ({"orders": 2}, {"c2"}),
    ],
)
def test_where_says_which_parents_are_asked_for(shop, line_of, where, expected):
    fetched(line_of(invoices={**INVOICES, "parents": {"where": where}}))

    assert shop.parents_asked() == expected


def test_a_parent_that_is_gone_and_whose_row_stays_is_not_asked_for(shop, line_of):
    customers = {**CUSTOMERS, "sweep": {"most": 0.9}, "deletes": "soft"}
    line_of(customers=customers)
    shop.customers.pop(0)

    fetched(line_of(now=NOW + timedelta(days=1), customers=customers))

    assert shop.parents_asked() == {"c1", "c2", "c3", "c4", "c5"}


def test_of_a_history_those_parents_are_asked_for_that_hold_now_and_as_they_are_now(shop, line_of):
    told = {
        "customers": {**CUSTOMERS, "write": "history", "sweep": {"most": 0.9}},
        "invoices": {**INVOICES, "parents": {"where": {"kind": "even"}}},
    }
    line_of(**told)
    shop.customers.pop(0)
    shop.customers[1]["kind"] = "odd"

    fetched(line_of(now=NOW + timedelta(days=1), **told))

    assert shop.parents_asked() == {"c4"}


def test_an_account_that_is_gone_and_whose_row_stays_is_not_listed(shop, line_of):
    told = {
        "customers": {**CUSTOMERS, "sweep": {"most": 0.9}, "deletes": "soft"},
        "ledger": {
            "path": "/ledger/{account}",
            "partitions": {"by": {"account": {"endpoint": "customers", "field": "id"}}},
            "columns": {"account": {"type": "varchar", "from_partition": "account"}},
            "primary_key": ["account", "id"],
        },
    }
    line_of(**told)
    shop.customers.pop(0)

    members = line_of(now=NOW + timedelta(days=1), **told).members("ledger")

    assert members == {"account": ["c1", "c2", "c3", "c4", "c5"]}


@pytest.mark.parametrize("orders", [["13", "4", "n/a"], [13, 4, "n/a"], ["13", 4, None]])
def test_what_is_to_be_above_a_number_may_be_a_text(shop, line_of, orders):
    for customer, count in zip(shop.customers, orders, strict=False):
        customer["orders"] = count
    del shop.customers[3:]
    line = line_of(invoices={**INVOICES, "parents": {"where": {"orders": {"above": 5}}}})

    fetched(line)

    assert shop.parents_asked() == {"c0"}


@pytest.mark.parametrize("where", [{}, {"kind": "even"}])
def test_where_there_never_was_a_parent_there_is_nothing_to_ask_for(shop, line_of, where):
    shop.customers.clear()

    snapshot = fetched(line_of(invoices={**INVOICES, "parents": {"where": where}}))

    assert shop.parents_asked() == set()
    assert snapshot.manifest.ended.verdict == "complete"


def test_children_of_children_take_what_they_need_of_the_level_above(shop, line_of):
    lines = {
        "path": "/customers/{invoices.customer}--{invoices.id}/lines",
        "records": "data",
        "primary_key": "id",
        "columns": {"invoice": {"type": "varchar", "from_parent": "id"}},
    }
    line = line_of(invoices=INVOICES, lines=lines)
    shop.invoices = {"c0": ["a"], "c1": ["b", "c"], "c0--a": ["l1"], "c1--b": ["l2"], "c1--c": ["l3"]}
    fetched(line)

    fetched(line, "lines")

    assert rows(line, "SELECT id, invoice FROM shop.lines ORDER BY 1") == [("l1", "a"), ("l2", "b"), ("l3", "c")]


def test_a_parents_value_is_encoded_and_stays_inside_its_part_of_the_path(shop, line_of):
    odd = "a/b?c=d&é%2F#x"
    shop.customers, shop.invoices = [{"id": odd}], {odd: ["one"]}
    line = line_of()

    fetched(line)

    assert shop.parents_asked() == {odd}
    assert rows(line, "SELECT customer FROM shop.invoices") == [odd]


def test_a_parents_value_is_the_same_in_a_column_of_texts_and_numbers(shop, line_of):
    shop.customers = [{"id": 1, "kind": "even"}, {"id": "c1", "kind": 2}, {"id": "1", "kind": "even"}]
    shop.invoices = {"1": ["one"], "c1": ["two"]}
    line = line_of(invoices={**INVOICES, "parents": {"where": {"kind": ["even", 2]}}})

    fetched(line)

    assert sorted(shop.asked) == [("1", "0"), ("c1", "0")]
    assert rows(line, "SELECT id, customer FROM shop.invoices ORDER BY 1") == [("one", "1"), ("two", "c1")]


def test_a_parent_whose_value_would_lead_to_another_path_is_not_asked_for(shop, line_of):
    shop.customers.append({"id": ".."})
    line = line_of()

    snapshot = fetched(line)

    assert "no part of a path" in snapshot.manifest.ended.reason
    assert shop.parents_asked() == set(shop.invoices)


@pytest.mark.parametrize("odd", ["a\nX-Admin: 1", "a\n", " a"])
def test_a_parent_whose_value_no_header_may_have_leaves_the_others(shop, line_of, odd):
    shop.customers[2]["kind"] = odd
    line = line_of(invoices={**INVOICES, "headers": {"X-Customer": "{customers.kind}"}})

    ended = fetched(line).manifest.ended

    assert "1 of 6 requests for parents failed" in ended.reason
    assert "header 'X-Customer': its value holds a line break, or begins with space" in ended.reason
    assert rows(line) == [one for one in everything(shop) if one[:2] != "c2"]


def test_accounts_ask_for_their_own_parents_only(shop, line_of):
    by = {"partitions": {"by": {"account": ["eu", "us"]}}}
    customers = {
        **CUSTOMERS,
        **by,
        "path": "/customers",
        "params": {"account": "{account}"},
        "columns": {"account": {"type": "varchar", "from_partition": "account"}},
        "primary_key": ["account", "id"],
    }
    invoices = {
        **INVOICES,
        **by,
        "path": "/customers/{account}-{customers.id}/invoices",
        "columns": {"account": {"type": "varchar", "from_partition": "account"}},
        "primary_key": ["account", "id"],
    }
    line = line_of(customers=customers, load=False, invoices=invoices)
    for account, count in (("eu", 1), ("us", 2)):
        shop.customers = [{"id": f"{account}{n}"} for n in range(count)]
        fetched(line, "customers", account)
    shop.invoices = {"eu-eu0": ["x"], "us-us0": ["y"], "us-us1": ["z"]}

    for account in ("eu", "us"):
        fetched(line, "invoices", account)

    assert shop.parents_asked() == {"eu-eu0", "us-us0", "us-us1"}
    assert rows(line, "SELECT account, id FROM shop.invoices ORDER BY 2") == [("eu", "x"), ("us", "y"), ("us", "z")]


def test_a_parent_without_a_table_yet_is_said(line_of):
    line = line_of(load=False)

    with pytest.raises(ConfigError, match=r"listed by shop.customers, which is not loaded yet. Next: ingest run"):
        line.fetch("invoices", None)


def test_a_field_that_the_parents_table_does_not_have_is_said(line_of):
    line = line_of(invoices={**INVOICES, "path": "/customers/{customers.number}/invoices"})

    with pytest.raises(ConfigError, match=r"shop.customers, has no column 'number'; it has id, kind, orders"):
        line.fetch("invoices", None)


class Log:
    """Events of each parent by their time; a page holds those at or after `since`."""

    def __init__(self, shop):
        self.shop, self.events = shop, {}
        shop.answer, self._former = self.answer, shop.answer
        shop.fail = set()

    def answer(self, path, query):
        if path == "/customers":
            return self._former(path, query)
        parent, since = path.split("/")[2], query["since"]
        self.shop.asked.append((parent, since))
        if parent in self.shop.fail:
            return 500, {}
        return 200, {"data": [{"id": f"{parent}@{at}", "at": at} for at in self.events.get(parent, []) if at >= since]}


FEED = {
    "path": "/customers/{customers.id}/events",
    "records": "data",
    "primary_key": "id",
    "feed": {"from": "since", "start": "2026-01-01", "position": "at"},
}


def test_each_parent_has_a_watermark_of_its_own_so_that_older_rows_of_another_are_not_lost(shop, line_of):
    log = Log(shop)
    log.events = {"c0": ["2026-03-01T00:00:00Z"], "c1": ["2026-02-01T00:00:00Z"]}
    line = line_of(events=FEED)
    fetched(line, "events")
    log.events["c1"].append("2026-02-15T00:00:00Z")  # older than what is known of c0
    shop.customers.append({"id": "c8"})
    log.events["c8"] = ["2026-01-05T00:00:00Z"]
    fetched(line, "customers")
    shop.asked = []

    fetched(line, "events")

    assert rows(line, "SELECT id FROM shop.events ORDER BY 1") == sorted(
        f"{parent}@{at}" for parent, found in log.events.items() for at in found
    )
    assert dict(shop.asked)["c0"].startswith("2026-03-01")
    assert dict(shop.asked)["c1"].startswith("2026-02-01")


def test_a_parent_that_failed_keeps_its_watermark(shop, line_of):
    log = Log(shop)
    log.events = {one["id"]: ["2026-02-01T00:00:00Z"] for one in shop.customers}
    line = line_of(events=FEED)
    fetched(line, "events")
    for found in log.events.values():
        found.append("2026-03-01T00:00:00Z")
    shop.fail = {"c3"}
    fetched(line, "events")
    shop.fail, shop.asked = set(), []

    fetched(line, "events")

    assert [(parent, since[:10]) for parent, since in shop.asked] == [("c3", "2026-02-01")]
    assert len(rows(line, "SELECT id FROM shop.events")) == 12


def test_a_walk_that_began_without_since_does_not_go_on_with_it(shop, line_of):
    log = Log(shop)
    shop.customers = [{"id": f"d{n:02}"} for n in range(15)]
    log.events = {one["id"]: ["2026-03-01T00:00:00Z"] for one in shop.customers}
    line = line_of(events={**FEED, "at_once": 1})
    fetched(line, "events")
    shop.fail = {one["id"] for one in shop.customers[3:]}
    with pytest.raises(TransientFailure):
        line.fetch("events", None)
    shop.fail, shop.asked = set(), []

    line.fetch("events", None, datetime(2026, 2, 1, tzinfo=UTC))

    assert shop.asked == [(one["id"], "2026-02-01T00:00:00Z") for one in shop.customers]


def test_a_parent_that_tells_nothing_for_long_has_no_gap_while_it_is_looked_at(shop, line_of):
    log, kept = Log(shop), FEED | {"feed": FEED["feed"] | {"keeps": "P30D"}}
    log.events = {one["id"]: ["2026-03-01T00:00:00Z"] for one in shop.customers}
    fetched(line_of(events=kept), "events")

    for days in (20, 40, 60):
        now = NOW + timedelta(days=days)
        log.events["c0"].append(now.isoformat())
        fetched(line_of(now=now, load=False, events=kept), "events")

    assert len(rows(line_of(load=False, events=kept), "SELECT id FROM shop.events WHERE id LIKE 'c0%'")) == 4


def test_a_parent_that_failed_for_longer_than_the_api_keeps_has_a_gap(shop, line_of):
    log, kept = Log(shop), FEED | {"feed": FEED["feed"] | {"keeps": "P30D"}}
    log.events = {one["id"]: ["2026-03-01T00:00:00Z"] for one in shop.customers}
    fetched(line_of(events=kept), "events")
    shop.fail = {"c3"}
    fetched(line_of(now=NOW + timedelta(days=20), load=False, events=kept), "events")

    with pytest.raises(WalkIncomplete, match=r"49 days ago.*in which no fetch has looked"):
        line_of(now=NOW + timedelta(days=40), load=False, events=kept).fetch("events", None)


KILLED = """\
import sys
from functools import partial
from datetime import UTC, datetime
from pathlib import Path
from ingest_assets.line import Line
from ingest_assets.source import Source
now = partial(datetime.fromisoformat, sys.argv[3])
line = Line(Source.model_validate_json(sys.argv[1]), Path(sys.argv[2]), run="r", now=now)
line.fetch("invoices", None)
"""


def test_after_a_kill_no_parent_is_asked_for_again_that_was_complete(shop, line_of, tmp_path):
    shop.customers = [{"id": f"d{n:02}"} for n in range(60)]
    shop.invoices = {one["id"]: [f"{one['id']}-{n}" for n in range(3)] for one in shop.customers}
    line = line_of()
    shop.seconds = 0.01
    told = [line.source.model_dump_json(by_alias=True, exclude_unset=True), str(line.data), NOW.isoformat()]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *told], env=os.environ | {"NO_PROXY": "127.0.0.1"})
    while len(shop.asked) < 80:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    # A page that was answered a moment ago may not be stored yet: four were at work.
    whole = {parent for parent, after in shop.asked[:-8] if after == "2"}
    shop.asked, shop.seconds = [], 0.0

    fetched(line)

    assert len(whole) >= 15
    assert whole.isdisjoint(shop.parents_asked())
    assert rows(line) == everything(shop)


def test_two_thousand_parents_of_which_one_in_a_hundred_fails(shop, line_of):
    count = 2000 if LONG else 200
    shop.customers = [{"id": f"p{n:04}"} for n in range(count)]
    shop.invoices = {one["id"]: [f"{one['id']}-{n}" for n in range(3)] for one in shop.customers}
    shop.failing = {f"p{n:04}" for n in range(50, count, 100)}
    line = line_of()
    first = fetched(line)
    left = len(rows(line))
    failed, shop.failing, shop.asked = shop.failing, set(), []

    fetched(line)

    assert first.manifest.ended.verdict == "incomplete"
    assert f"{len(failed)} of {count:,} requests for parents failed" in first.manifest.ended.reason
    assert left == 3 * (count - len(failed))
    assert shop.parents_asked() == failed
    assert rows(line) == everything(shop)
    assert threading.active_count() < 10


class Batches:
    """Deals by id, several a request: in the query, joined, or in a body as a list; `unknown` are left out."""

    def __init__(self, shop):
        self.unknown, self.refused, self.asked = set(), set(), []
        shop.answer, self._former, self.shop = self.answer, shop.answer, shop

    def answer(self, path, query):
        if path == "/customers":
            return self._former(path, query)
        ids = [one["id"] for one in query["inputs"]] if "inputs" in query else query["ids"].split(",")
        self.asked.append(ids)
        if self.refused & set(ids):
            return 400, {}
        return 200, {"data": [{"id": f"deal-{one}", "of": one} for one in ids if one not in self.unknown]}


BATCHES = {"path": "/deals", "records": "data", "primary_key": "id", "at_once": 1}
IN_QUERY = {**BATCHES, "params": {"ids": "{customers.id}"}, "parents": {"batch": 4, "answers": "of"}}
IN_BODY = {
    **BATCHES,
    "method": "POST",
    "body": {"inputs": [{"id": "{customers.id}"}], "properties": ["name"]},
    "parents": {"batch": 4, "answers": "of"},
}


@pytest.mark.parametrize("endpoint", [IN_QUERY, IN_BODY])
def test_several_parents_are_asked_for_in_one_request(shop, line_of, endpoint):
    deals = Batches(shop)
    line = line_of(deals=endpoint)

    snapshot = fetched(line, "deals")

    assert deals.asked == [["c0", "c1", "c2", "c3"], ["c4", "c5"]]
    assert snapshot.manifest.ended.verdict == "complete"
    assert rows(line, "SELECT id FROM shop.deals ORDER BY 1") == [f"deal-c{n}" for n in range(6)]


def test_parents_that_the_answers_leave_out_are_named(shop, line_of):
    deals = Batches(shop)
    deals.unknown = {"c1", "c3"}
    line = line_of(deals=IN_QUERY)

    snapshot = fetched(line, "deals")

    assert snapshot.manifest.ended.verdict == "incomplete"
    assert (
        "2 of 4 that were asked for in one request are not among the answers: c1, c3" in snapshot.manifest.ended.reason
    )
    assert len(rows(line, "SELECT id FROM shop.deals")) == 4


def test_after_a_batch_that_failed_the_next_run_asks_for_its_parents_alone(shop, line_of):
    deals = Batches(shop)
    deals.refused = {"c5"}
    line = line_of(deals=IN_QUERY)
    fetched(line, "deals")
    deals.refused, deals.asked = set(), []

    fetched(line, "deals")

    assert deals.asked == [["c4", "c5"]]
    assert len(rows(line, "SELECT id FROM shop.deals")) == 6


@pytest.mark.parametrize("write", ["append", "replace"])
def test_without_a_key_a_walk_does_not_go_on_with_batches_of_other_parents(shop, line_of, write):
    batches = Batches(shop)
    line = line_of(deals={**IN_QUERY, "primary_key": (), "write": write})
    batches.refused = {"c4"}
    with pytest.raises(PartsFailed):
        line.fetch("deals", None)
    batches.refused = set()
    shop.customers.insert(0, {"id": "b9"})
    fetched(line, "customers")

    fetched(line, "deals")

    assert rows(line, "SELECT of FROM shop.deals ORDER BY 1") == ["b9", "c0", "c1", "c2", "c3", "c4", "c5"]


def test_a_value_that_holds_the_separator_is_refused_before_anything_is_asked(shop, line_of):
    deals = Batches(shop)
    shop.customers.append({"id": "a,b"})
    line = line_of(deals=IN_QUERY)

    with pytest.raises(ConfigError, match="hold the separator ','"):
        line.fetch("deals", None)

    assert deals.asked == []


class Slack:
    """Channels, their messages by a window of time, and the replies of a message: `ts` is a text of seconds."""

    def __init__(self, shop):
        shop.answer, self.shop = self.answer, shop
        self.messages = {
            "C1": [("1772500000.000100", 2), ("1772600000.000200", 0)],
            "C2": [("1772500000.000100", 1)],
        }

    def answer(self, path, query):
        self.shop.asked.append((path, query.get("channel"), query.get("ts")))
        if path == "/conversations.list":
            return 200, {"channels": [{"id": name} for name in self.messages]}
        told = self.messages[query["channel"]]
        if path == "/conversations.history":
            inside = [one for one in told if float(query["oldest"]) <= float(one[0]) < float(query["latest"])]
            return 200, {"messages": [{"ts": ts, "reply_count": count} for ts, count in inside]}
        count = dict(told)[query["ts"]]
        return 200, {"messages": [{"ts": query["ts"]}, *({"ts": f"{query['ts']}{n}"} for n in range(count))]}


def test_history_then_replies_day_by_day_and_only_of_messages_that_have_some(shop, line_of):
    Slack(shop)
    channel = {"type": "varchar", "from_parent": "id"}
    history = {
        "path": "/conversations.history",
        "params": {"channel": "{customers.id}"},
        "records": "messages",
        "window": {"from": "oldest", "until": "latest", "format": "unix"},
        "partitions": {"every": "day", "start": "2026-03-01"},
        "changes": "immutable",
        "primary_key": ["channel", "ts"],
        "columns": {"channel": channel, "ts": {"type": "varchar"}},
    }
    replies = {
        "path": "/conversations.replies",
        "params": {"channel": "{messages.channel}", "ts": "{messages.ts}"},
        "records": "messages",
        "parents": {"where": {"reply_count": {"above": 0}}},
        "primary_key": ["channel", "ts"],
        "columns": {"channel": channel | {"from_parent": "channel"}, "ts": {"type": "varchar"}},
    }
    channels = {**CUSTOMERS, "path": "/conversations.list", "records": "channels"}
    line = line_of(customers=channels, messages=history, replies=replies)
    for day in ("2026-03-03", "2026-03-04"):
        fetched(line, "messages", day)

    snapshot = fetched(line, "replies")

    assert sorted(one for one in shop.asked if one[0].endswith("replies")) == [
        ("/conversations.replies", "C1", "1772500000.000100"),
        ("/conversations.replies", "C2", "1772500000.000100"),
    ]
    assert rows(line, "SELECT channel, count(*) FROM shop.messages GROUP BY 1 ORDER BY 1") == [("C1", 2), ("C2", 1)]
    assert rows(line, "SELECT channel, count(*) FROM shop.replies GROUP BY 1 ORDER BY 1") == [("C1", 3), ("C2", 2)]
    assert snapshot.manifest.ended.verdict == "complete"


def test_a_replay_gives_each_row_its_parent_again(shop, line_of):
    line = line_of()
    fetched(line)
    before = rows(line, "SELECT customer, id FROM shop.invoices ORDER BY 2")

    line.load("invoices", None, replay=True)

    assert rows(line, "SELECT customer, id FROM shop.invoices ORDER BY 2") == before
    assert before[0] == ("c0", "c0-0")


def test_a_peek_shows_the_children_of_the_first_parent(line_of):
    peeked = line_of().peek("invoices", None)

    assert (peeked.records, dict(peeked.parent)) == (1, {"id": "c0"})


def test_a_key_that_a_parent_tells_cannot_be_forgotten_and_that_is_said(line_of):
    line = line_of(invoices={**INVOICES, "primary_key": ["customer", "id"]})
    fetched(line)

    with pytest.raises(ConfigError, match="'customer' is a value of the parent"):
        line.eraser("invoices").key(["id=c0-0"])
