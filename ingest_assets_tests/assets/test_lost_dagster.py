"""A Dagster whose database is new, over a data folder that is not: what is loaded is shown again, with no request."""

import shutil

import dagster as dg
import pytest

from ingest_assets.assets.launch import catch_up
from ingest_assets.load import schema
from ingest_assets.load.warehouse import Warehouse

DAYS = [f"2026-01-{day:02}" for day in range(1, 31)]
NAMES = [("shop", "orders"), ("shop", "people"), ("shop", "news")]


@pytest.fixture
def lost_lab(kept_lab, empty_home, shop, request):
    """Two days or as many as the test says, a listing and a feed, loaded; then Dagster begins in another home."""
    lab = kept_lab
    days = DAYS[: getattr(request, "param", 2)]
    lab.run(days[0], days[-1])
    lab.run(keys=[key(name) for _, name in NAMES[1:] for key in (lab.raw, lab.table)])
    shop.asked.clear()
    lab.before = {day: lab.told(lab.table(), day) for day in days}
    home = shutil.copytree(empty_home, lab.folder / "another")
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        lab.former, lab.instance = lab.instance, instance
        yield lab


def counts(lab, *days):
    """How many events Dagster has of each day: of raw, of the table."""
    return {day: (len(lab.events(lab.raw(), day)), len(lab.events(lab.table(), day))) for day in days}


def numbers(told):
    return {name: value for name, value in told.items() if name != "preview"}


@pytest.mark.parametrize("lost_lab", [30], indirect=True)
def test_another_dagster_is_told_of_all_loads_with_their_numbers_and_no_request(lost_lab, shop):
    lab = lost_lab
    assert counts(lab, *DAYS) == dict.fromkeys(DAYS, (0, 0))

    told = catch_up({"shop": lab.source}, NAMES, lab.data)

    assert told == {NAMES[0]: 30, NAMES[1]: 1, NAMES[2]: 1}
    assert counts(lab, *DAYS) == dict.fromkeys(DAYS, (1, 1))
    assert lab.statuses(lab.table(), *DAYS) == dict.fromkeys(DAYS, "MATERIALIZED")
    assert {day: numbers(lab.told(lab.table(), day))["received"] for day in DAYS} == {
        day: len(shop.of(day)) for day in DAYS
    }
    assert [lab.told(lab.table(), day)["fetch"] for day in DAYS] == [lab.before[day]["fetch"] for day in DAYS]
    assert [len(lab.events(key(name))) for _, name in NAMES[1:] for key in (lab.raw, lab.table)] == [1, 1, 1, 1]
    assert [lab.stale(lab.table(), day) for day in (DAYS[0], DAYS[-1])] == [[], []]
    assert shop.asked == []


def test_what_is_told_once_is_not_told_again_to_either(lost_lab):
    lab = lost_lab
    catch_up({"shop": lab.source}, NAMES, lab.data)

    again = catch_up({"shop": lab.source}, NAMES, lab.data, thorough=True)
    lab.instance = lab.former
    lab.run(DAYS[2])

    assert again == dict.fromkeys(NAMES, 0)
    assert counts(lab, *DAYS[:3]) == dict.fromkeys(DAYS[:3], (1, 1))


def test_the_next_run_of_an_endpoint_tells_of_all_its_days(lost_lab, shop):
    lab = lost_lab

    lab.run(DAYS[2])

    assert counts(lab, *DAYS[:3]) == dict.fromkeys(DAYS[:3], (1, 1))
    assert shop.asked == [DAYS[2]]


@pytest.mark.parametrize("file", ["manifest.json", "index.jsonl"])
def test_a_damaged_snapshot_of_a_day_keeps_neither_new_days_nor_the_others_from_being_told(lost_lab, shop, file):
    lab = lost_lab
    (lab.data / "raw" / "shop" / "orders" / DAYS[0] / "1" / file).write_text("damaged")

    lab.run(DAYS[2])

    assert counts(lab, *DAYS[:3]) == {DAYS[0]: (0, 0), DAYS[1]: (1, 1), DAYS[2]: (1, 1)}
    assert shop.asked == [DAYS[2]]


@pytest.mark.parametrize("column", ["city: {type: varchar}", "lines: {type: json}"])
def test_loads_are_told_with_the_columns_that_the_table_has_where_the_file_names_more_since(lost_lab, column):
    lab = lost_lab
    lab.text = lab.text.replace("      email: {", f"      {column}\n      email: {{", 1)

    told = catch_up({"shop": lab.source}, NAMES[:1], lab.data)

    shown = lab.told(lab.table(), DAYS[0])
    assert told == {NAMES[0]: 2}
    assert [column.name for column in shown["dagster/column_schema"].columns] == ["id", "email"]
    assert shown["dagster/row_count"] == lab.rows("SELECT count(*) FROM shop.orders")[0][0]


def test_a_list_that_is_to_be_a_table_and_is_none_yet_is_left_out_of_what_is_told(lost_lab, shop):
    lab, undeclared = lost_lab, lost_lab.text
    lab.text = lab.text.replace("      email: {", "      lines: {type: json}\n      email: {", 1)
    lab.run(DAYS[0], DAYS[1], keys=[lab.table()])
    lab.instance.wipe_assets([lab.raw(), lab.table()])
    lab.text = undeclared

    told = catch_up({"shop": lab.source}, NAMES[:1], lab.data, thorough=True)

    assert told == {NAMES[0]: 2}
    assert lab.told(lab.table(), DAYS[0])["child tables"] == {}


def test_a_look_at_what_dagster_shows_finds_events_that_were_wiped(kept_lab, shop):
    lab = kept_lab
    lab.run(DAYS[0], DAYS[1])
    lab.instance.wipe_assets([lab.table()])
    shop.asked.clear()

    told = [catch_up({"shop": lab.source}, NAMES[:1], lab.data, thorough=thorough) for thorough in (False, True)]

    assert [one[NAMES[0]] for one in told] == [0, 2]
    assert counts(lab, *DAYS[:2]) == dict.fromkeys(DAYS[:2], (1, 1))
    assert lab.statuses(lab.table(), *DAYS[:2]) == dict.fromkeys(DAYS[:2], "MATERIALIZED")
    assert shop.asked == []


def test_without_a_warehouse_there_is_nothing_to_tell_and_none_is_made(kept_lab):
    lab = kept_lab

    assert catch_up({"shop": lab.source}, NAMES, lab.data) == {}
    assert not lab.data.exists()


def test_a_warehouse_of_the_first_format_is_brought_up_to_date_and_tells_nothing_twice(kept_lab):
    lab = kept_lab
    lab.run(DAYS[0], DAYS[1])
    warehouse = Warehouse(lab.data)
    with warehouse.session("going back to the first format") as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE w._ingest.reported AS SELECT _fetch, loaded FROM w._ingest.reported"
        )
        connection.execute("DROP TABLE w._ingest.failures")
        connection.execute("UPDATE w._ingest.meta SET format = 1")

    told = catch_up({"shop": lab.source}, NAMES[:1], lab.data)

    assert told == {NAMES[0]: 2}
    assert counts(lab, *DAYS[:2]) == dict.fromkeys(DAYS[:2], (1, 1))
    with warehouse.session("looking") as connection:
        assert connection.execute("FROM w._ingest.meta").fetchall() == [(schema.FORMAT,)]
