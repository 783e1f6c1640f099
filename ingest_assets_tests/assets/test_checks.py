"""Each check fails when it should, over all partitions, and passes when it should."""

from datetime import UTC, datetime, timedelta

import pytest

FIRST, LAST = "2026-01-01", "2026-01-03"


@pytest.fixture
def today():
    """The day on which a test begins; checks of freshness are made so that midnight may pass."""
    return datetime.now(UTC).date()


def test_after_a_good_run_all_checks_pass_but_for_old_days(lab):
    result = lab.run(FIRST, LAST, checks=True)

    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found == {
        "unique_key": True,
        "shared_keys": True,
        "partitions": True,
        "required": True,
        "complete": True,
        "loaded": True,
        "volume": True,
        "quarantine": True,
        "drift": True,
        "contract": True,
        "fresh": False,
    }


def shown(lab):
    """What Dagster shows of the checks of orders: whether each passed, or that it was not made."""
    keys = [key for key in lab.definitions().resolve_asset_graph().asset_check_keys if key.asset_key == lab.table()]
    records = lab.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {key.name: record.status.name for key, record in records.items()}


def test_a_range_of_which_a_day_fails_makes_its_checks_all_the_same(kept_lab, shop, holed):
    shop.instead["2026-01-02"] = holed

    kept_lab.run(FIRST, LAST, checks=True, fails=True)

    assert shown(kept_lab) == {
        "unique_key": "SUCCEEDED",
        "shared_keys": "SUCCEEDED",
        "partitions": "SUCCEEDED",
        "required": "SUCCEEDED",
        "complete": "FAILED",
        "loaded": "SUCCEEDED",
        "volume": "SUCCEEDED",
        "quarantine": "SUCCEEDED",
        "drift": "SUCCEEDED",
        "contract": "SUCCEEDED",
        "fresh": "FAILED",
    }


def test_a_range_that_an_api_holds_back_until_it_is_given_up_makes_its_checks_all_the_same(kept_lab, shop, answer):
    shop.instead["2026-01-02"] = answer(429, {"error": "slowly"}, {"Retry-After": "0.01"})

    kept_lab.run(FIRST, LAST, checks=True, fails=True)

    assert shown(kept_lab)["unique_key"] == "SUCCEEDED"


def test_a_run_that_fails_makes_no_checks_but_those_that_were_asked_for(kept_lab, shop, refused):
    shop.instead[FIRST] = refused

    kept_lab.run(FIRST, checks=False, fails=True)

    assert shown(kept_lab) == {}


FROZEN = "    write: replace\n    contract: freeze\n"


def test_a_fetch_whose_load_is_refused_is_named_with_the_reason_until_it_is_loaded(lab, shop):
    people = [lab.raw("people"), lab.table("people")]
    lab.text = lab.text.replace("    write: replace\n", FROZEN)
    lab.run(keys=people)
    shop.people = [{"id": 1, "novel": "x"}]
    lab.run(keys=people, fails=True)

    refused = lab.check("people", "complete", "loaded")
    lab.text = lab.text.replace(FROZEN, "    write: replace\n")
    lab.run(keys=people)

    assert refused["complete"].passed
    assert not refused["loaded"].passed
    assert refused["loaded"].description.startswith("it is stored and not loaded: shop.people: the contract is frozen")
    assert lab.check("people", "loaded")["loaded"].passed


def test_a_fetch_that_nobody_tried_to_load_is_no_finding(lab):
    lab.run(FIRST)
    lab.run("2026-01-02", keys=[lab.raw()])

    assert lab.check("orders", "loaded")["loaded"].passed


def test_an_endpoint_has_the_checks_that_it_can_have(lab):
    specs = lab.definitions().resolve_asset_graph().asset_check_keys

    assert {key.name for key in specs if key.asset_key == lab.table("news")} == {
        "unique_key",
        "shared_keys",
        "newest_by",
        "required",
        "partitions",
        "complete",
        "loaded",
        "quarantine",
        "drift",
        "contract",
    }


