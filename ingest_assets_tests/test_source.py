"""The rules of a source file's models, each with its refusal; bounds of days; how times are written."""

import re
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from ingest_assets.contract import Column, Contract
from ingest_assets.source import RESERVED_NAMES, Endpoint, Source, cron

WINDOW = {
    "window": {"from": "since", "until": "before"},
    "partitions": {"every": "day", "start": "2026-01-01"},
}
FEED = {"feed": {"from": "since", "start": "2026-01-01", "position": "updated"}}
UPDATED = {"columns": {"updated": {"type": "timestamptz"}}}
KEY = {"primary_key": "id"}
ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


def endpoint(**fields):
    return Endpoint(path="/orders", **fields)


def paged(paginator, **fields):
    return {**KEY, "paginator": paginator, **fields}


def source(name="shop", orders=None, **fields):
    told = {"base_url": "https://shop.example", "endpoints": {"orders": {"path": "/orders", **KEY, **(orders or {})}}}
    return Source(**{"name": name, **told, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({**KEY}, id="a listing that is merged"),
        pytest.param({"write": "replace"}, id="a listing that is replaced"),
        pytest.param({**KEY, **WINDOW}, id="a window"),
        pytest.param({**WINDOW, "write": "replace_partition"}, id="a window without key"),
        pytest.param({**KEY, **WINDOW, "changes": {"lookback": "P28D"}}, id="a window that is looked back at"),
        pytest.param({**KEY, **WINDOW, **UPDATED, "changes": "window", "newest_by": "updated"}, id="by update time"),
        pytest.param({**KEY, **FEED}, id="a feed"),
        pytest.param({**FEED, "write": "append"}, id="a feed that is added"),
        pytest.param({**KEY, **WINDOW, "write": "history"}, id="a history"),
    ],
)
def test_the_three_shapes_are_accepted(fields):
    assert endpoint(**fields).path == "/orders"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**KEY, **WINDOW, **FEED}, "a window, a feed or a listing; this one says both window and feed"),
        ({**KEY, "partitions": WINDOW["partitions"]}, "time partitions need a window"),
        ({**KEY, "window": WINDOW["window"]}, "a window needs partitions"),
        ({**KEY, "changes": "immutable"}, "changes says what a window misses, and this endpoint has no window"),
        ({**KEY, **FEED, "changes": {"lookback": "P1D"}}, "this endpoint has no window"),
        ({}, "write: merge needs a primary_key"),
        ({**KEY, **WINDOW, "changes": "window"}, "newest_by must say which version is newer"),
        ({**KEY, "newest_by": "updated"}, "newest_by 'updated' is not a column: declare it with its type"),
        (
            {**KEY, "newest_by": "id", "columns": {"id": {"type": "varchar"}}},
            "'id' has to be a time or a number, not varchar",
        ),
        ({**UPDATED, "write": "replace", "newest_by": "updated"}, "newest_by is for write: merge and history"),
        ({"write": "replace", "deleted": {"path": "gone", "equals": True}}, "deleted is for write: merge and history"),
        ({"write": "replace_partition"}, "replace_partition needs partitions; without them use replace"),
        ({**FEED, "write": "replace_partition"}, "replace_partition needs partitions"),
        (
            {**WINDOW, "write": "replace_partition", "changes": "window"},
            "a window by update time moves records between partitions",
        ),
        ({**WINDOW, "write": "replace"}, "write: replace would keep one partition only: use replace_partition"),
        ({**FEED, "write": "replace"}, "a feed tells changes only: use write: merge"),
        ({"write": "replace", "incomplete": "warn"}, "would delete what the walk did not reach"),
        ({"write": "append", "incomplete": "warn"}, "would add again what the next walk brings"),
        ({**WINDOW, "write": "append"}, "a window is fetched again, and write: append would add its records each time"),
        (
            {"write": "append", "feed": {**FEED["feed"], "overlap": "PT1H"}},
            "write: append would add again what the overlap brings again",
        ),
        ({"write": "history"}, "write: history needs a primary_key"),
        ({"write": "replace", "sweep": True}, "sweep is for write: merge and history"),
        ({**KEY, **FEED, "sweep": True}, "a feed tells changes only: what it does not bring is there all the same"),
        ({**KEY, **UPDATED, "newest_by": "updated", "sweep": True}, "with sweep leave newest_by out"),
        ({**KEY, "params": {"customer": "{customers.id}"}, "sweep": True}, "not every fetch asks all parents"),
        ({**KEY, "deletes": "soft"}, "nothing is deleted here else"),
        ({**KEY, "sweep": {"most": 20}}, "less than or equal to 1"),
        ({**KEY, **UPDATED, "write": "history", "newest_by": "updated"}, "required: true, from the record"),
        ({**KEY, "write": "history", "columns": {"current": {"type": "boolean"}}}, "is a column of every history"),
        ({**KEY, **WINDOW, "window": {**WINDOW["window"], "position": "at"}}, "position is for inclusive: true"),
        (
            {**KEY, **WINDOW, "window": {**WINDOW["window"], "inclusive": True, "position": "at", "format": "date"}},
            "position is for bounds that tell seconds, and format date tells none",
        ),
        (
            {**KEY, **WINDOW, "window": {**WINDOW["window"], "inclusive": True, "position": "at"}},
            "position 'at' is not a column of type timestamptz: declare it",
        ),
        (
            {**KEY, **WINDOW, "window": {"from": "since"}},
            "'until' is missing: name the parameter of this bound, or write {until}",
        ),
        (
            {**KEY, "feed": {**FEED["feed"], "from": None}},
            "'from' is missing: name the parameter of this bound, or write {from}",
        ),
        (
            {
                **KEY,
                "params": {"q": "{from}"},
                "feed": {"start": "2026-01-01", "cursor": {"path": "next", "param": "after"}},
            },
            "'from' is missing: name the parameter of this bound",
        ),
        (
            {**KEY, "method": "POST", "body_as": "form", "body": {"a": {"b": 1}}},
            "a form holds texts, numbers and lists of",
        ),
        ({**KEY, "method": "POST", "body_as": "form", "body": {"a": [[1]]}}, "write it as JSON text in quotes"),
        ({**KEY, "method": "POST", "body_as": "form", "body": {"a": None}}, "a form holds texts, numbers and lists of"),
        ({**KEY, "max_empty_pages": 5}, "max_empty_pages is for empty_page: continue"),
        ({**KEY, "empty_page": "continue", "max_empty_pages": 0}, "greater than or equal to 1"),
        ({**KEY, "body": {"a": 1}}, "a body is sent with method: POST"),
        (paged({"type": "page", "total": "n"}, params={"page": 1}), "'page' is set by the paginator, page by page"),
        (
            paged({"type": "offset", "param": {"header": "X-At"}, "total": "n"}, headers={"x-at": "0"}),
            "'x-at' is set by the paginator, page by page",
        ),
        (
            paged({"type": "cursor", "path": "c", "param": "c", "first": "*"}, params={"c": "*"}),
            "'c' is set by the paginator, page by page",
        ),
        (
            {**WINDOW, "write": "replace_partition", "window": {**WINDOW["window"], "cap": 10}},
            "that takes a primary_key",
        ),
        ({**KEY, **WINDOW, "window": {**WINDOW["window"], "cap": 10}}, "a cap is reached from page to page"),
        ({**KEY, **WINDOW, "window": {**WINDOW["window"], "cap": 0}}, "greater than 0"),
        ({**KEY, **WINDOW, "window": {"stop_at": "at"}}, "'at' is not a column of type timestamptz, required: true"),
        (
            {**KEY, **WINDOW, "window": {"stop_at": "at", "from": "a"}},
            "take no lower bound, and this one is asked with",
        ),
        ({**KEY, **WINDOW, "window": {"stop_at": "at", "pieces": 2}}, "position and pieces are for windows that are"),
        ({**KEY, **WINDOW, "window": {"stop_at": "at"}}, "stop_at ends a walk from page to page: name a paginator"),
        (paged({"type": "page", "param": {"path": "page"}, "total": "n"}), "it fills {page} in the path, and the path"),
        ({**KEY, "total": "n", "count": {"path": "/count"}}, "total and count both say how many records there are"),
        ({**KEY, "count": {"path": "https://x.example/count"}}, "leave scheme and host out"),
        ({**KEY, "count": {"path": "/count", "body": {"a": 1}}}, "a body is sent with method: POST"),
        ({**KEY, "count": {"path": "/count", "headers": {"Cookie": "a"}}}, "a header of credentials"),
        (
            {
                **KEY,
                **WINDOW,
                "window": {"format": "date"},
                "params": {"q": "{from} {until}"},
                "count": {"path": "/count", "params": {"q": "{from}"}},
            },
            "{until} chooses the records and is not in the count",
        ),
        (
            {
                **KEY,
                "feed": {"from": "a", "start": "2026-01-01", "cursor": {"path": "next", "param": "after"}},
                "count": {"path": "/count"},
            },
            "a feed that goes on by a cursor has no bounds that could be counted between",
        ),
        ({**KEY, "time_zone": "CEST"}, "'CEST' is not a time zone such as Europe/Amsterdam"),
        ({**KEY, **WINDOW, "changes": "windows"}, "expected immutable, window, unseen, {lookback: P28D} or"),
        ({**KEY, "feed": {"from": "since", "start": "2026-01-01"}}, "by either cursor (opaque) or position"),
        (
            {**KEY, "feed": {**FEED["feed"], "cursor": {"path": "next", "param": "after"}}},
            "by either cursor (opaque) or position",
        ),
        ({**KEY, "feed": {**FEED["feed"], "start": 2026}}, "expected a date such as 2026-01-01"),
        ({**KEY, **WINDOW, "partitions": {"start": 20260101}}, "expected a date such as 2026-01-01"),
        ({**KEY, **WINDOW, "window": {**WINDOW["window"], "format": "unixx"}}, "expected iso, date, unix, unix_ms"),
        ({**KEY, "fresh_within": "26h"}, "write PT26H"),
        ({**KEY, "fresh_within": "2 days"}, "write P2D"),
        ({**KEY, "fresh_within": 26}, "expected a duration with its unit, such as PT1S"),
        ({**KEY, "rate_limit": 5}, "expected {requests: 25, per: PT1S}, {points: 900, per: PT1M} or {in_flight: 4}"),
        ({**KEY, "rate_limit": {"in_flight": 0}}, "greater than 0"),
        ({**KEY, "cost": 0}, "greater than 0"),
        ({**KEY, "rate_limit": {"requests": 5, "per": 60}}, "expected a duration with its unit, such as PT1S"),
        ({**KEY, "rate_limit": {"requests": 5, "per": 0.5}}, "expected a duration with its unit, such as PT1S"),
        ({**KEY, "rate_limit": {"requests": 5, "per": "1 min"}}, "write PT1M"),
        ({**KEY, "rate_limit": {"requests": 5, "per": "PT0S"}}, "greater than"),
        ({**KEY, "columns": {"at": {"type": "timestamptz", "format": "ISO8601"}}}, "expected iso, date, unix, unix_ms"),
        ({**KEY, "columns": {"at": {"type": "date", "format": "%Y-%Q"}}}, "is no strptime pattern; expected such as"),
        ({**KEY, "columns": {"at": {"type": "date", "format": "%Y %Y"}}}, "is no strptime pattern; expected such as"),
        ({**KEY, "columns": {"at": {"type": "date", "format": "50%"}}}, "is no strptime pattern; expected such as"),
        ({**KEY, "columns": {"at": {"type": "time", "format": "date"}}}, "a time of day is in no date"),
        ({**KEY, "base_url": "shop.example"}, "expected a URL such as https://api.example.com/v1"),
        ({**KEY, "columns": {"_id": {"type": "bigint"}}}, "names that begin with _ are the project's own"),
        ({**KEY, "columns": {"": {"type": "bigint"}}}, "a column's name is empty"),
        ({**KEY, "columns": {"Id": {"type": "bigint"}}}, "'id' and column 'Id' differ by case only"),
        (
            {**KEY, "columns": {"number": {"type": "bigint", "path": "id"}}},
            "primary_key 'id' is where column 'number' has its value",
        ),
        (
            {**KEY, "write": "history", "columns": {"Valid_From": {"type": "bigint"}}},
            "'Valid_From' is a column of every history",
        ),
        (
            {**KEY, "columns": {"Id": {"type": "bigint"}, "id": {"type": "bigint"}}},
            "columns 'Id' and 'id' differ by case only",
        ),
        (
            {**KEY, "children": {"lines": {"columns": {"_hash": {"type": "bigint"}}}}},
            "names that begin with _ are the project's own",
        ),
        (
            {**KEY, "children": {"lines": {"columns": {"a": {"type": "json"}, "A": {"type": "json"}}}}},
            "columns 'a' and 'A' differ by case only",
        ),
    ],
)
def test_an_endpoint_that_breaks_a_rule_is_refused(fields, message):
    with pytest.raises(ValidationError) as refusal:
        endpoint(**fields)

    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "form",
    [
        "iso",
        "date",
        "unix",
        "unix_ms",
        "%d.%m.%Y",
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%d/%b/%y %I:%M %p",
        "%j %Y %%",
        "%Y-%m-%d %%Z",
        "%Y-W%W-%w",
        "%a %b %d %H:%M:%S %z %Y",
        "%Y-%m",
    ],
)
def test_a_columns_format_is_one_that_can_be_read(form):
    assert Column(type="timestamptz", format=form).format == form


