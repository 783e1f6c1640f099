"""What is kept can be brought back: lost warehouses, backups, other machines, other versions."""

import os
import shutil
import subprocess
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ingest_assets import catalog
from ingest_assets.assets.resources import Api
from ingest_assets.commands import environment
from ingest_assets.commands.backup import backup
from ingest_assets.commands.output import output
from ingest_assets.commands.rebuild import rebuild
from ingest_assets.commands.status import status
from ingest_assets.commands.verify import verify
from ingest_assets.errors import ConfigError, IngestError, StorageFailed
from ingest_assets.line import Line
from ingest_assets.load import ledger
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw import manifest
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.sandbox import Sandbox

DAYS = ("2026-11-17", "2026-11-18")
# What a rebuild cannot know: when and by whom it was loaded, how long that took, and when a walk was given up.
_FETCHES = """
SELECT * EXCLUDE (loaded, loaded_run, load_seconds, ended, reason), loaded IS NOT NULL AS is_loaded,
    if(verdict = 'given_up', (NULL, NULL), (ended, reason)) AS ending
FROM _ingest.fetches ORDER BY ALL
"""
# Without the account, which is another where a fetch is loaded under another contract.
_NUMBERS = "SELECT _fetch, partition, started, run, verdict, loaded IS NOT NULL FROM _ingest.fetches"


@pytest.fixture
def place(here: Any, box: Sandbox, monkeypatch: Any) -> Any:
    """An empty place whose environment is this process's own."""
    for name, value in here.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(here.folder / "dagster"))
    environment.settle()
    box.clear_faults()
    yield here
    box.clear_faults()


def line(place: Any, source: str) -> Line:
    """The line of one source."""
    return Api(data=str(place.data)).line(catalog.sources()[source], "run-1")


def ingest(place: Any, source: str, endpoint: str, *, load: bool = True) -> None:
    """Fetch and load all partitions of an endpoint."""
    of = line(place, source)
    for partition in DAYS if of.source.endpoints[endpoint].partitions else (None,):
        with of.partition(endpoint, partition):
            of.fetch(endpoint, partition)
            if load:
                of.load(endpoint, partition)


def lose(place: Any) -> None:
    """All of the warehouse, the reader's copy too; the snapshots stay."""
    shutil.rmtree(place.data / "warehouse")
    (place.data / "warehouse.duckdb").unlink(missing_ok=True)


def rebuilt(**how: Any) -> bool:
    """What `ingest rebuild` says."""
    return rebuild(catalog.sources(), Path(os.environ["INGEST_DATA"]), output(as_json=False), **how)


def contents(ask: Any) -> dict[str, Any]:
    """Columns with types, number of rows, and a hash of all columns in the order of their names, of each table."""
    described: dict[str, list[tuple[str, str]]] = {}
    for schema, table, column, kind in ask(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE NOT internal AND schema_name <> '_ingest' ORDER BY ALL"
    ):
        described.setdefault(f'"{schema}"."{table}"', []).append((column, kind))
    found = {}
    for table, columns in described.items():
        names = ", ".join(f'"{name}"' for name, _ in columns)
        hashed = ask(f"SELECT count(*), sum(hash(t)::HUGEINT) FROM (SELECT {names} FROM {table}) AS t")  # noqa: S608 -- ours
        found[table] = (columns, hashed)
    return found


def state(place: Any) -> dict[str, Any]:
    """All tables with all columns, and all that `_ingest` says but for what a rebuild cannot know."""
    Warehouse(place.data).publish()
    return {
        "tables": contents(place.ask),
        "fetches": place.ask(_FETCHES),
        "quarantine": place.ask("FROM _ingest.quarantine ORDER BY ALL"),
        "sources": place.ask("FROM _ingest.sources ORDER BY ALL"),
        "registries": place.ask("SELECT source, endpoint, layout, registry FROM _ingest.registries ORDER BY ALL"),
    }


def test_three_sources_loaded_twice_are_the_same_in_every_column_and_no_request_is_sent(
    place: Any, box: Sandbox
) -> None:
    names = [(source.name, endpoint) for source in catalog.sources().values() for endpoint in source.endpoints]
    for name in [*names, *names]:
        ingest(place, *name)
    before = state(place)
    lose(place)
    box.forget_seen()

    assert rebuilt()

    assert box.seen() == []
    after = state(place)
    assert len(before["tables"]) > 30
    for part, found in before.items():
        assert after[part] == found, part