def test_where_the_readers_copy_has_a_pace_a_check_looks_whether_it_is_kept(lab):
    lab.text = lab.text.replace("max_wait:", "publish: PT10M\nmax_wait:", 1)
    lab.run(FIRST)
    lab.run(LAST)

    found = lab.check("orders", "published", "complete")

    assert found.keys() == {"published", "complete"}
    assert found["published"].passed
    assert found["published"].metadata["newer loads"].value == 1


def test_some_checks_can_be_run_alone(lab):
    lab.run(FIRST)

    assert lab.check("orders", "complete", "required").keys() == {"complete", "required"}


def test_before_anything_is_published_checks_fail_and_say_what_to_do(lab):
    found = lab.check("orders")

    assert {one.passed for one in found.values()} == {False}
    assert {one.description.split(": ")[-1] for one in found.values()} == {
        "there is no warehouse yet; materialize something first"
    }


def test_checks_of_a_table_that_is_not_there_yet_say_so(lab):
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    found = lab.check("orders", "unique_key")["unique_key"]

    assert not found.passed
    assert found.description == "the table is not there yet: materialize it first"


def test_unique_key_fails_where_a_key_has_two_rows_in_any_partition(lab):
    lab.run(FIRST, LAST)
    assert lab.check("orders", "unique_key")["unique_key"].passed

    lab.spoil("INSERT INTO w.shop.orders FROM w.shop.orders WHERE id = 1")
    lab.run("2026-01-04")

    found = lab.check("orders", "unique_key")["unique_key"]
    assert not found.passed
    assert found.severity.name == "ERROR"
    assert found.description == "1 key has more than one row. Next: ingest replay shop.orders"


def test_required_fails_where_a_value_is_missing_and_names_the_column(lab):
    lab.run(FIRST, LAST)
    assert lab.check("orders", "required")["required"].passed
    lab.text = lab.text.replace("email: {type: varchar,", "email: {type: varchar, required: true,", 1)

    lab.spoil("UPDATE w.shop.orders SET email = NULL WHERE id < 10")
    lab.run("2026-01-04")

    found = lab.check("orders", "required")["required"]
    assert not found.passed
    assert found.description == "rows without a required value: email: 2. Next: ingest replay shop.orders"


def test_complete_names_the_partition_whose_walk_did_not_end_whatever_comes_after_it(lab, shop, holed):
    shop.instead["2026-01-02"] = holed
    lab.run(FIRST, LAST, fails=True)
    lab.run("2026-01-04")

    found = lab.check("orders", "complete")["complete"]

    assert not found.passed
    assert found.description.startswith("partition 2026-01-02 is failed: shop.orders[2026-01-02]: page 0 holds no rec")
    assert found.description.endswith("Next: ingest run shop.orders --partition 2026-01-02 --again")
    assert {name: value.value for name, value in found.metadata.items()} == {"partitions": 4, "not complete": 1}


def test_complete_passes_once_the_partition_was_fetched_to_its_end(lab, shop, holed):
    shop.instead["2026-01-02"] = [holed]
    lab.run(FIRST, LAST, fails=True)

    lab.run("2026-01-02")

    assert lab.check("orders", "complete")["complete"].passed


def test_complete_names_a_partition_whose_walk_died_and_was_left(lab, shop, down):
    shop.instead["2026-01-02"] = down
    lab.run(FIRST, "2026-01-02", fails=True)
    assert lab.check("orders", "complete")["complete"].passed, "it may be going on"

    lab.spoil("UPDATE w._ingest.fetches SET started = '2026-01-05T06:00:00Z' WHERE ended IS NULL")

    found = lab.check("orders", "complete")["complete"]
    assert not found.passed
    assert "partition 2026-01-02 is unfinished: begun 2026-01-05 06:00 UTC" in found.description


def test_what_is_loaded_incomplete_with_a_warning_is_shown_and_fails_its_check(lab, shop, answer):
    lab.text = lab.text.replace("path: /orders\n", "path: /orders\n    incomplete: warn\n")
    shop.instead[FIRST] = [answer(200, {"data": shop.of(FIRST), "more": True, "next": "x"})]
    shop.instead[FIRST].append(answer(200, {"data": [], "more": True, "next": "y"}))

    lab.run(FIRST)

    assert lab.told(lab.table(), FIRST)["verdict"] == lab.told(lab.raw(), FIRST)["verdict"] == "incomplete"
    assert lab.told(lab.table(), FIRST)["inserted"] == 2
    found = lab.check("orders", "complete")["complete"]
    assert not found.passed
    assert "partition 2026-01-01 is incomplete" in found.description


