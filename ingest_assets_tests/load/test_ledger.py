"""What the warehouse remembers of sources and fetches."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.load import ledger, owners, reported, schema
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.manifest import Ending
from ingest_assets.raw.snapshots import Bounds, Manifest

NOW = datetime(2026, 1, 5, tzinfo=UTC)
KEY = ("shop", "things", "2026-01-01")


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """A new warehouse."""
    return Warehouse(tmp_path, reserve_bytes=0)


@pytest.fixture
def connection(warehouse):
    """A transaction on it."""
    with warehouse.session("testing") as connection:
        yield connection


def test_a_source_s_rows_are_of_one_origin_and_account(connection):
    owners.identify(connection, "shop", "https://api.example.com:443", "acct_1")
    owners.identify(connection, "shop", "https://api.example.com:443", "acct_1")

    for other in [("https://api.example.com:443", "acct_2"), ("https://sandbox.example.com:443", "acct_1")]:
        with pytest.raises(ConfigError, match=r"holds rows of https://api\.example\.com:443 \(account acct_1\)"):
            owners.identify(connection, "shop", *other)


def test_what_is_known_of_fetches_is_made_once_the_warehouse_is_free(warehouse):
    with warehouse.session("testing") as connection:
        ledger.begin(connection, KEY[:2], {KEY[2]: None}, "run", NOW, 0)
        made = ledger.known(connection, *KEY[:2], NOW)
    connection.close()

    assert [(fetch.fetch, fetch.partition, fetch.started) for fetch in made().fetches] == [(1, KEY[2], NOW)]


def test_who_accepts_another_account_may_go_on_with_it(connection):
    owners.identify(connection, "shop", "https://one.example.com:443", "")

    owners.accept(connection, "shop")

    owners.identify(connection, "shop", "https://two.example.com:443", "")
    with pytest.raises(ConfigError, match=r"two\.example\.com"):
        owners.identify(connection, "shop", "https://one.example.com:443", "")


def test_the_port_of_a_loopback_address_does_not_matter_and_the_host_does(connection):
    owners.identify(connection, "shop", "http://127.0.0.1:4711", "")
    owners.identify(connection, "shop", "http://127.0.0.1:4712", "")

    with pytest.raises(ConfigError, match="holds rows of loopback"):
        owners.identify(connection, "shop", "https://api.example.com:443", "")


def test_a_warehouse_of_another_format_is_refused(warehouse):
    with warehouse.session("making") as connection:
        connection.execute("UPDATE w._ingest.meta SET format = 99")

    refused = pytest.raises(StorageFailed, match="is of format 99, this version reads and writes format 13")
    with refused, warehouse.session("reading"):
        pass


def test_a_warehouse_of_a_former_format_becomes_one_of_this(warehouse):
    with warehouse.session("making") as connection:
        ledger.ended(connection, Manifest(*KEY, 7, NOW, "f"))
        connection.execute("UPDATE w._ingest.meta SET format = 1")
        connection.execute("ALTER TABLE w._ingest.fetches DROP COLUMN expected_is")
        connection.execute("ALTER TABLE w._ingest.fetches DROP COLUMN emptied")
        connection.execute("ALTER TABLE w._ingest.fetches DROP COLUMN spared")
        connection.execute("ALTER TABLE w._ingest.fetches DROP COLUMN crossing")

    with warehouse.session("reading") as connection:
        found = connection.execute(
            "SELECT format, _fetch, expected_is FROM w._ingest.meta, w._ingest.fetches"
        ).fetchall()

    assert found == [(schema.FORMAT, 7, None)]


def known_fetches(connection):
    return ledger.fetches(connection, *KEY[:2])


def test_start_times_never_go_back_and_numbers_always_rise(connection):
    first = ledger.begin(connection, KEY[:2], {KEY[2]: None}, "r", NOW, above=41)[KEY[2]]
    second = ledger.begin(connection, KEY[:2], {KEY[2]: None}, "r", NOW - timedelta(days=1), above=0)[KEY[2]]

    assert first == (42, NOW)
    assert second[0] == 43
    assert second[1] > NOW


def test_fetches_that_begin_together_have_numbers_and_times_in_a_row(connection):
    days = [f"2026-01-0{day}" for day in range(1, 5)]
    bounds = {day: (NOW + timedelta(days=n), NOW + timedelta(days=n + 1)) for n, day in enumerate(days)}

    begun = ledger.begin(connection, KEY[:2], bounds, "r", NOW, above=7)

    assert [begun[day][0] for day in days] == [8, 9, 10, 11]
    assert sorted({started for _, started in begun.values()}) == [begun[day][1] for day in days]
    told = {f.partition: (f.fetch, f.started, (f.from_time, f.until_time)) for f in known_fetches(connection)}
    assert told == {day: (*begun[day], bounds[day]) for day in days}


def test_a_fetch_that_was_never_begun_leaves_no_row(connection):
    begun = ledger.begin(connection, KEY[:2], {KEY[2]: None, None: None}, "r", NOW, above=0)

    ledger.never_begun(connection, [begun[None][0]])

    assert [f.partition for f in known_fetches(connection)] == [KEY[2]]


def test_a_fetch_that_had_ended_and_is_loaded_after_the_next_one_began_has_its_own_verdict(connection):
    told = Manifest(*KEY, 7, NOW, "f", ended=Ending(NOW, "complete", "last page", 1, 1, 9))
    ledger.ended(connection, Manifest(*KEY, 7, NOW, "f"))
    ledger.begin(connection, KEY[:2], {KEY[2]: None}, "r", NOW, above=7)
    between = [(f.fetch, f.verdict) for f in known_fetches(connection)]

    ledger.ended(connection, told, loaded=NOW)

    assert between == [(7, "given_up"), (8, None)]
    first, _ = known_fetches(connection)
    assert (first.verdict, first.reason) == ("complete", "last page")


def test_a_fetch_that_never_ended_is_given_up_when_the_next_begins(connection):
    ledger.begin(connection, KEY[:2], {KEY[2]: None, None: None}, "r", NOW, above=0)

    ledger.begin(connection, KEY[:2], {KEY[2]: None}, "r", NOW, above=0)

    told = [(f.partition, f.verdict) for f in ledger.fetches(connection, "shop", "things")]
    assert told == [("2026-01-01", "given_up"), (None, None), ("2026-01-01", None)]


def test_a_fetch_that_another_warehouse_numbered_keeps_its_bounds(connection):
    bounds = Bounds(NOW, NOW + timedelta(days=1))

    ledger.ended(connection, Manifest(*KEY, 7, NOW, "f", bounds, "r7"))

    (told,) = ledger.fetches(connection, "shop", "things")
    assert (told.fetch, told.from_time, told.until_time, told.run) == (7, bounds.from_, bounds.until, "r7")


def test_ends_of_several_are_written_down_as_one_by_one(connection):
    ledger.begin(connection, KEY[:2], {KEY[2]: None, None: None}, "r", NOW, above=6)
    ends = [Ending(NOW + timedelta(hours=n), "complete", f"reason {n}", n, 10 * n, 0) for n in range(3)]
    whole = [Manifest("shop", "things", str(n), 7 + n, NOW, "f", ended=end) for n, end in enumerate(ends)]

    ledger.all_ended(connection, [(one, {"url": f"/{n}", "expected": None}) for n, one in enumerate(whole)])
    ledger.all_ended(connection, [(replace(one, ended=ends[0]), {"load_seconds": 0.5}) for one in whole])

    told = connection.execute(
        "SELECT _fetch, ended, reason, pages, url, load_seconds FROM w._ingest.fetches ORDER BY _fetch"
    ).fetchall()
    assert told == [(7 + n, end.at, end.reason, n, f"/{n}", 0.5) for n, end in enumerate(ends)]


def test_loads_stay_unreported_until_just_they_are_reported(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    with things.warehouse.session("reporting") as connection:
        (told,) = reported.unreported(connection, "shop", "things", "here")
        reported.report(connection, {told.fetch: told.loaded}, "here")
        after = reported.unreported(connection, "shop", "things", "here")
    things.load(replay=True)

    with things.warehouse.session("looking") as connection:
        again = reported.unreported(connection, "shop", "things", "here")
    assert (after, [fetch.fetch for fetch in again]) == ([], [1])


def test_the_next_load_makes_new_ids_where_those_of_a_former_format_were_other_hashes(lab, rebuilt):
    of = lab()
    of.store(1, None, [{"id": 1, "lines": [{"n": 1}]}, {"id": 2, "lines": []}])
    of.load()
    with of.warehouse.session("going back") as connection:
        connection.execute("UPDATE w.shop.things SET _id = CAST(md5(CAST(_id AS VARCHAR)) AS UUID)")
        connection.execute("UPDATE w.shop.things__lines SET _parent = CAST(md5(CAST(_parent AS VARCHAR)) AS UUID)")
        connection.execute("UPDATE w._ingest.meta SET format = 7")
    of.store(2, None, [{"id": 2, "lines": [{"n": 2}]}])

    of.load()

    assert of.contents(lineage=True) == rebuilt(of).contents(lineage=True)
    assert of.rows("SELECT count(*), count(DISTINCT _id) FROM w.shop.things") == [(2, 2)]


def test_the_next_load_gives_child_rows_the_hash_of_their_list_where_a_former_format_had_another(lab, rebuilt):
    of = lab()
    of.store(1, None, [{"id": 1, "lines": [{"n": 1}]}])
    of.load()
    with of.warehouse.session("going back") as connection:
        connection.execute("UPDATE w.shop.things__lines SET _hash = (SELECT _hash FROM w.shop.things)")
        connection.execute("UPDATE w._ingest.meta SET format = 8")
    of.store(2, None, [{"id": 2}])

    of.load()

    assert of.contents() == rebuilt(of).contents()
