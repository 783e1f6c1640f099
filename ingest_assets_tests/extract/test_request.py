"""What a walk asks for first, and by what a request is known again."""

import pytest

from ingest_assets.extract.request import Walk, fingerprint, first_request, request_key
from ingest_assets.http.page import PageRequest
from ingest_assets.source import Source

WINDOW = {"path": "/things", "partitions": {"every": "day", "start": "2026-01-01"}, "primary_key": "id"}


def walk(endpoint, partition=None, position=None, **source):
    told = {"name": "shop", "base_url": "https://x.example/v1/", "endpoints": {"things": endpoint}} | source
    return Walk(Source.model_validate(told), "things", partition, position)


def asked(window, partition, zone="UTC"):
    bounds = {"from": "from", "until": "until"} | window
    told = {**WINDOW, "window": bounds, "time_zone": zone, "columns": {"at": {"type": "timestamptz"}}}
    return dict(first_request(walk(told, partition)).params)


@pytest.mark.parametrize(
    ("window", "from_", "until"),
    [
        ({"format": "date"}, "2026-02-28", "2026-03-01"),
        ({"format": "date", "inclusive": True}, "2026-02-28", "2026-02-28"),
        ({"format": "iso"}, "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ({"format": "iso", "inclusive": True}, "2026-02-28T00:00:00Z", "2026-02-28T23:59:59.999999Z"),
        ({"format": "%d.%m.%Y %T", "inclusive": True}, "28.02.2026 00:00:00", "28.02.2026 23:59:59"),
        ({"format": "iso", "inclusive": True, "position": "at"}, "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ({"format": "unix", "inclusive": True, "position": "at"}, "1772236800", "1772323200"),
        ({"format": "unix"}, "1772236800", "1772323200"),
        ({"format": "unix", "inclusive": True}, "1772236800", "1772323199"),
        ({"format": "unix_ms"}, "1772236800000", "1772323200000"),
        ({"format": "unix_ms", "inclusive": True}, "1772236800000", "1772323199999"),
        ({"format": "%d.%m.%Y"}, "28.02.2026", "01.03.2026"),
        ({"format": "%d.%m.%Y", "inclusive": True}, "28.02.2026", "28.02.2026"),
    ],
)
def test_a_day_is_asked_for_by_its_bounds(window, from_, until):
    assert asked(window, "2026-02-28") == {"from": from_, "until": until}


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_of_a_zone_is_as_long_as_it_is_there(day, hours):
    found = asked({"format": "unix"}, day, "Europe/Amsterdam")

    assert (int(found["until"]) - int(found["from"])) / 3600 == hours


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_days_follow_each_other_without_gap_or_overlap(zone):
    days = [f"2026-{month:02}-{day:02}" for month in (3, 4, 10, 11) for day in range(1, 31)]

    found = [asked({"format": "unix"}, day, zone) for day in days]

    breaks = [n for n in range(1, len(days)) if found[n]["from"] != found[n - 1]["until"]]
    assert [days[n] for n in breaks] in ([], ["2026-04-01", "2026-10-01", "2026-11-01"], ["2026-04-01", "2026-10-01"])


def test_an_inclusive_last_moment_of_the_longest_day_is_its_last_microsecond():
    found = asked({"format": "iso", "inclusive": True}, "2026-10-25", "Europe/Amsterdam")

    assert found == {"from": "2026-10-25T00:00:00+02:00", "until": "2026-10-25T23:59:59.999999+01:00"}


def test_the_partition_and_its_bounds_can_stand_in_path_and_params():
    window = {"from": "a", "until": "b", "format": "date"}
    endpoint = {**WINDOW, "window": window, "path": "/days/{partition}", "params": {"q": "{from}..{until}"}}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert request.url == "https://x.example/v1/days/2026-02-28"
    assert dict(request.params)["q"] == "2026-02-28..2026-03-01"


def test_truth_values_are_written_small():
    request = first_request(walk({"path": "/things", "params": {"all": True, "n": 1.5}, "primary_key": "id"}))

    assert request.params == (("all", "true"), ("n", "1.5"))


def test_a_form_carries_the_bounds_in_its_body():
    window = {"from": "from", "until": "until", "format": "date"}
    endpoint = {**WINDOW, "window": window, "method": "POST", "body": {"project": "1"}, "body_as": "form"}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert request.body == {"project": "1", "from": "2026-02-28", "until": "2026-03-01"}
    assert request.params == ()


NESTED = {
    "day": "{partition}",
    "all": [{"between": ["{from}", "{until}"]}, 7, None, True],
    "text": "{from}..{until}!",
}
FILLED = {
    "day": "2026-02-28",
    "all": [{"between": ["1772236800", "1772323200"]}, 7, None, True],
    "text": "1772236800..1772323200!",
}
FLAT = {"day": "{partition}", "between": ["{from}", "{until}", 7], "json": '{"a": "{from}"}'}
FLAT_FILLED = {"day": "2026-02-28", "between": ["1772236800", "1772323200", 7], "json": '{"a": "1772236800"}'}


@pytest.mark.parametrize(("body_as", "body", "filled"), [("json", NESTED, FILLED), ("form", FLAT, FLAT_FILLED)])
def test_the_partition_and_its_bounds_can_stand_anywhere_in_a_body(body_as, body, filled):
    window = {"from": "a", "until": "b", "format": "unix"}
    endpoint = {**WINDOW, "window": window, "method": "POST", "body": body, "body_as": body_as}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert {name: value for name, value in request.body.items() if name in body} == filled


@pytest.mark.parametrize("how", [{}, {"body": {"x": 1}}, {"body": {"x": 1}, "body_as": "form"}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_partition_and_its_bounds_can_stand_in_parameters_however_they_are_sent(method, how):
    window = {"from": "a", "until": "b", "format": "date"}
    how = {} if method == "GET" else how
    endpoint = {**WINDOW, "window": window, "method": method, "params": {"q": "{partition} {from}..{until}"}, **how}

    request = first_request(walk(endpoint, "2026-02-28"))

    sent = {**dict(request.params), **(request.body or {})}
    assert sent["q"] == "2026-02-28 2026-02-28..2026-03-01"


def test_bounds_that_stand_in_the_body_need_no_parameters():
    endpoint = {**WINDOW, "window": {"format": "date"}, "method": "POST", "body": {"range": ["{from}", "{until}"]}}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert (request.params, request.body) == ((), {"range": ["2026-02-28", "2026-03-01"]})


@pytest.mark.parametrize(
    ("position", "from_"), [(None, "2026-01-01T00:00:00Z"), ("2026-02-03T04:05:06+00:00", "2026-02-03T04:00:06Z")]
)
def test_a_feed_by_time_can_have_its_lower_bound_in_the_body(position, from_):
    feed = {"start": "2026-01-01", "position": "at", "overlap": "PT5M"}
    endpoint = {"path": "/things", "primary_key": "id", "method": "POST", "body": {"since": "{from}"}, "feed": feed}

    request = first_request(walk(endpoint, None, position))

    assert (request.params, request.body) == ((), {"since": from_})


def test_a_placeholder_is_replaced_once():
    endpoint = {**WINDOW, "window": {"from": "a", "until": "b", "format": "{partition}%d"}, "params": {"q": "{from}"}}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert dict(request.params) == {"q": "{partition}28", "a": "{partition}28", "b": "{partition}01"}


def test_the_bounds_in_a_text_are_those_that_are_sent_as_parameters():
    window = {"from": "a", "until": "b", "format": "date", "inclusive": True}
    endpoint = {**WINDOW, "window": window, "params": {"q": "{from}..{until}"}}

    request = first_request(walk(endpoint, "2026-02-28"))

    assert dict(request.params) == {"q": "2026-02-28..2026-02-28", "a": "2026-02-28", "b": "2026-02-28"}


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/others"},
        {"params": {"limit": 50}},
        {"headers": {"Accept": "text/plain"}},
        {"records": "items"},
        {"decoder": {"type": "jsonl"}},
        {"paginator": {"type": "next_url", "path": "next"}},
    ],
)
def test_a_walk_is_another_one_where_its_request_or_its_reading_changed(change):
    endpoint = {"path": "/things", "primary_key": "id"}
    before, after = walk(endpoint), walk(endpoint | change)

    assert fingerprint(before, first_request(before)) != fingerprint(after, first_request(after))


def test_a_walk_is_the_same_where_only_its_table_changed():
    endpoint = {"path": "/things", "primary_key": "id"}
    before, after = walk(endpoint), walk(endpoint | {"columns": {"id": {"type": "bigint"}}, "description": "x"})

    assert fingerprint(before, first_request(before)) == fingerprint(after, first_request(after))


def test_a_request_is_known_again_whatever_the_order_of_its_parameters():
    one, other = (
        PageRequest("https://x.example", params) for params in [(("a", "1"), ("b", "2")), (("b", "2"), ("a", "1"))]
    )

    assert request_key(one) == request_key(other)
    assert request_key(one) != request_key(PageRequest("https://x.example", (("a", "1"), ("b", "3"))))


def hourly(form, zone="Europe/Amsterdam", **window):
    return {
        "path": "/things",
        "primary_key": "id",
        "time_zone": zone,
        "window": {"from": "from", "until": "until", "format": form, **window},
        "partitions": {"every": "hour", "start": "2026-01-01"},
    }


@pytest.mark.parametrize(
    ("hour", "lower", "upper"),
    [
        ("2026-03-29-01:00", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25-02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"),
        ("2026-10-25-02:00+0100", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"),
    ],
)
def test_hours_in_which_the_clock_moves_are_an_hour_long(hour, lower, upper):
    iso, unix = (dict(first_request(walk(hourly(form), hour)).params) for form in ("iso", "unix"))

    assert iso == {"from": lower, "until": upper}
    assert int(unix["until"]) - int(unix["from"]) == 3600


@pytest.mark.parametrize("hour", ["2026-03-29-01:00", "2026-10-25-02:00", "2026-10-25-02:00+0100"])
def test_the_last_second_of_an_hour_is_the_one_before_the_next_hour_also_where_the_clock_moves(hour):
    found = dict(first_request(walk(hourly("unix", inclusive=True), hour)).params)

    assert int(found["until"]) - int(found["from"]) == 3599


def test_hours_of_a_zone_with_half_an_hour_begin_at_its_full_hours():
    found = dict(first_request(walk(hourly("iso", "Asia/Kolkata"), "2026-01-05-00:00")).params)

    assert found == {"from": "2026-01-05T00:00:00+05:30", "until": "2026-01-05T01:00:00+05:30"}


@pytest.mark.parametrize(
    ("every", "key", "upper", "last"),
    [("week", "2026-03-23", "2026-03-30", "2026-03-29"), ("month", "2026-02-01", "2026-03-01", "2026-02-28")],
)
def test_weeks_and_months_are_bounded_by_their_days(every, key, upper, last):
    endpoint = {**hourly("date"), "partitions": {"every": every, "start": "2026-01-01"}}
    inclusive = {**endpoint, "window": {**endpoint["window"], "inclusive": True}}

    assert dict(first_request(walk(endpoint, key)).params) == {"from": key, "until": upper}
    assert dict(first_request(walk(inclusive, key)).params) == {"from": key, "until": last}


def test_an_account_stands_where_it_is_named_and_never_changes_the_path():
    endpoint = {
        "path": "/accounts/{account}/things",
        "method": "POST",
        "params": {"for": "{account}"},
        "headers": {"X-Account": "{account}"},
        "body": {"where": ["{account}", 1]},
        "write": "replace_partition",
        "partitions": {"by": {"account": ["a/../b?c#d"]}},
    }

    request = first_request(walk(endpoint, "a/../b?c#d"))

    assert request.url == "https://x.example/v1/accounts/a%2F..%2Fb%3Fc%23d/things"
    assert request.params == (("for", "a/../b?c#d"),)
    assert dict(request.headers) == {"X-Account": "a/../b?c#d"}
    assert request.body == {"where": ["a/../b?c#d", 1]}
