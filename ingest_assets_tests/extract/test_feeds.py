"""Where a feed goes on: by the time of its records, or by a cursor."""

from datetime import timedelta

import pytest

from ingest_assets.errors import RequestFailed, WalkIncomplete

BY_TIME = {"paginator": None, "feed": {"from": "since", "start": "2026-01-01", "position": "at", "overlap": "PT5M"}}
BY_CURSOR = {
    "feed": {"from": "since", "start": "2026-01-01", "cursor": {"path": "next", "param": "cursor"}},
    "paginator": {"type": "cursor", "path": "next", "param": "cursor", "done": "done", "drop": ["since"]},
}


def events(*times):
    return {"data": [{"id": n} if at is None else {"id": n, "at": at} for n, at in enumerate(times)]}


def test_the_first_fetch_of_a_feed_begins_at_its_start(lab, api):
    api.pages(events("2026-03-01T00:00:00Z"))

    lab.fetch(lab.walk(BY_TIME))

    assert api.asked == [{"since": "2026-01-01T00:00:00Z"}]


def test_the_next_fetch_begins_at_the_greatest_time_less_the_overlap(lab, api):
    api.pages(events("2026-03-02T00:00:00Z", "2026-03-03T10:00:00+02:00", "2026-03-01T00:00:00Z"))
    first = lab.fetch(lab.walk(BY_TIME))

    lab.fetch(lab.walk(BY_TIME, position=first.manifest.ended.position))

    assert lab.positions()[0] == "2026-03-03T08:00:00+00:00"
    assert api.asked[1] == {"since": "2026-03-03T07:55:00Z"}


def test_the_greatest_time_of_all_pages_counts(lab, api):
    paged = BY_TIME | {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}
    api.pages(events("2026-03-02T00:00:00Z") | {"next": "1"}, events("2026-03-01T00:00:00Z") | {"next": None})

    lab.fetch(lab.walk(paged))

    assert lab.positions() == ["2026-03-02T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("form", "value"),
    [("unix", 1772409600), ("unix", "1772409600"), ("unix", 1772409600.0), ("unix_ms", 1772409600000)],
)
def test_times_may_be_numbers(lab, api, form, value):
    api.pages(events(value))

    lab.fetch(lab.walk({**BY_TIME, "feed": BY_TIME["feed"] | {"format": form}}))

    assert lab.positions() == ["2026-03-02T00:00:00+00:00"]


def test_a_text_of_seconds_may_have_a_fraction_as_slacks_has(lab, api):
    api.pages(events("1772409600.000216"))

    lab.fetch(lab.walk({**BY_TIME, "feed": BY_TIME["feed"] | {"format": "unix"}}))

    assert lab.positions() == ["2026-03-02T00:00:00.000216+00:00"]


@pytest.mark.parametrize(
    ("zone", "form", "asked"),
    [
        ("UTC", "date", "2026-03-02"),
        ("Europe/Amsterdam", "date", "2026-03-03"),
        ("UTC", "%Y-%m-%d %H:%M", "2026-03-02 23:25"),
        ("Europe/Amsterdam", "%Y-%m-%d %H:%M", "2026-03-03 00:25"),
    ],
)
def test_the_lower_bound_is_written_in_the_endpoint_s_zone_whatever_the_records_say(lab, api, zone, form, asked):
    endpoint = {**BY_TIME, "feed": BY_TIME["feed"] | {"format": form}, "time_zone": zone}
    api.pages(events("2026-03-03T05:30:00+06:00"))
    first = lab.fetch(lab.walk(endpoint))

    lab.fetch(lab.walk(endpoint, position=first.manifest.ended.position))

    assert api.asked[1] == {"since": asked}


def test_a_cursor_may_be_a_number(lab, api):
    api.pages({"data": [{"id": 1}], "next": 5, "done": True})

    lab.fetch(lab.walk(BY_CURSOR))

    assert lab.positions() == ["5"]


def test_times_without_an_offset_are_of_the_endpoint_s_zone(lab, api):
    api.pages(events("2026-03-02T00:00:00"))

    lab.fetch(lab.walk(BY_TIME | {"time_zone": "Europe/Amsterdam"}))

    assert lab.positions() == ["2026-03-01T23:00:00+00:00"]


@pytest.mark.parametrize("bad", [None, "soon", {"x": 1}, True])
def test_a_record_without_a_time_does_not_stop_the_feed(lab, api, bad):
    api.pages(events(bad, "2026-03-02T00:00:00Z"))

    lab.fetch(lab.walk(BY_TIME))

    assert lab.positions() == ["2026-03-02T00:00:00+00:00"]


def test_a_page_of_records_without_times_is_a_wrong_position(lab, api):
    api.pages(events(None, "soon"))

    with pytest.raises(WalkIncomplete, match="position 'at'"):
        lab.fetch(lab.walk(BY_TIME))

    assert lab.verdicts() == ["failed"]


def test_a_time_in_the_future_does_not_move_the_feed_past_now(lab, api):
    api.pages(events("2026-03-02T00:00:00Z", "2126-03-02T00:00:00Z"))

    lab.fetch(lab.walk(BY_TIME))

    assert lab.positions() == [lab.now.isoformat()]