def test_all_broken_rules_are_told_at_once():
    with pytest.raises(ValidationError) as refusal:
        endpoint(**FEED, changes="immutable", write="replace", incomplete="warn")

    told = str(refusal.value)
    assert "this endpoint has no window" in told
    assert "would delete what the walk did not reach" in told
    assert "a feed tells changes only" in told


@pytest.mark.parametrize("name", ["Orders", "2orders", "or-ders", "_orders", "", "o" * 41, "größe"])
@pytest.mark.parametrize("part", ["source", "endpoints", "settings"])
def test_bad_names_are_refused(part, name):
    told = {
        "source": {"name": name},
        "endpoints": {"endpoints": {name: {"path": "/", **KEY}}},
        "settings": {"settings": {name: "x"}},
    }

    with pytest.raises(ValidationError, match="is not a name: small letters, digits and _, a letter first"):
        source(**told[part])


@pytest.mark.parametrize("name", ["pg_catalog", "information_schema", "main", "temp", "system", "_ingest"])
def test_names_of_the_databases_own_schemas_are_refused(name):
    with pytest.raises(ValidationError, match="is a schema of the database's own: rename the file"):
        source(name=name)

    assert name in RESERVED_NAMES


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"orders": {"cost": 5}}, "a cost counts in limits of points, and none holds here"),
        ({"orders": {"cost": 5, "rate_limit": {"points": 4, "per": "PT1S"}}}, "5 points fits into no limit of 4"),
        ({"orders": {"cost": 5}, "rate_limit": {"points": 4, "per": "PT1S"}}, "5 points fits into no limit of 4"),
        ({"orders": {"bucket": "search"}}, "'search' is not one of the source's buckets; there are none"),
        (
            {"orders": {"bucket": ["read", "read"]}, "buckets": {"read": {"requests": 1, "per": "PT1S"}}},
            "'read' stands twice",
        ),
        ({"buckets": {"read": {"requests": 1, "per": "PT1S"}}}, "no endpoint counts in it: say `bucket: read`"),
        ({"orders": {"bucket": "read"}, "buckets": {"read": []}}, "expected at least one limit, such as"),
        ({"orders": {"bucket": "Read"}, "buckets": {"Read": {"in_flight": 1}}}, "is not a name: small letters"),
    ],
)
def test_a_bucket_or_a_cost_that_counts_nowhere_is_refused(fields, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        source(**fields)


def test_a_cost_counts_in_the_points_of_a_bucket():
    told = source(orders={"cost": 5, "bucket": "read"}, buckets={"read": {"points": 5, "per": "PT1M"}})

    assert told.endpoints["orders"].bucket == ("read",)


def test_an_endpoint_cannot_take_the_name_of_a_list_table():
    with pytest.raises(ValidationError, match="'a__b' would also hold a list of endpoint 'a'"):
        source(endpoints={"a": {"path": "/a", **KEY}, "a__b": {"path": "/b", **KEY}})


def test_an_endpoint_may_begin_as_another_one_does():
    names = ("a", "a_b", "ab", "b__a")

    assert [*source(endpoints={name: {"path": "/", **KEY} for name in names}).endpoints] == [*names]


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"base_url": "https://{sub}.example"}, "nothing"),
        ({"account": "{sub}"}, "nothing"),
        ({"headers": {"X": "{sub}"}}, "nothing"),
        ({"headers": {"X": "{from}"}, "orders": WINDOW}, "nothing"),
        ({"auth": {"type": "basic", "user": "{sub}", "password": {"env": "KEY"}}}, "nothing"),
        ({"orders": {"path": "/{sub}"}}, "nothing"),
        ({"orders": {"path": "/{from}"}}, "nothing"),
        ({"orders": {"params": {"day": "{partition}"}}}, "nothing"),
        ({"orders": {"method": "POST", "body": {"a": [{"day": "{partition}"}]}}}, "nothing"),
        ({"orders": {"method": "POST", "body": {"day": "{from}"}, "body_as": "form"}}, "nothing"),
        (
            {"orders": {**WINDOW, "params": {"day": "{day}"}}, "settings": {"a": "b"}},
            "{a}, {from}, {partition}, {until}",
        ),
    ],
)
def test_placeholders_that_nothing_replaces_are_refused(fields, known):
    with pytest.raises(ValidationError) as refusal:
        source(**fields)

    assert f"is replaced by nothing; known here: {known}" in str(refusal.value)


