"""Raw alone, the table alone, both: what is asked of the API, and what is loaded."""

import pytest

FIRST = "2026-01-01"


def test_raw_alone_fetches_and_leaves_the_table_untouched(lab, shop):
    lab.run(FIRST, keys=[lab.raw()])

    assert shop.counted == {FIRST: 1}
    assert len(lab.events(lab.raw(), FIRST)) == 1
    assert lab.events(lab.table()) == []
    assert lab.rows("SELECT loaded FROM _ingest.fetches") == [(None,)]


def test_what_raw_alone_fetched_is_loaded_without_a_request(lab, shop):
    lab.run(FIRST, keys=[lab.raw()])

    lab.run(FIRST)

    assert shop.counted == {FIRST: 1}
    assert lab.rows("SELECT count(*) FROM shop.orders") == [(2,)]
    assert [event.metadata["fetch"].value for event in lab.events(lab.raw(), FIRST)] == [1, 1]


def test_raw_alone_twice_fetches_twice(lab, shop):
    lab.run(FIRST, keys=[lab.raw()])

    lab.run(FIRST, keys=[lab.raw()])

    assert shop.counted == {FIRST: 2}


def test_the_table_alone_loads_what_raw_alone_fetched(lab, shop):
    lab.run(FIRST, keys=[lab.raw()])

    lab.run(FIRST, keys=[lab.table()])

    assert shop.counted == {FIRST: 1}
    assert lab.told(lab.table(), FIRST)["inserted"] == 2
    assert lab.stale(lab.table(), FIRST) == []


def test_the_table_alone_replays_and_sends_no_request(lab, shop):
    lab.run(FIRST, "2026-01-02")
    before = lab.rows("SELECT _fetch, loaded FROM _ingest.fetches ORDER BY 1")
    shop.asked.clear()

    lab.run(FIRST, "2026-01-02", keys=[lab.table()])

    assert shop.asked == []
    again = lab.rows("SELECT _fetch, loaded FROM _ingest.fetches ORDER BY 1")
    assert all(new[1] > old[1] for old, new in zip(before, again, strict=True))
    assert len(lab.events(lab.raw(), FIRST)) == 1
    assert len(lab.events(lab.table(), FIRST)) == 2
    assert lab.told(lab.table(), FIRST)["inserted"] == 2


def test_the_table_alone_with_nothing_stored_says_what_to_do(lab, shop):
    result = lab.run(FIRST, keys=[lab.table()], fails=True)

    (event,) = [event for event in result.all_events if event.is_step_failure]
    message = event.event_specific_data.error.message
    assert "shop.orders[2026-01-01]: nothing is stored to load; materialize raw/shop/orders too" in message
    assert shop.asked == []


@pytest.mark.parametrize("endpoint", ["people", "news"])
def test_what_has_no_partitions_is_fetched_anew_by_each_run(lab, shop, endpoint):
    both = [lab.raw(endpoint), lab.table(endpoint)]

    lab.run(keys=both)
    lab.run(keys=both)

    assert shop.counted == {f"/{endpoint}": 2}
    assert [event.partition for event in lab.events(lab.table(endpoint))] == [None, None]


def test_a_feed_by_time_goes_back_where_the_run_says_so(lab, shop):
    both = [lab.raw("news"), lab.table("news")]
    lab.run(keys=both)
    shop.news.append({"id": 2, "at": "2026-01-01T12:00:00Z"})
    lab.run(keys=both)
    assert lab.rows("SELECT count(*) FROM shop.news") == [(1,)]

    lab.run(keys=both, config={"ops": {"shop__news": {"config": {"since": "2026-01-01"}}}})

    assert lab.rows("SELECT count(*) FROM shop.news") == [(2,)]


def test_a_since_that_is_no_time_is_refused_with_what_was_expected(lab, shop):
    config = {"ops": {"shop__news": {"config": {"since": "yesterday"}}}}

    result = lab.run(keys=[lab.raw("news")], config=config, fails=True)

    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "'yesterday' is no date or time; expected such as 2026-01-31" in event.event_specific_data.error.to_string()
    assert shop.asked == []
