"""The API's side of every kind of endpoint, and what is said of faults."""

import os
from dataclasses import replace

import pytest

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.bench import PACE, bench
from ingest_assets.chaos.faults import FAULTS, Fault
from ingest_assets.chaos.faults.paging import PAGING
from ingest_assets.chaos.loaded import loaded
from ingest_assets.chaos.trials import Chosen, trials
from ingest_assets.errors import ConfigError
from ingest_assets.source import Source

LONG = os.environ.get("INGEST_LONG") == "1"
_CURSOR = {"type": "cursor", "path": "next", "param": "after"}
_DAYS = {"partitions": {"every": "day", "start": "2026-01-01"}, "changes": "immutable"}
_WINDOW = {"window": {"from": "from", "until": "until", "format": "unix"}, **_DAYS}
_GRAPHQL = {
    "method": "POST",
    "body": {"query": "query Q($after: String) {…}", "variables": {"first": 3}},
    "records": "data.things.edges[].node",
    "paginator": {"type": "graphql", "path": "data.things.pageInfo"},
}
ENDPOINTS = {
    "page_total": {"paginator": {"type": "page", "total": "meta.total"}},
    "page_total_pages": {"paginator": {"type": "page", "total_pages": {"header": "X-Pages"}, "first": 0}},
    "page_short": {"paginator": {"type": "page", "until": "short_page"}},
    "page_empty": {"paginator": {"type": "page", "until": "empty_page"}},
    "page_404": {"paginator": {"type": "page", "until": 404}},
    "page_in_path": {
        "path": "/things/{page}",
        "paginator": {"type": "page", "param": {"path": "page"}, "has_more": "more"},
    },
    "offset": {"paginator": {"type": "offset", "total": {"header": "Content-Range"}}},
    "offset_done": {"paginator": {"type": "offset", "param": "startIndex", "first": 1, "done": "done"}},
    "cursor": {"paginator": _CURSOR},
    "cursor_header": {
        "paginator": {"type": "cursor", "header": "X-Next", "param": {"header": "X-Cursor"}, "absent": "end"}
    },
    "cursor_first": {"paginator": {**_CURSOR, "first": "*", "until": "empty_page"}},
    "cursor_same": {"paginator": {**_CURSOR, "until": "same_cursor"}},
    "cursor_elsewhere": {
        "params": {"q": "x"},
        "paginator": {**_CURSOR, "has_more": "more", "next_path": "/o0/list/continue", "drop": ["q"]},
    },
    "cursor_post": {
        "method": "POST",
        "body": {"query": {"after": None}},
        "paginator": {**_CURSOR, "param": "query.after"},
    },
    "graphql": _GRAPHQL,
    "last_record": {"paginator": {"type": "last_record", "param": "since", "field": "id", "page_size": 3}},
    "session": {
        "method": "POST",
        "body": {"project": "1"},
        "body_as": "form",
        "paginator": {"type": "session", "path": "sid", "param": "sid", "page_param": "page", "page_size": "size"},
    },
    "link": {"params": {"per_page": 3}, "paginator": {"type": "link", "keep": ["per_page"]}},
    "next_url": {"paginator": {"type": "next_url", "path": "links[rel=next].href", "absent": "end"}},
    "next_url_dotted": {"paginator": {"type": "next_url", "path": "@odata.nextLink", "absent": "end"}},
    "total": {"paginator": _CURSOR, "total": {"path": "hits.total.value", "relation": "hits.total.relation"}},
    "count": {"paginator": _CURSOR, "count": {"path": "/things/count", "value": "count"}},
    "unix_window": {"paginator": _CURSOR, **_WINDOW},
    "date_window": {**_WINDOW, "window": {"from": "from", "until": "until", "format": "date", "inclusive": True}},
    "month_window": {
        **_WINDOW,
        "partitions": {"every": "month", "start": "2026-01-01"},
        "time_zone": "Europe/Amsterdam",
    },
    "pieces": {"paginator": _CURSOR, **_WINDOW, "window": {**_WINDOW["window"], "pieces": 3}},
    "bounds_in_body": {
        "method": "POST",
        "body": {"filter": [{"at": "{from}..{until}"}]},
        **_WINDOW,
        "window": {"format": "iso"},
    },
    "newest_first": {
        "paginator": _CURSOR,
        "window": {"stop_at": "created"},
        **_DAYS,
        "columns": {"created": {"type": "timestamptz", "required": True}},
    },
    "accounts": {
        "path": "/accounts/{account}/things",
        "partitions": {"by": {"account": ["eu", "us"]}},
        "primary_key": ["account", "id"],
        "columns": {"account": {"type": "varchar", "from_partition": "account"}},
    },
    "feed": {"paginator": _CURSOR, "feed": {"from": "since", "start": "2026-01-01", "position": "updated"}},
    "feed_cursor": {
        "paginator": _CURSOR,
        "feed": {"from": "since", "start": "2026-01-01", "cursor": {"path": "resume", "param": "after"}},
    },
    "single": {},
    "nested": {"records": "days[].items[]"},
    "kept": {"records": {"path": "days[].items[]", "keep": "day"}, "columns": {"day": {"type": "date"}}},
    "dictionary": {
        "records": {"path": "rates{}", "key": "id", "value": "rate"},
        "columns": {"rate": {"type": "double"}},
    },
    "columnar": {"records": {"path": "hourly", "layout": "columns"}},
    "list_alone": {"records": ""},
    "jsonl": {"records": "", "decoder": {"type": "jsonl"}},
    "csv": {"records": "", "decoder": {"type": "csv", "delimiter": ";", "encoding": "windows-1252", "skip_lines": 1}},
    "tsv": {"records": "", "decoder": {"type": "tsv", "names": ["id", "name"]}},
    "xml": {
        "records": {"path": "feed.day[].item[]", "keep": "@at"},
        "decoder": {"type": "xml", "namespaces": {"": "urn:x", "m": "urn:m"}},
        "paginator": {"type": "next_url", "path": "feed.link[@rel=next].@href", "absent": "end"},
        "columns": {"at": {"type": "date", "path": "@at"}, "title": {"type": "varchar", "path": "m:title"}},
    },
    "children": {
        "path": "/things/{single.id}/parts",
        "paginator": _CURSOR,
        "primary_key": ["thing", "id"],
        "columns": {"thing": {"type": "varchar", "from_parent": "id"}},
    },
    "lists": {
        "children": {"lines": {"columns": {"amount": {"type": "bigint"}}}},
        "cut_lists": {"rows.data": {"has_more": "rows.more", "url": "rows.url", "paginator": _CURSOR}},
    },
    "typed": {
        "columns": {
            "a": {"type": "decimal(12,2)"},
            "b": {"type": "uuid"},
            "c": {"type": "timestamptz", "format": "%d.%m.%Y %H:%M:%S"},
            "d": {"type": "time"},
            "e": {"type": "boolean", "required": True},
            "f": {"type": "varchar", "values": ["x", "y"]},
        },
    },
}