def test_settings_and_the_partition_may_stand_in_a_request():
    orders = {**WINDOW, "path": "/{shop}/{partition}", "params": {"q": "{from}..{until}"}, "headers": {"X": "{shop}"}}

    assert source(base_url="{url}/v1", settings={"url": {"env": "URL"}, "shop": "one"}, orders=orders).name == "shop"


def test_a_setting_cannot_hide_a_part_of_the_partition():
    with pytest.raises(ValidationError, match="is a part of the partition: name the setting otherwise"):
        source(settings={"from": "x"})


@pytest.mark.parametrize("feed", ["orders", "events"])
def test_changes_are_told_by_another_endpoint_that_exists(feed):
    with pytest.raises(ValidationError, match=f"'{feed}' is not another endpoint of this source; there are none"):
        source(orders={**WINDOW, "changes": {"feed": feed}})


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization"])
def test_credentials_are_no_plain_headers(name):
    with pytest.raises(ValidationError, match="a header of credentials: name the secret under auth:"):
        source(headers={name: "abc"})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("shop.example/v1", "expected a URL such as"),
        ("ftp://shop.example", "expected a URL such as"),
        ("https:///v1", "expected a URL such as"),
        ("https://jo:abc@shop.example", "holds a user or password: name them under auth:"),
        ("https://shop.example?key=1", "ends before"),
    ],
)
def test_a_base_url_is_scheme_host_and_path(url, message):
    with pytest.raises(ValidationError) as refusal:
        source(base_url=url)

    assert message in refusal.value.errors()[0]["msg"]