def test_complete_fails_where_a_record_came_twice_in_another_one_s_place(lab, shop, answer):
    lab.text = lab.text.replace("path: /people\n", "path: /people\n    total: count\n")
    twice = [{"id": 1, "email": "a@x.example"}, {"id": 1, "email": "a@x.example"}, {"id": 2, "email": "b@x.example"}]
    shop.instead["/people"] = [answer(200, {"data": twice, "count": 3})]
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    found = lab.check("people", "complete")["complete"]

    assert not found.passed
    assert "is incomplete: the API says 3 records, and 2 different ones came" in found.description


def test_expected_warns_of_more_records_than_the_api_counts_and_complete_passes(lab, shop, answer):
    lab.text = lab.text.replace("path: /people\n", "path: /people\n    total: count\n")
    shop.instead["/people"] = [answer(200, {"data": [{"id": n} for n in range(3)], "count": 2})]
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    found = lab.check("people", "complete", "expected")

    assert found["complete"].passed
    assert not found["expected"].passed
    assert found["expected"].severity.name == "WARN"
    assert found["expected"].description == (
        "it is larger than the API says: 2 records by its own count, and 3 different ones came. Does that count the "
        "same records, and not those of one page?"
    )


def test_a_lower_bound_and_an_estimate_are_shown_and_fail_no_check(lab, shop, answer):
    told = "path: /people\n    total: {path: count, tells: HOW}\n"
    original, people = lab.text, [lab.raw("people"), lab.table("people")]
    for how, number in (("at_least", 2), ("about", 50)):
        lab.text = original.replace("path: /people\n", told.replace("HOW", how))
        shop.instead["/people"] = [answer(200, {"data": [{"id": n} for n in range(3)], "count": number})]

        lab.run(keys=people)

        assert {one.passed for one in lab.check("people", "complete", "expected").values()} == {True}
        for key in people:
            shown = lab.told(key)
            assert (shown["expected records"], shown["expected is"]) == (number, how)


def test_volume_warns_of_an_unusual_day_and_the_day_is_loaded(lab, shop):
    shop.orders["2026-01-09"] = [{"id": n} for n in range(1000, 1500)]

    lab.run(FIRST, "2026-01-09")

    found = lab.check("orders", "volume")["volume"]
    assert not found.passed
    assert found.severity.name == "WARN"
    assert found.description.startswith("partition 2026-01-09 has 500 records, usual are 2 to 4 (the last 8, of any")
    assert {name: value.value for name, value in found.metadata.items()} == {"looked at": 2, "unusual": 1}
    assert lab.told(lab.table(), "2026-01-09")["inserted"] == 500


def test_a_copy_that_an_earlier_version_published_is_looked_at_as_well(lab, shop, answer):
    lab.text = lab.text.replace("path: /people\n", "path: /people\n    total: count\n")
    shop.instead["/people"] = [answer(200, {"data": [{"id": 1}], "count": 1})]
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    lab.spoil("ALTER TABLE w._ingest.fetches DROP COLUMN expected_is")

    assert {one.passed for one in lab.check("people", "complete", "expected").values()} == {True}


def test_quarantine_names_the_reason_of_most_whatever_comes_after_it(lab, shop):
    shop.orders["2026-01-01"] = [{"id": "x"}, {"id": "y"}, {"id": 1, "email": {}}, {"id": 2}]
    lab.run(FIRST, LAST)

    found = lab.check("orders", "quarantine")["quarantine"]

    assert not found.passed
    assert found.description.startswith("3 records are in quarantine, mostly: ")
    assert "(fetch 1)" in found.description
    assert found.description.endswith("Mend the contract, then: ingest replay shop.orders")
    assert found.metadata["quarantined"].value == 3
    assert found.metadata["share"].value == 3 / 11