def source(**endpoints):
    told = {
        name: {"path": f"/{name}", "primary_key": "id", "records": "data", **one} for name, one in endpoints.items()
    }
    auth = {"type": "bearer", "token": {"env": "SHOP_TOKEN"}}
    return Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example/v1", "auth": auth, "endpoints": told}
    )


def tried(endpoint, *only):
    """What came of some faults, by their names."""
    return {one.fault: one for one in trials(source(things=endpoint), Chosen(only=only))}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_api_that_does_what_the_file_says_gives_all_records(name):
    shop = source(**{name: ENDPOINTS[name]}, **({"single": {}} if name == "children" else {}))

    found = [*trials(shop, Chosen([name], ["none"] if LONG else ["as_said"]))]

    assert found[0].verdict == "kept"
    assert found[0].happened.split()[0] in ("7", "14")


def test_what_shows_is_refused_and_mended_by_the_next_run():
    found = tried(ENDPOINTS["cursor"], "same_cursor", "empty_page")

    assert {one.verdict for one in found.values()} == {"refused"}
    assert "shop.things: page 1 holds no records and is not the last one" in found["empty_page"].happened


def test_what_nothing_in_the_file_can_show_is_told_with_what_would():
    without, counted = tried(ENDPOINTS["cursor"], "lost_page"), tried(ENDPOINTS["total"], "lost_page")

    assert (without["lost_page"].verdict, counted["lost_page"].verdict) == ("unseen", "refused")
    assert "`total:`" in without["lost_page"].todo


def test_records_that_are_lost_though_it_should_show_break_the_promise():
    lost = next(fault for fault in PAGING if fault.name == "lost_page")

    with bench(source(things=ENDPOINTS["cursor"]), "things") as here:
        told = here.run(replace(lost, seen=lambda _: True))

    assert (told.verdict, told.good, told.happened) == ("broken", False, "complete, and 3 of 7 records are missing")


def test_a_failure_breaks_the_promise_where_the_fault_is_harmless():
    late = Fault(
        "late", "paging", "a page is empty", harmless=True, lay=lambda records, pages, _: (records, [[], *pages])
    )

    with bench(source(things=ENDPOINTS["cursor"]), "things") as here:
        told = here.run(late)

    assert told.verdict == "broken"
    assert "page 0 holds no records" in told.happened


def test_what_the_file_does_not_say_is_a_complaint_of_the_api():
    with bench(source(things=ENDPOINTS["link"]), "things") as here:
        things = here.api.case.endpoint.model_copy(update={"params": {"per_page": 3, "secret": "on"}})
        told_more = here.api.case.source.model_copy(update={"endpoints": {"things": things}})
        asks = here.api.case.walk
        here.api.case = replace(here.api.case, source=told_more)
        here.walk = asks
        told = here.run(FAULTS[0])

    assert told.verdict == "broken"
    assert "what the file does not say" in told.happened