def test_a_source_without_endpoints_is_refused():
    with pytest.raises(ValidationError, match="a source has at least one endpoint"):
        source(endpoints={})


@pytest.mark.parametrize("text", ["30 2 * * *", "*/5 * * * *", "0 6-22/2 1,15 jan-mar mon-fri", "0 0 * * 7"])
def test_a_schedule_is_five_fields_of_cron(text):
    assert cron(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("daily", "expected five fields of cron"),
        ("0 2 * *", "expected five fields of cron"),
        ("60 2 * * *", "'60' is no minute of cron"),
        ("0 24 * * *", "'24' is no hour of cron"),
        ("0 0 0 * *", "'0' is no day of the month of cron"),
        ("0 0 * 13 *", "'13' is no month of cron"),
        ("0 0 * * sunday", "'sunday' is no day of the week of cron"),
        ("*/0 * * * *", "is no minute of cron"),
        ("5-1 * * * *", "is no minute of cron"),
        ("1-2-3 * * * *", "is no minute of cron"),
        (", * * * *", "is no minute of cron"),
    ],
)
def test_a_schedule_that_cron_would_not_know_is_refused(text, message):
    with pytest.raises(ValueError, match="cron") as refusal:
        cron(text)

    assert message in str(refusal.value)


def test_a_feed_that_starts_on_a_day_starts_at_its_midnight_in_utc():
    starts = [
        endpoint(**KEY, feed={**FEED["feed"], "start": told}).feed.start for told in ("2026-01-01", date(2026, 1, 1))
    ]

    assert starts == [datetime(2026, 1, 1, tzinfo=UTC)] * 2


