"""A changed contract: Dagster shows it, a check names the partitions, the table asset alone mends it."""

from typing import Any

import pytest

from ingest_assets.assets.names import raw_version
from ingest_assets.source import Source

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


def declare(lab, column):
    """One more column of orders, which changes its layout too."""
    lab.text = lab.text.replace("      email: {", f"      {column}\n      email: {{", 1)


@pytest.fixture
def changed(lab, shop):
    """Three days of orders, loaded under a contract that is another one since; nothing asked."""
    for day in DAYS:
        for order in shop.of(day):
            order["placed"] = f"{day}T10:00:00Z"
    lab.run(DAYS[0], DAYS[-1])
    declare(lab, "placed: {type: timestamptz}")
    shop.asked.clear()
    return lab


def test_every_partition_is_out_of_date(changed):
    reasons = {day: changed.stale(changed.table(), day) for day in DAYS}

    assert list(reasons.values()) == [["has a new code version"]] * 3
    assert [changed.stale(changed.raw(), day) for day in DAYS] == [[], [], []]


def test_the_check_fails_and_names_the_partitions(changed):
    found = changed.check("orders", "contract")["contract"]

    assert not found.passed
    assert "3 partitions (2026-01-01, 2026-01-02, 2026-01-03) are loaded under another contract" in found.description
    assert "Next: ingest replay shop.orders" in found.description


def test_the_table_alone_mends_it_without_a_request(changed, shop):
    changed.run(DAYS[0], DAYS[-1], keys=[changed.table()])

    assert shop.asked == []
    assert changed.rows("SELECT DISTINCT typeof(placed) FROM shop.orders") == [("TIMESTAMP WITH TIME ZONE",)]
    assert [changed.stale(changed.table(), day) for day in DAYS] == [[], [], []]
    assert changed.check("orders", "contract")["contract"].passed


def test_a_range_is_replayed_once_where_each_replay_builds_the_whole_table(changed):
    changed.text = changed.text.replace("primary_key: id\n", "primary_key: id\n    newest_by: placed\n", 1)

    changed.run(DAYS[0], DAYS[-1], keys=[changed.table()])

    stand = changed.rows("SELECT strftime(loaded, '%Y-%m-%dT%H-%M-%S.%fZ') FROM _ingest.fetches ORDER BY _fetch")
    told = [changed.events(changed.table(), day) for day in DAYS]
    assert [len(events) for events in told] == [2, 2, 2]
    assert [(events[-1].tags["ingest/loaded"],) for events in told] == stand


def test_partitions_that_were_rebuilt_with_another_are_reported_too(changed):
    changed.run(DAYS[0], keys=[changed.table()])

    assert [len(changed.events(changed.table(), day)) for day in DAYS] == [2, 2, 2]
    assert [len(changed.events(changed.raw(), day)) for day in DAYS] == [1, 1, 1]
    assert [changed.stale(changed.table(), day) for day in DAYS] == [[], [], []]


def test_fetching_a_range_anew_reports_the_new_fetches_of_a_table_that_was_rebuilt_on_the_way(changed, shop):
    shop.of(DAYS[1])[0]["state"] = "paid"

    changed.run(DAYS[0], DAYS[-1])

    assert shop.counted == dict.fromkeys(DAYS, 1)
    assert [changed.told(changed.table(), day)["fetch"] for day in DAYS] == [4, 5, 6]
    assert [len(changed.events(changed.table(), day)) for day in DAYS] == [2, 2, 2]
    assert [changed.stale(changed.table(), day) for day in DAYS] == [[], [], []]
    assert changed.told(changed.table(), DAYS[1])["updated"] == 1


def test_a_replay_of_several_fetches_of_a_feed_ends_with_the_newest(lab, shop):
    both = [lab.raw("news"), lab.table("news")]
    lab.run(keys=both)
    shop.news.append({"id": 2, "at": "2026-01-03T00:00:00Z"})
    lab.run(keys=both)
    lab.text = lab.text.replace("newest_by: at", "newest_by: at\n    deleted: {path: gone, equals: true}")

    lab.run(keys=[lab.table("news")])
    lab.run(keys=[lab.table("news")])

    assert [event.metadata["fetch"].value for event in lab.events(lab.table("news"))] == [1, 2, 2, 2]
    assert [event.metadata["fetch"].value for event in lab.events(lab.raw("news"))] == [1, 2]
    assert lab.stale(lab.table("news")) == []


@pytest.mark.parametrize("retried", [False, True])
def test_a_day_that_a_later_day_of_its_run_loads_anew_is_shown_as_it_stands(lab, shop, answer, retried):
    # An object that becomes text takes the responses, of the first day, too.
    shop.of(DAYS[0])[0]["size"], shop.of(DAYS[1])[0]["size"] = {"cm": 1}, "large"
    shop.instead[DAYS[2]] = [answer(429, {}, {"Retry-After": "0.05"})] * 6 if retried else []

    lab.run(DAYS[0], DAYS[2])

    stand = lab.rows("SELECT strftime(loaded, '%Y-%m-%dT%H-%M-%S.%fZ') FROM _ingest.fetches ORDER BY _fetch")
    told = [lab.events(lab.table(), day) for day in DAYS]
    assert [len(events) for events in told] == [2, 1, 1]
    assert [(events[-1].tags["ingest/loaded"],) for events in told] == stand
    assert lab.rows("SELECT count(*) FROM _ingest.fetches ANTI JOIN _ingest.reported USING (_fetch, loaded)") == [(0,)]


def test_a_day_that_failed_is_not_shown_as_done_because_it_was_rebuilt(changed, shop, holed):
    shop.instead[DAYS[2]] = holed

    changed.run(DAYS[0], DAYS[2], fails=True)

    assert list(changed.statuses(changed.table(), *DAYS).values()) == ["MATERIALIZED", "MATERIALIZED", "FAILED"]


def version(source: dict[str, Any] | None = None, **told: Any) -> str:
    things = {"path": "/things", "write": "replace"}
    shop = {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": things | told}}
    read = Source.model_validate(shop | (source or {}))
    return raw_version(read, read.endpoints["things"])


def test_another_file_of_the_same_archive_is_something_else_that_is_asked_for():
    assert version(answer={"member": "a.csv"}) != version(answer={"member": "b.csv"}) != version()


def test_another_count_list_or_setting_is_something_else_that_is_asked_for():
    lists = {
        "lines": {"has_more": "more", "path": "/things/{id}/lines", "records": "data", "paginator": {"type": "none"}}
    }
    told = [
        version(),
        version(count={"path": "/count", "value": "count"}),
        version(count={"path": "/counts", "value": "count"}),
        version(primary_key="id", cut_lists=lists),
        version({"settings": {"shop": "a"}}),
        version({"settings": {"shop": "b"}}),
        version({"settings": {"shop": {"env": "SHOP"}}}),
    ]

    assert len(set(told)) == len(told)