def test_a_changed_contract_failed_fetches_and_abandoned_walks_are_there_again(place: Any, box: Sandbox) -> None:
    file = place.folder / "sources" / "stripe.yaml"
    ingest(place, "stripe", "charges")
    box.fault("empty_page", path="/stripe/v1/charges", times=None)
    with pytest.raises(IngestError):
        ingest(place, "stripe", "charges")
    box.clear_faults()
    file.write_text(file.read_text() + "endpoints: {charges: {columns: {currency: {type: varchar, values: [eur]}}}}\n")
    ingest(place, "stripe", "charges")
    abandon(place, "stripe", "charges", DAYS[0])
    ingest(place, "stripe", "charges")
    abandon(place, "stripe", "charges", DAYS[1])
    before, numbers = state(place), place.ask(f"{_NUMBERS} ORDER BY _fetch")
    lose(place)

    assert rebuilt()

    assert {row[0] for row in place.ask("SELECT DISTINCT verdict FROM _ingest.fetches")} == {
        *("complete", "failed", "given_up", None)
    }
    assert place.ask("SELECT count(*) > 0 FROM _ingest.quarantine") == [(True,)]
    assert place.ask(f"{_NUMBERS} ORDER BY _fetch") == numbers
    assert state(place) | {"fetches": []} == before | {"fetches": []}
    assert line(place, "stripe").snapshots.unfinished("stripe", "charges", DAYS[1]) is not None


def abandon(place: Any, source: str, endpoint: str, day: str) -> None:
    """A walk that died before its first page was stored, of a request that nobody will make again."""
    of = line(place, source)
    opened = Snapshots(place.data / "raw").fetches(source, endpoint, day)[-1].manifest
    with of.warehouse.session("beginning") as connection:
        bounds = (opened.bounds.from_, opened.bounds.until) if opened.bounds else None
        last = of.snapshots.last_number()
        number, started = ledger.begin(connection, (source, endpoint), {day: bounds}, "run-1", of.now(), last)[day]
        of.snapshots.issued(number)
    of.snapshots.begin(replace(opened, fetch=number, started=started, fingerprint="of another request", ended=None))


def test_names_that_the_order_of_loads_settled_stay(place: Any, box: Sandbox) -> None:
    ingest(place, "mixpanel", "profiles")
    of = line(place, "mixpanel")
    noted = of.snapshots.notes.registry("mixpanel", "profiles")
    assert noted is not None
    swapped = noted.replace('"properties__city_2"', '"swap"').replace('"properties__city"', '"properties__city_2"')
    with of.warehouse.session("as if another day had come first") as connection:
        connection.execute(
            "UPDATE w._ingest.registries SET registry = ? WHERE endpoint = 'profiles'",
            [swapped.replace('"swap"', '"properties__city"')],
        )
    of.load("profiles", None, replay=True)
    before = state(place)
    lose(place)

    assert rebuilt()

    assert swapped != noted
    assert state(place) == before


def test_a_lost_warehouse_is_not_begun_anew(place: Any, box: Sandbox) -> None:
    ingest(place, "stripe", "customers")
    lose(place)
    box.forget_seen()

    with pytest.raises(StorageFailed, match=r"the warehouse is gone.* Next: ingest rebuild"):
        ingest(place, "stripe", "customers")

    assert box.seen() == []
    assert not Warehouse(place.data).writer.exists()
    assert len(Snapshots(place.data / "raw").fetches("stripe", "customers")) == 1


def test_commands_say_that_it_is_lost_and_name_the_command(place: Any) -> None:
    ingest(place, "stripe", "customers")
    lose(place)

    for told in (place.ingest("status"), place.ingest("run", "stripe.customers")):
        assert told.returncode == 1, told
        assert "the warehouse is gone" in told.stderr
        assert "Next: ingest rebuild" in told.stderr


def test_an_interrupted_rebuild_goes_on_and_is_in_place_only_when_it_is_whole(place: Any, monkeypatch: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "customers")
    before = state(place)
    lose(place)
    segment = Snapshots(place.data / "raw").fetches("stripe", "charges", DAYS[1])[0].folder / "pages.zst"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])

    broken = rebuilt()
    in_place = Warehouse(place.data).writer.exists()
    segment.write_bytes(whole)
    mended = rebuilt()

    assert (broken, in_place, mended) == (False, False, True)
    assert state(place) == before
    assert not (place.data / "warehouse" / "rebuild").exists()