def test_a_feed_keeps_the_offset_of_its_start():
    feed = endpoint(**KEY, feed={**FEED["feed"], "start": "2026-01-01T00:00:00+02:00"}).feed

    assert feed.start == datetime(2025, 12, 31, 22, tzinfo=UTC)


def test_the_contract_holds_what_the_table_promises():
    told = endpoint(**KEY, **UPDATED, newest_by="updated", deleted={"path": "state", "equals": "gone"}).contract

    assert told == Contract(
        columns={"updated": Column(type="timestamptz")},
        primary_key=("id",),
        newest_by="updated",
        deleted={"path": "state", "equals": "gone"},
    )


def test_what_only_asks_leaves_the_contract_as_it_is():
    one, other = endpoint(**KEY), endpoint(**KEY, params={"limit": 100}, fresh_within="PT1H", records="data")

    assert one.contract.version == other.contract.version


def test_a_key_comes_in_several_partitions_where_the_window_is_by_update_time():
    updates = endpoint(**KEY, **WINDOW, **UPDATED, changes="window", newest_by="updated")
    made = endpoint(**KEY, **WINDOW, changes={"lookback": "P1D"})

    assert updates.keys_cross_partitions
    assert not made.keys_cross_partitions


BY = {"by": {"account": ["eu", "us"]}}
PERIOD = WINDOW["partitions"]
ACCOUNT = {"columns": {"account": {"type": "varchar", "from_partition": "account"}}, "primary_key": ["account", "id"]}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({**WINDOW, **KEY, "partitions": {**PERIOD, "every": "hour", "open": True}}, id="open hours"),
        pytest.param(
            {**WINDOW, **KEY, "partitions": {**PERIOD, "every": "month", "settle": "P1D"}}, id="settled months"
        ),
        pytest.param({"partitions": BY, "write": "replace_partition"}, id="accounts that are replaced"),
        pytest.param({"partitions": BY, **ACCOUNT}, id="accounts whose key tells them apart"),
        pytest.param({"partitions": BY, **KEY, **UPDATED, "newest_by": "updated"}, id="accounts that share keys"),
        pytest.param({**WINDOW, **ACCOUNT, "partitions": {**PERIOD, **BY}}, id="days of accounts"),
        pytest.param({**FEED, **ACCOUNT, "partitions": BY}, id="a feed of each account"),
        pytest.param({"partitions": {"by": {"region": ["a"], "shop": ["b"]}}, "write": "replace_partition"}, id="two"),
    ],
)
def test_periods_and_accounts_are_accepted(fields):
    assert endpoint(**fields).partitions.dimensions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"partitions": {}}, "expected every and start, such as"),
        ({**WINDOW, "partitions": {"every": "day"}}, "every needs start beside it"),
        ({**WINDOW, "partitions": {"start": "2026-01-01"}}, "start needs every beside it"),
        ({"partitions": {**BY, "open": True}}, "open is about periods"),
        ({"partitions": {**BY, "settle": "PT1H"}}, "settle is about periods"),
        (
            {**WINDOW, "partitions": {**PERIOD, "settle": "-PT1H"}},
            "not one that lies before the end|expected a duration",
        ),
        ({**WINDOW, "partitions": {**PERIOD, "every": "year"}}, "hour"),
        (
            {**WINDOW, "partitions": {**PERIOD, "by": {"a": ["1"], "b": ["2"]}}},
            "two dimensions at most; these are a, b, day",
        ),
        ({"partitions": {"by": {"day": ["a"]}}}, "'day' is a word of the file's own"),
        ({"partitions": {"by": {"partition": ["a"]}}}, "'partition' is a word of the file's own"),
        ({"partitions": {"by": {"No": ["a"]}}}, "'No' is not a name"),
        ({"partitions": {"by": {"account": []}}}, "expected at least one value"),
        ({"partitions": {"by": {"account": ["a", "a"]}}}, "'a' stands twice"),
        ({"partitions": {"by": {"account": ["a|b"]}}}, "cannot be part of a partition's key"),
        ({"partitions": {"by": {"account": "eu"}}}, "expected a list such as"),
        ({"partitions": BY, "write": "replace"}, "use replace_partition"),
        ({"partitions": BY}, "two of 'account' may have records of the same key: put it into the key"),
        ({**ACCOUNT}, "'account' is no dimension of the partitions; there are no partitions"),
        (
            {"partitions": {"by": {"shop": ["a"]}}, **ACCOUNT},
            "'account' is no dimension of the partitions; there are shop",
        ),
        (
            {"partitions": BY, "primary_key": "n", "columns": {"n": {"type": "bigint", "from_partition": "account"}}},
            "a column of 'account' is varchar",
        ),
        (
            {**WINDOW, "time_zone": "Australia/Lord_Howe", "partitions": {**PERIOD, "every": "hour"}},
            "the clock of Australia/Lord_Howe moves by half an hour",
        ),
        (
            {"window": {**WINDOW["window"], "format": "date"}, "partitions": {**PERIOD, "every": "hour"}},
            "a bound written as 'date' tells no hour",
        ),
        (
            {
                "window": {**WINDOW["window"], "format": "%Y-%m-%d %H:%M"},
                "time_zone": "Europe/Amsterdam",
                "partitions": {**PERIOD, "every": "hour"},
            },
            "an hour comes twice a year in Europe/Amsterdam: its bounds need an offset",
        ),
    ],
)
def test_partitions_that_could_not_be_right_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        endpoint(**{**KEY, **fields})