def test_another_seed_makes_other_numbers_of_records():
    happened = {
        next(trials(source(things=ENDPOINTS["cursor"]), Chosen(only=["as_said"], seed=n))).happened for n in range(3)
    }

    assert len(happened) == 3


@pytest.mark.parametrize("name", ["cursor", "typed", "xml", "csv", "newest_first", "lists"])
def test_what_an_api_gives_that_does_what_the_file_says_is_in_the_table(name):
    found = tried(ENDPOINTS[name], "loaded")

    assert (found["loaded"].verdict, found["loaded"].happened) == ("kept", "7 rows, 0 set aside of 7 records")


def test_a_secret_in_a_table_breaks_the_promise():
    with bench(source(things=ENDPOINTS["cursor"]), "things") as here:
        here.gate.known.append("näïve")
        told = loaded(here, PACE)

    assert told.verdict == "broken"
    assert "a table: shop.things" in told.happened


def test_an_unknown_fault_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="'empty' is no fault; expected one of as_said, no_records"):
        [*trials(source(things={}), Chosen(only=["empty"]))]


AUTH = {
    "none": {"type": "none"},
    "bearer": {"type": "bearer", "token": {"env": "SHOP_TOKEN"}},
    "file": {"type": "bearer", "token": {"file": "/run/secrets/shop"}},
    "vault": {"type": "bearer", "token": {"vault": "secret/shop", "field": "token"}},
    "basic": {"type": "basic", "user": {"env": "SHOP_USER"}, "password": {"env": "SHOP_PASSWORD"}},
    "in_query": {"type": "api_key", "name": "key", "place": "query", "value": {"env": "SHOP_KEY"}},
    "in_header": {"type": "api_key", "name": "X-Key", "prefix": "Token ", "value": {"env": "SHOP_KEY"}},
    "client": {
        "type": "oauth2_client_credentials",
        "token_url": "https://auth.shop.example/token",
        "client_id": "ingest",
        "client_secret": {"env": "SHOP_SECRET"},
    },
    "granted": {
        "type": "oauth2_refresh_token",
        "token_url": "https://auth.shop.example/token",
        "authorize_url": "https://auth.shop.example/authorize",
        "client_id": "ingest",
    },
    "signed_here": {"type": "jwt", "key": {"env": "SHOP_KEY"}, "algorithm": "HS256"},
    "login": {
        "type": "login",
        "login_url": "https://shop.example/login",
        "user": "jo",
        "password": {"env": "SHOP_PASSWORD"},
        "token": "data.token",
    },
    "session": {
        "type": "login",
        "login_url": "https://shop.example/login",
        "user": "jo",
        "password": {"env": "SHOP_PASSWORD"},
        "cookie": "sid",
    },
    "in_turn": {
        "type": "rotated",
        "each": [{"type": "bearer", "token": {"env": "ONE_TOKEN"}}, {"type": "bearer", "token": {"env": "TWO_TOKEN"}}],
    },
}


@pytest.mark.parametrize("kind", AUTH)
def test_each_way_in_is_taken_and_no_secret_of_it_told(kind):
    shop = source(things={**ENDPOINTS["cursor"], "auth": AUTH[kind]})

    found = {one.fault: one for one in trials(shop, Chosen(only=["none", "credential", "redirect", "status_404"]))}

    assert {(one.fault, one.happened) for one in found.values() if not one.good} == set()
    assert (found["as_said"].verdict, found["status_404"].verdict) == ("kept", "refused")


def test_a_secret_that_is_told_breaks_the_promise():
    with bench(source(things=ENDPOINTS["cursor"]), "things") as here:
        here.gate.known.append("näïve")
        told = here.run(FAULTS[0])

    assert told.verdict == "broken"
    assert told.happened == "a secret stands in index.jsonl, which is stored, a stored page"


def test_a_wrong_credential_is_not_let_in():
    with bench(source(things=ENDPOINTS["cursor"]), "things") as here:
        here.gate.expire(Asked("GET", "/", {}))
        refused = here.gate(Asked("GET", "/o0/v1/things", {"authorization": "Bearer wrong"}))

    assert refused is not None
    assert refused.status == 401


@pytest.mark.parametrize(
    "name", ["page_total", "offset", "link", "last_record", "session", "lists", "xml", "csv", "jsonl"]
)
def test_no_fault_breaks_the_promise_of_a_kind_of_endpoint(name):
    groups = ["status", "body"] if LONG else ["cut_once", "html", "latin_1", "nothing"]

    found = tried({"path": f"/{name}", **ENDPOINTS[name]}, "paging", *groups)

    assert {(one.fault, one.happened) for one in found.values() if not one.good} == set()