def test_partial_puts_it_in_place_without_what_is_damaged(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "charges")
    lose(place)
    segment = Snapshots(place.data / "raw").fetches("stripe", "charges", DAYS[1])[0].folder / "pages.zst"
    segment.write_bytes(b"")

    assert not rebuilt(partial=True)

    assert f"damaged: {segment}" in capsys.readouterr().out
    assert place.ask("SELECT partition FROM _ingest.fetches WHERE loaded IS NOT NULL") == [(DAYS[0],)]


@pytest.fixture(params=["a flipped bit of manifest.json", "no manifest.json", "no index.jsonl"])
def harm(request: Any) -> Any:
    """Does to the files of a stored fetch what a bad disk may do; gives the file."""

    def done(snapshot: Snapshot) -> Path:
        *how, name = request.param.split()
        file = snapshot.folder / name
        content = file.read_bytes()
        file.unlink()
        if how != ["no"]:
            file.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
        return file

    return done


def stored(place: Any, partition: str | None, endpoint: str = "charges") -> list[Snapshot]:
    """What is stored of a partition of Stripe's, in order."""
    return Snapshots(place.data / "raw").fetches("stripe", endpoint, partition)


def test_partial_leaves_out_a_fetch_that_cannot_be_read_and_no_other_partition(
    place: Any, harm: Any, capsys: Any
) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "customers")
    lose(place)
    file = harm(stored(place, DAYS[1])[0])

    assert not rebuilt(partial=True)

    told = capsys.readouterr().out
    assert told.count(f"damaged: {file}") == 1
    assert "In place without what is named above" in told
    assert place.ask("SELECT endpoint, partition FROM _ingest.fetches WHERE loaded IS NOT NULL ORDER BY ALL") == [
        ("charges", DAYS[0]),
        ("customers", None),
    ]


def test_partial_takes_the_other_fetches_of_its_partition_and_a_mended_one_comes_late(place: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "charges")
    before = state(place)["tables"]
    lose(place)
    older, newer = stored(place, DAYS[1])
    whole = (older.folder / "manifest.json").read_bytes()
    (older.folder / "manifest.json").write_bytes(b"")

    rebuilt(partial=True)
    without = place.ask(f"SELECT _fetch FROM _ingest.fetches WHERE partition = '{DAYS[1]}'")  # noqa: S608 -- ours
    (older.folder / "manifest.json").write_bytes(whole)

    assert rebuilt()
    assert without == [(newer.fetch,)]
    assert state(place)["tables"] == before


def test_partial_takes_the_other_fetches_of_a_partition_where_pages_of_one_are_damaged(place: Any, capsys: Any) -> None:
    for _ in range(3):
        ingest(place, "stripe", "charges")
    before = state(place)["tables"]
    lose(place)
    older, damaged, newer = stored(place, DAYS[1])
    segment = damaged.folder / "pages.zst"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])

    assert not rebuilt(partial=True)

    assert capsys.readouterr().out.count(f"damaged: {segment}") == 1
    without = place.ask(f"{_NUMBERS} WHERE partition = '{DAYS[1]}' AND loaded IS NOT NULL ORDER BY ALL")
    assert [row[0] for row in without] == [older.fetch, newer.fetch]
    segment.write_bytes(whole)
    assert rebuilt()
    assert state(place)["tables"] == before


def test_without_partial_a_fetch_that_cannot_be_read_keeps_its_partition_from_being_loaded(
    place: Any, harm: Any, capsys: Any
) -> None:
    ingest(place, "stripe", "customers")
    ingest(place, "stripe", "charges", load=False)
    ingest(place, "stripe", "charges", load=False)
    file = harm(stored(place, DAYS[1])[0])

    assert not rebuilt()

    assert capsys.readouterr().out.count(f"damaged: {file}") == 1
    assert place.ask("SELECT DISTINCT partition FROM _ingest.fetches WHERE loaded IS NOT NULL AND partition <> ''") == [
        (DAYS[0],)
    ]