def test_quarantine_passes_below_the_share_that_the_file_allows(lab, shop):
    lab.text = lab.text.replace("path: /orders\n", "path: /orders\n    max_quarantined: 0.3\n")
    shop.orders["2026-01-01"] = [{"id": "x"}, {"id": 1}]
    lab.run(FIRST, LAST)

    assert lab.check("orders", "quarantine")["quarantine"].passed


def test_quarantine_says_that_nothing_is_deleted_for_one_record_also_below_the_share_that_is_allowed(lab, shop):
    lab.text = lab.text.replace("    write: replace\n", "    sweep: true\n    max_quarantined: 0.5\n")
    people = [lab.raw("people"), lab.table("people")]
    shop.people = [{"id": number} for number in range(9)]
    lab.run(keys=people)
    shop.people = [*shop.people[1:], {"id": None}]
    lab.run(keys=people)

    found = lab.check("people", "quarantine")["quarantine"]

    assert lab.rows("SELECT count(*) FROM shop.people") == [(9,)]
    assert not found.passed
    assert found.description == (
        "it is not swept: the newest fetch set records aside (1), each of which may be of a row that it did not bring, "
        "so that none is deleted. Mend the contract, then: ingest replay shop.people"
    )
    shop.people.pop()
    lab.run(keys=people)
    assert lab.check("people", "quarantine")["quarantine"].passed
    assert lab.rows("SELECT count(*) FROM shop.people") == [(8,)]


def test_quarantine_passes_once_the_records_came_right(lab, shop):
    shop.people = [{"id": "x"}]
    people = [lab.raw("people"), lab.table("people")]
    lab.run(keys=people)
    assert not lab.check("people", "quarantine")["quarantine"].passed

    shop.people = [{"id": 1}]
    lab.run(keys=people)

    assert lab.check("people", "quarantine")["quarantine"].passed


def test_newest_by_fails_while_no_record_has_the_column_that_says_which_version_is_newer(lab, shop):
    told = "    newest_by: at\n    columns:\n      at: {type: timestamptz}\n"
    lab.text = lab.text.replace("    write: replace\n    columns:\n", told)
    people, checks = [lab.raw("people"), lab.table("people")], []
    for version in [{"at": "2026-01-01"}, {"changed_at": "2026-01-02"}, {"at": "2026-01-03"}]:
        shop.people = [{"id": 1, **version}, {"id": 2, **version}]
        lab.run(keys=people)
        checks.append(lab.check("people", "newest_by")["newest_by"])

    assert [found.passed for found in checks] == [True, False, True]
    assert checks[1].description == (
        "no record of the newest fetch has a value of 'at' (`newest_by`), and 2 records changed no row: each counts as "
        "older than what is there. Was it renamed, or is its path another one? Mend the file, then: "
        "ingest replay shop.people"
    )


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_newest_by_warns_of_a_row_that_no_version_changes_since_it_is_of_the_future(lab, shop, kind, today):
    told = f"    newest_by: at\n    columns:\n      at: {{type: {kind}}}\n"
    lab.text = lab.text.replace("    write: replace\n    columns:\n", told)
    shop.people = [{"id": 1, "at": "2126-01-01"}, {"id": 2, "at": str(today)}]
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    found = lab.check("people", "newest_by")["newest_by"]

    assert not found.passed
    assert found.severity.name == "WARN"
    assert found.description == (
        "1 rows are of later than now by 'at' (`newest_by`): no version changes them until then. Where that is wrong, "
        "let the file say a `max` of that column, then: ingest replay shop.people"
    )


def test_a_max_sets_aside_what_is_of_the_future_and_what_came_since_is_there(lab, shop):
    told = "    newest_by: at\n    columns:\n      at: {type: timestamptz}\n"
    lab.text = lab.text.replace("    write: replace\n    columns:\n", told)
    people = [lab.raw("people"), lab.table("people")]
    for at, email in [("2126-01-01", "old"), ("2026-01-03", "new")]:
        shop.people = [{"id": 1, "at": at, "email": email}]
        lab.run(keys=people)
    lab.text = lab.text.replace("at: {type: timestamptz}", "at: {type: timestamptz, max: 2100-01-01}")

    lab.run(keys=[lab.table("people")])

    assert lab.rows("SELECT email FROM shop.people") == [("new",)]
    assert lab.check("people", "newest_by")["newest_by"].passed