def test_numbers_stand_for_accounts_as_text():
    told = endpoint(partitions={"by": {"account": [1, "b"]}}, write="replace_partition")

    assert told.partitions.by == {"account": ("1", "b")}


def listed(**by):
    return {"path": "/entries", "write": "replace_partition", "partitions": {"by": by}}


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ({"a": listed(x={"endpoint": "b", "field": "id"})}, "'b' is not another endpoint of this source"),
        ({"a": listed(x={"endpoint": "a", "field": "id"})}, "'a' is not another endpoint of this source"),
        (
            {"a": listed(x={"endpoint": "b", "field": "id"}), "b": listed(x={"endpoint": "a", "field": "id"})},
            "is itself listed by",
        ),
    ],
)
def test_what_lists_partitions_has_to_come_first(endpoints, message):
    with pytest.raises(ValidationError, match=message):
        Source(name="shop", base_url="https://shop.example", endpoints=endpoints)


def test_a_dimension_is_a_placeholder_but_for_where_credentials_go():
    account = {"partitions": BY, "write": "replace_partition", "primary_key": ()}

    assert source(orders={**account, "path": "/{account}", "headers": {"X": "{account}"}, "params": {"a": "{account}"}})
    with pytest.raises(ValidationError, match=r"\{account\} is replaced by nothing"):
        source(orders={**account, "base_url": "https://{account}.example"})
    with pytest.raises(ValidationError, match="is a setting of this source: rename one of them"):
        source(orders=account, settings={"account": "x"})


def test_a_period_can_be_told_by_a_column():
    fields = {**WINDOW, **KEY, "columns": {"day": {"type": "date", "from_partition": "day"}}}

    assert endpoint(**fields).told("2026-01-07") == {"day": "2026-01-07"}
    hours = {**fields, "partitions": {**PERIOD, "every": "hour"}, "time_zone": "Europe/Amsterdam"}
    hours["columns"] = {"at": {"type": "timestamptz", "from_partition": "hour"}}
    assert endpoint(**hours).told("2026-10-25-02:00+0100") == {"hour": "2026-10-25T02:00:00+01:00"}