def test_an_older_warehouse_gets_what_is_stored_and_no_number_is_issued_again(place: Any, box: Sandbox) -> None:
    ingest(place, "stripe", "charges")
    older = (place.data / "warehouse" / "writer.duckdb").read_bytes()
    ingest(place, "stripe", "charges")
    ingest(place, "zendesk", "tickets")
    before = state(place)
    (place.data / "warehouse" / "writer.duckdb").write_bytes(older)
    box.forget_seen()

    assert rebuilt()

    assert box.seen() == []
    assert state(place) == before
    (place.data / "warehouse" / "writer.duckdb").write_bytes(older)
    ingest(place, "stripe", "customers")
    snapshots = Snapshots(place.data / "raw")
    numbers = [s.fetch for name in snapshots.endpoints() for s in snapshots.fetches(*name)]
    assert len(numbers) == len(set(numbers)) == max(numbers)


def test_a_source_whose_file_is_gone_is_named_and_its_fetches_stay_numbered(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "customers")
    ingest(place, "mixpanel", "profiles")
    (place.folder / "sources" / "mixpanel.yaml").unlink()
    os.environ["INGEST_ONLY"] = "stripe"
    lose(place)

    assert not rebuilt()

    assert "no source file names them: mixpanel.profiles" in capsys.readouterr().out
    assert place.ask("SELECT source, loaded IS NOT NULL FROM _ingest.fetches ORDER BY ALL") == [
        ("mixpanel", False),
        ("stripe", True),
    ]


def test_nothing_stored_is_nothing_to_do(place: Any, capsys: Any) -> None:
    assert rebuilt()

    assert "Nothing to do" in capsys.readouterr().out
    assert not (place.data / "warehouse").exists()


def backed_up(place: Any) -> Path:
    """What `ingest backup` made, beside the data."""
    folder: Path = place.folder / "backup"
    assert backup(place.data, folder, output(as_json=False))
    return folder


def restored(place: Any, folder: Path, monkeypatch: Any) -> Any:
    """The backup, copied as a person would, as the data folder of another place."""
    other = type(place)(place.folder.with_name(f"{place.folder.name}-restored"), place.url, place.more)
    other.folder.mkdir()
    subprocess.run(["cp", "-a", folder, other.data], check=True)
    monkeypatch.setenv("INGEST_DATA", str(other.data))
    monkeypatch.setenv("DAGSTER_HOME", str(other.folder / "dagster"))
    environment.settle()
    return other


def test_a_restored_backup_is_the_same_and_goes_on_counting(place: Any, box: Sandbox, monkeypatch: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "zendesk", "tickets")
    before = state(place)
    folder = backed_up(place)

    other = restored(place, folder, monkeypatch)
    box.forget_seen()

    assert verify(other.data, [], output(as_json=False))
    assert rebuilt()
    assert box.seen() == []
    assert state(other) == before
    ingest(other, "stripe", "charges")
    assert [row[0] for row in contents_of_fetches(other)] == [1, 2, 3, 4, 5]


def contents_of_fetches(place: Any) -> list[tuple[Any, ...]]:
    """Number and verdict of all fetches."""
    Warehouse(place.data).publish()
    rows: list[tuple[Any, ...]] = place.ask("SELECT _fetch, verdict FROM _ingest.fetches ORDER BY ALL")
    return rows


def test_a_backup_taken_during_loads_restores_to_what_was_loaded_and_goes_on(
    place: Any, box: Sandbox, monkeypatch: Any
) -> None:
    file = place.folder / "sources" / "stripe.yaml"
    file.write_text(file.read_text() + "endpoints: {charges: {params: {limit: 3}}}\n")
    stop, rounds = threading.Event(), [0]

    def load() -> None:
        while not stop.is_set():
            ingest(place, "stripe", "charges")
            rounds[0] += 1

    ingest(place, "stripe", "charges")
    working = threading.Thread(target=load)
    working.start()
    try:
        while rounds[0] < 4 and working.is_alive():
            folder = backed_up(place)
    finally:
        stop.set()
        working.join()
    other = restored(place, folder, monkeypatch)

    assert rounds[0] > 0
    assert verify(other.data, [], output(as_json=False))
    cited = {row[0] for row in contents_of_fetches(other) if row[1] == "complete"}
    stored = Snapshots(other.data / "raw").fetches("stripe", "charges")
    assert cited <= {snapshot.fetch for snapshot in stored}
    assert rebuilt()
    ingest(other, "stripe", "charges")
    assert versions(other) == versions(place)
    assert len({row[0] for row in contents_of_fetches(other)}) == len(contents_of_fetches(other))


def versions(place: Any) -> list[tuple[Any, ...]]:
    """The version of each charge that its table has."""
    Warehouse(place.data).publish()
    rows: list[tuple[Any, ...]] = place.ask("SELECT id, _hash FROM stripe.charges ORDER BY ALL")
    return rows