def test_newest_by_passes_where_records_that_lack_it_are_new(lab, shop):
    told = "    newest_by: at\n    columns:\n      at: {type: timestamptz}\n"
    lab.text = lab.text.replace("    write: replace\n    columns:\n", told)
    shop.people = [{"id": 1}]

    lab.run(keys=[lab.raw("people"), lab.table("people")])

    assert lab.check("people", "newest_by")["newest_by"].passed


def test_fresh_names_the_day_that_is_missing_between_newer_ones(lab, today):
    lab.run(str(today - timedelta(days=5)))
    lab.run(str(today - timedelta(days=3)), str(today - timedelta(days=1)))

    found = lab.check("orders", "fresh")["fresh"]

    assert not found.passed
    assert found.severity.name == "WARN"
    assert found.description == f"partition {today - timedelta(days=4)} is late. Next: ingest run shop.orders"


def test_fresh_passes_where_no_closed_day_is_missing(lab, today):
    lab.run(str(today - timedelta(days=5)), str(today - timedelta(days=1)))

    assert lab.check("orders", "fresh")["fresh"].passed


def test_fresh_fails_where_no_day_was_ever_complete(lab, shop, holed):
    shop.instead[FIRST] = holed
    lab.run(FIRST, fails=True)

    found = lab.check("orders", "fresh")["fresh"]

    assert not found.passed
    assert found.description == "no partition is loaded yet. Next: ingest run shop.orders"


def test_fresh_passes_where_the_first_day_is_still_to_come(lab, today):
    lab.run(keys=[lab.raw("people"), lab.table("people")])
    lab.text = lab.text.replace('start: "2026-01-01"}', f'start: "{today + timedelta(days=2)}"}}')

    assert lab.check("orders", "fresh")["fresh"].passed


def test_complete_leaves_out_a_day_that_failed_before_the_file_began_later(lab, shop, holed):
    lab.run("2026-01-02")
    shop.instead[FIRST] = holed
    lab.run(FIRST, fails=True)
    lab.text = lab.text.replace('start: "2026-01-01"}', 'start: "2026-01-02"}')

    assert lab.check("orders", "complete")["complete"].passed


def test_complete_says_how_to_mend_a_day_that_is_loaded_with_a_gap_and_cannot_be_asked_for(lab, shop, holed):
    shop.instead[FIRST] = holed
    lab.text = lab.text.replace("    changes: immutable\n", "    changes: immutable\n    incomplete: warn\n")
    lab.run(FIRST)
    lab.text = lab.text.replace('start: "2026-01-01"}', 'start: "2026-01-02"}')

    found = lab.check("orders", "complete")["complete"]

    assert not found.passed
    assert found.description.endswith(
        "Next: have the file ask for 2026-01-01 again, or ingest undo shop.orders --partition 2026-01-01"
    )


def test_fresh_looks_at_when_a_listing_was_last_read_to_its_end(lab):
    lab.run(keys=[lab.raw("people"), lab.table("people")])
    assert lab.check("people", "fresh")["fresh"].passed

    lab.spoil("UPDATE w._ingest.fetches SET ended = ended - INTERVAL 30 HOUR")

    found = lab.check("people", "fresh")["fresh"]
    assert not found.passed
    assert found.description == (
        "the last complete look was 30.0 h ago, expected within 26.0 h. Next: ingest run shop.people"
    )


def test_a_failed_look_does_not_make_a_listing_fresh(lab, shop, refused):
    people = [lab.raw("people"), lab.table("people")]
    lab.run(keys=people)
    lab.spoil("UPDATE w._ingest.fetches SET ended = ended - INTERVAL 30 HOUR")
    shop.instead["/people"] = refused

    lab.run(keys=people, fails=True)

    assert not lab.check("people", "fresh")["fresh"].passed