def test_nothing_new_keeps_the_position(lab, api):
    api.pages(events())

    lab.fetch(lab.walk(BY_TIME, position="2026-03-02T00:00:00+00:00"))

    assert lab.positions() == ["2026-03-02T00:00:00+00:00"]


def test_older_records_of_the_overlap_do_not_move_the_position_back(lab, api):
    api.pages(events("2026-03-01T23:58:00Z"))

    lab.fetch(lab.walk(BY_TIME, position="2026-03-02T00:00:00+00:00"))

    assert lab.positions() == ["2026-03-02T00:00:00+00:00"]


def test_a_feed_that_never_told_anything_has_no_position(lab, api):
    api.pages(events())

    lab.fetch(lab.walk(BY_TIME))

    assert lab.positions() == [None]


def test_a_failed_fetch_leaves_no_position(lab, api):
    paged = BY_TIME | {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}
    api.pages(events("2026-03-02T00:00:00Z") | {"next": "1"}, events() | {"next": "2"})

    with pytest.raises(WalkIncomplete):
        lab.fetch(lab.walk(paged))

    assert lab.positions() == [None]


def test_a_longer_gap_than_the_api_keeps_is_an_error_and_begins_no_fetch(lab, api):
    kept = BY_TIME | {"feed": BY_TIME["feed"] | {"keeps": "P30D"}}
    position = (lab.now - timedelta(days=31)).isoformat()

    with pytest.raises(WalkIncomplete, match=r"31 days ago.*keeps 30 days.*--since"):
        lab.fetch(lab.walk(kept, position=position))

    assert (api.asked, lab.stored()) == ([], [])


@pytest.mark.parametrize("days", [29, None])
def test_no_gap_is_seen_within_what_the_api_keeps_or_at_the_very_beginning(lab, api, days):
    kept = BY_TIME | {"feed": BY_TIME["feed"] | {"keeps": "P30D"}}
    api.pages(events("2026-03-09T00:00:00Z"))

    lab.fetch(lab.walk(kept, position=days and (lab.now - timedelta(days=days)).isoformat()))

    assert lab.verdicts() == ["complete"]


def test_a_feed_that_tells_nothing_for_longer_than_the_api_keeps_has_no_gap_while_somebody_looks(lab, api):
    kept = BY_TIME | {"feed": BY_TIME["feed"] | {"keeps": "P30D"}}
    api.pages(events("2026-03-09T00:00:00Z"))
    position = lab.fetch(lab.walk(kept)).manifest.ended.position
    api.pages(events())

    for _ in range(2):
        lab.later(days=29)
        lab.fetch(lab.walk(kept, position=position))

    assert (lab.verdicts(), lab.positions()) == (["complete"] * 3, [position] * 3)


def test_who_looked_in_vain_has_not_looked(lab, api, answer):
    kept = BY_TIME | {"feed": BY_TIME["feed"] | {"keeps": "P30D"}}
    api.pages(events("2026-03-09T00:00:00Z"))
    position = lab.fetch(lab.walk(kept)).manifest.ended.position
    api.pages(answer({}, status=403))
    lab.later(days=29)
    with pytest.raises(RequestFailed):
        lab.fetch(lab.walk(kept, position=position))
    lab.later(days=2)

    with pytest.raises(WalkIncomplete, match=r"32 days ago.*keeps 30 days, in which no fetch has looked"):
        lab.fetch(lab.walk(kept, position=position))


def test_a_feed_by_cursor_goes_on_with_the_last_page_s(lab, api):
    api.pages(
        {"data": [{"id": 1}], "next": "1", "done": False},
        {"data": [{"id": 2}], "next": "2", "done": True},
        {"data": [], "next": "2", "done": True},
    )

    first = lab.fetch(lab.walk(BY_CURSOR))
    lab.fetch(lab.walk(BY_CURSOR, position=first.manifest.ended.position))

    assert lab.positions() == ["2", "2"]
    assert api.asked == [{"since": "2026-01-01T00:00:00Z"}, {"cursor": "1"}, {"cursor": "2"}]


@pytest.mark.parametrize("status", [400, 410])
def test_a_cursor_of_the_last_fetch_that_is_over_is_told_with_the_way_on(lab, api, answer, status):
    api.in_turn(answer(status=status))

    with pytest.raises(RequestFailed, match=r"Where that is over, begin again by `ingest run \S+ --since DATE`"):
        lab.fetch(lab.walk(BY_CURSOR, position="1"))


@pytest.mark.parametrize("cursor", [None, "", True, []])
def test_a_last_page_without_a_cursor_leaves_the_feed_where_it_was(lab, api, cursor):
    api.pages({"data": [{"id": 1}], "next": cursor, "done": True})

    with pytest.raises(WalkIncomplete, match="no cursor at 'next'"):
        lab.fetch(lab.walk(BY_CURSOR))

    assert lab.verdicts() == ["failed"]
    assert lab.positions() == [None]