def test_a_second_backup_copies_only_what_is_new(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "charges")
    folder = backed_up(place)
    before = {file: file.stat().st_ino for file in (folder / "raw").rglob("pages.zst")}
    ingest(place, "stripe", "customers")

    backed_up(place)

    assert "3 fetches and the warehouse; copied 1 " in capsys.readouterr().out
    assert len(before) == 2
    assert {file: file.stat().st_ino for file in before} == before
    assert sorted(p.relative_to(folder) for p in folder.rglob("*.new")) == []


def test_a_verdict_that_was_taken_back_is_copied_again(place: Any) -> None:
    ingest(place, "stripe", "customers")
    folder = backed_up(place)
    here = Snapshots(place.data / "raw")
    here.give_up(here.fetches("stripe", "customers")[0], "undone")

    backed_up(place)

    (copy,) = Snapshots(folder / "raw").fetches("stripe", "customers")
    assert copy.manifest.ended is not None
    assert copy.manifest.ended.verdict == "given_up"
    assert Snapshots(folder / "raw").of("stripe", "customers", None).given_up == [copy]


def test_what_was_archived_is_in_a_backup_too(place: Any) -> None:
    ingest(place, "stripe", "customers")
    here = Snapshots(place.data / "raw")
    here.archive("stripe", "customers", place.data / "archive")

    folder = backed_up(place)

    (copy,) = here.archived("stripe", "customers", folder / "archive")
    assert copy.verify() == []
    assert copy.folder.relative_to(folder) == next((place.data / "archive").rglob("1")).relative_to(place.data)


def test_a_backup_says_what_was_damaged_before_it(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "customers")
    segment = next((place.data / "raw").rglob("pages.zst"))
    segment.write_bytes(segment.read_bytes()[:-1])

    assert not backup(place.data, place.folder / "backup", output(as_json=False))

    assert "damaged: 1" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["backup", "verify"])
def test_a_fetch_that_is_damaged_at_several_places_is_counted_once(place: Any, command: str, capsys: Any) -> None:
    for _ in range(2):
        ingest(place, "stripe", "customers")
    segment = stored(place, None, "customers")[0].folder / "pages.zst"
    content = segment.read_bytes()
    segment.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) + b"more")
    out = output(as_json=False)

    assert not (
        backup(place.data, place.folder / "backup", out) if command == "backup" else verify(place.data, [], out)
    )

    told = capsys.readouterr().out
    assert told.count(f"damaged: {segment}") == 2
    assert ("damaged: 1\n" if command == "backup" else "2 fetches of 1 endpoints, 1 damaged") in told


def test_a_backup_names_a_fetch_that_cannot_be_copied_and_copies_all_others(place: Any, harm: Any, capsys: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "customers")
    file = harm(stored(place, DAYS[1])[0])
    folder = place.folder / "backup"

    assert not backup(place.data, folder, output(as_json=False))

    told, copies = capsys.readouterr().out, Snapshots(folder / "raw")
    assert told.count(f"damaged: {file}") == 1
    assert [len(copies.fetches("stripe", *of)) for of in (("charges",), ("customers",))] == [1, 1]
    assert (folder / "warehouse" / "writer.duckdb").exists()


def test_a_copy_in_a_backup_stays_where_the_fetch_itself_is_damaged_since(place: Any, harm: Any) -> None:
    ingest(place, "stripe", "customers")
    folder = backed_up(place)
    harm(stored(place, None, "customers")[0])

    assert not backup(place.data, folder, output(as_json=False))

    (copy,) = Snapshots(folder / "raw").fetches("stripe", "customers")
    assert copy.verify() == []


def test_a_copy_that_cannot_be_read_any_more_is_copied_again(place: Any, harm: Any) -> None:
    ingest(place, "stripe", "customers")
    folder = backed_up(place)
    (copy,) = Snapshots(folder / "raw").fetches("stripe", "customers")
    harm(copy)

    backed_up(place)

    assert copy.verify() == []


@pytest.mark.parametrize("file", ["warehouse/writer.duckdb", "warehouse.duckdb"])
def test_a_damaged_warehouse_takes_no_good_backup_s_place(place: Any, file: str) -> None:
    ingest(place, "stripe", "customers")
    folder = backed_up(place)
    before = (folder / "warehouse" / "writer.duckdb").read_bytes()
    ingest(place, "zendesk", "tickets")
    Warehouse(place.data).publish()
    damaged = place.data / file
    at = damaged.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[: 1 << 14])
    os.utime(damaged, ns=(at, at + (file != "warehouse.duckdb")))

    with pytest.raises(StorageFailed, match=r"duckdb: a copy of it cannot be read"):
        backup(place.data, folder, output(as_json=False))

    assert (folder / "warehouse" / "writer.duckdb").read_bytes() == before
    assert not list((folder / "warehouse").glob("*.new"))


def test_a_backup_is_refused_where_it_would_do_harm(place: Any) -> None:
    ingest(place, "stripe", "customers")
    folder = backed_up(place)
    other = place.folder / "other"
    (other / "photos").mkdir(parents=True)
    shutil.rmtree(place.data)
    ingest(place, "stripe", "customers")

    for where, expected in [
        (place.data / "backup", "lies outside of the data folder"),
        (place.folder / "other" / ".." / "data" / "backup", "lies outside of the data folder"),
        (place.folder, "lies outside of the data folder"),
        (other, "holds photos; expected an empty folder"),
        (folder, "of another data folder"),
    ]:
        with pytest.raises(ConfigError, match=expected):
            backup(place.data, where, output(as_json=False))


def test_a_moved_data_folder_needs_nothing_and_names_no_place(place: Any, box: Sandbox, monkeypatch: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "zendesk", "tickets")
    before = state(place)
    moved = type(place)(place.folder.with_name("elsewhere entirely"), place.url, place.more)
    moved.folder.mkdir()
    place.data.rename(moved.data)
    monkeypatch.setenv("INGEST_DATA", str(moved.data))
    box.forget_seen()

    assert rebuilt()

    assert box.seen() == []
    assert state(moved) == before
    named = [f for f in moved.data.rglob("*") if f.is_file() and str(place.folder).encode() in f.read_bytes()]
    assert [f for f in named if "dagster" not in f.parts] == []


def an_hour_ago(snapshot: Snapshot) -> None:
    """Let it say that its walk ended an hour ago: whoever loads it has had the time."""
    told = snapshot.manifest
    assert told.ended is not None
    earlier = replace(told.ended, at=told.ended.at - timedelta(hours=1))
    manifest.write(snapshot.folder, replace(told, ended=earlier))


def test_status_names_what_is_stored_and_not_loaded(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "customers")
    of = line(place, "stripe")
    with of.partition("customers", None):
        fetched = of.fetch("customers", None)
    an_hour_ago(fetched)
    Warehouse(place.data).publish()

    status(catalog.sources(), [("stripe", "customers"), ("stripe", "charges")], place.data, output(as_json=False))

    told = capsys.readouterr().out
    assert "! stripe.customers: loaded: it is stored and not loaded. Next: ingest rebuild" in told
    assert "stripe.charges: loaded" not in told


def test_status_tells_of_a_fetch_that_cannot_be_read_beside_all_else(place: Any, capsys: Any) -> None:
    ingest(place, "stripe", "charges")
    of = line(place, "stripe")
    with of.partition("charges", DAYS[0]):
        an_hour_ago(of.fetch("charges", DAYS[0]))
    ingest(place, "stripe", "customers")
    Warehouse(place.data).publish()
    file = stored(place, DAYS[1])[0].folder / "manifest.json"
    file.write_bytes(b"")

    status(catalog.sources(), [("stripe", "customers"), ("stripe", "charges")], place.data, output(as_json=False))

    told = capsys.readouterr().out
    assert f"! stripe.charges: damaged: {file}" in told
    assert f"! stripe.charges: loaded: {DAYS[0]} is stored and not loaded" in told
    assert "! stripe.customers" not in told


def test_what_was_undone_stays_undone(place: Any) -> None:
    ingest(place, "stripe", "charges")
    ingest(place, "stripe", "charges")
    of = line(place, "stripe")
    newest = of.snapshots.fetches("stripe", "charges", DAYS[1])[-1]
    with of.partition("charges", DAYS[1]):
        of.undo("charges", [newest], "undone by a test")
    before, numbers = state(place), place.ask(f"{_NUMBERS} ORDER BY _fetch")
    lose(place)

    assert rebuilt()

    assert {**state(place), "fetches": []} == {**before, "fetches": []}
    assert place.ask(f"{_NUMBERS} ORDER BY _fetch") == numbers
