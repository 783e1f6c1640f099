"""The lock, the reader's copy, the disk, and the names that SQL is made of."""

import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets.errors import Locked, StorageFailed
from ingest_assets.load.warehouse import Warehouse

_HOLD = """
import sys
from pathlib import Path
from ingest_assets.load.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).alone("run r7, loading shop.things"):
    print("held", flush=True)
    sys.stdin.read()
"""
_READ = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(connection.execute("SELECT count(*) FROM shop.things").fetchone()[0], flush=True)
"""
_FILE_LIMIT = """
import resource, sys
from pathlib import Path
from ingest_assets.errors import StorageFailed
from ingest_assets.load.load import Loader
from ingest_assets.load.work import Work
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Endpoint
data = Path(sys.argv[1])
work = Work("shop", "things", Endpoint(path="/things", primary_key="id"))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    Loader(Warehouse(data, reserve_bytes=0), Snapshots(data / "raw"), work, "r").load(None)
except StorageFailed as error:
    print(error)
"""


@contextmanager
def _process(script: str, argument: Any) -> Iterator[Callable[[str], str]]:
    """A process that answers a line with a line; it ends when its input does."""
    command = [sys.executable, "-c", script, str(argument)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(line: str) -> str:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline().strip()

        try:
            yield ask
        finally:
            process.stdin.close()
            process.wait()


def test_who_waits_too_long_is_told_of_the_holder(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.warehouse.wait_seconds = 0.1

    with _process(_HOLD, things.data) as ask:
        assert ask("") == "held"
        with pytest.raises(Locked, match=r"process \d+ \(run r7, loading shop\.things\), for \d+ s; waited 0 s"):
            things.load()


def test_a_second_writer_waits_for_the_first(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    waiting = threading.Thread(target=things.load)

    with _process(_HOLD, things.data) as ask:
        ask("")
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join()

    assert things.values("id") == [1]


def test_readers_keep_their_copy_while_others_load_and_publish(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()

    with _process(_READ, things.warehouse.reader) as ask:
        before = ask("\n")
        things.store(2, None, [{"id": 2}])
        things.load()
        things.warehouse.publish()
        after = ask("\n")

    with duckdb.connect(str(things.warehouse.reader), read_only=True) as fresh:
        new = fresh.execute("SELECT count(*) FROM shop.things").fetchone()
    assert (before, after, new) == ("1", "1", (2,))


def test_a_new_reader_sees_what_was_published_while_an_old_one_reads_on(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()

    with things.warehouse.reading() as old:
        things.store(2, None, [{"id": 2}])
        things.load()
        things.warehouse.publish()
        with things.warehouse.reading() as new:
            counts = [c.execute("SELECT count(*) FROM shop.things").fetchone() for c in (old, new)]

    assert counts == [(1,), (2,)]


def test_nothing_is_published_where_nothing_was_committed(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    before = things.warehouse.reader.stat()

    things.load()
    things.rows("FROM w._ingest.fetches")
    things.warehouse.publish()

    assert things.warehouse.reader.stat().st_ino == before.st_ino


def test_a_commit_of_a_process_that_died_at_once_is_published(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ingest_assets.load.warehouse import Warehouse\n"
        "with Warehouse(Path(sys.argv[1]), reserve_bytes=0).session('dying') as c:\n"
        "    c.execute('UPDATE w.shop.things SET id = 7'); c.execute('COMMIT'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(things.data)], check=False)

    things.warehouse.publish()

    with things.warehouse.reading() as connection:
        assert connection.execute("SELECT id FROM shop.things").fetchall() == [(7,)]


def test_reading_before_anything_is_published_says_what_to_do(lab):
    with pytest.raises(StorageFailed, match="materialize something first"), lab().warehouse.reading():
        pass


def test_the_reader_s_copy_cannot_be_written_through(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()

    with things.warehouse.reading() as connection, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        connection.execute("DELETE FROM shop.things")


def test_both_files_are_of_a_storage_version_that_older_tools_open(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "l": [1]}])
    things.load()
    things.warehouse.publish()

    with things.warehouse.reading() as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'warehouse'").fetchone()
    written = things.rows("SELECT tags FROM duckdb_databases() WHERE database_name = 'w'")
    assert "v1.4.0" in str(tags)
    assert "v1.4.0" in str(written)


def test_the_writer_s_folders_are_closed_to_others(lab):
    things = lab()
    things.rows("SELECT 1")

    assert [f.stat().st_mode & 0o777 for f in (things.warehouse.writer.parent, things.warehouse.staging)] == [0o700] * 2


@pytest.mark.parametrize("act", ["load", "publish"])
def test_a_disk_that_would_be_filled_is_not_written_to(lab, act):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    before, copy = things.contents(lineage=True), things.warehouse.reader.read_bytes()
    things.store(2, None, [{"id": 2}])
    if act == "publish":
        things.load()
    things.warehouse.reserve_bytes = 1 << 60

    with pytest.raises(StorageFailed, match=r"MB free, .* MB needed\. What is loaded and fetched stays"):
        things.load() if act == "load" else things.warehouse.publish()

    things.warehouse.reserve_bytes = 0
    assert act == "publish" or things.contents(lineage=True) == before
    assert things.warehouse.reader.read_bytes() == copy


def test_a_write_that_fails_in_the_middle_leaves_all_as_it_was(lab):
    things = lab()
    things.store(1, None, [{"id": 0, "v": "first"}])
    things.load()
    before = things.contents(lineage=True)
    things.store(2, None, [{"id": n, "v": f"{hash((n, n)):x}" * 4} for n in range(40_000)])

    run = subprocess.run(
        [sys.executable, "-c", _FILE_LIMIT, str(things.data)], capture_output=True, text=True, check=True
    )

    assert "What is loaded and fetched stays as it is" in run.stdout
    assert things.contents(lineage=True) == before
    assert [one.account.inserted for one in things.load()] == [39_999]


def noted_in_spite_of_an_error(warehouse):
    with warehouse.session("noting") as connection:
        connection.execute("CREATE TABLE w.main.noted AS SELECT 1 AS one")
        with pytest.raises(duckdb.CatalogException):
            connection.execute("SELECT * FROM w.main.missing")


def test_a_commit_after_an_error_that_nobody_heeded_raises(tmp_path):
    with pytest.raises(duckdb.TransactionException):
        noted_in_spite_of_an_error(Warehouse(tmp_path))


def test_names_with_quotes_keywords_and_spaces_are_only_names(lab):
    evil = 'x"; DROP SCHEMA "w"; --\''
    columns = {evil: {"type": "bigint", "path": "a"}, "select": {"type": "varchar"}, "has space": {"type": "double"}}
    shops = {"path": "/{shop}", "partitions": {"by": {"shop": [evil]}}}
    things = lab(
        **shops, source=evil, name=evil, columns=columns, primary_key=[evil, "select"], newest_by="has space",
        write="merge",
    )  # fmt: skip
    record = {"a": 1, "select": "it's", "has space": 0.5, "group": "\"'", evil: [{evil: 1, "order": [evil]}]}
    things.store(1, evil, [record])
    things.load(evil)
    things.store(2, evil, [record, {**record, "group": "new"}, {"a": evil}])

    (loaded,) = things.load(evil)

    assert (loaded.account.updated, loaded.account.duplicates, loaded.account.quarantined) == (1, 1, 1)
    assert things.values("group_") == ["new"]
    assert len(things.tables()) == 3
    assert things.load(evil, replay=True)[0].account.inserted == 1


class _Interleaved(Warehouse):
    """Lets others in just before each of its own writes."""

    others: list[Callable[[], Any]]

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 2 == 0 and self.others:  # each attempt reads, then writes
            self.others.pop(0)()
        with super().alone(what):
            yield


def _interleaved(things: Any, *others: Callable[[], Any]) -> Any:
    mine = type(things)(things.data, things.model)
    mine.warehouse = _Interleaved(things.data, reserve_bytes=0)
    mine.warehouse.others = list(others)
    return mine


def test_a_schema_committed_between_staging_and_commit_is_joined_with_what_is_staged(lab, daily, rebuilt):
    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1, "v": 1}])
    things.store(2, "2026-01-02", [{"id": 2, "v": 0.5}])
    mine = _interleaved(things, lambda: things.load("2026-01-01"))

    loaded = mine.load("2026-01-02")

    assert [one.fetch for one in loaded] == [2]
    assert things.columns()["v"] == "DOUBLE"
    assert things.contents() == rebuilt(things).contents()


def test_a_fetch_that_another_process_loaded_meanwhile_keeps_its_account(lab, daily):
    model = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}})
    model.store(1, "2026-01-01", [{"id": 1, "at": 1}])
    model.load("2026-01-01")
    model.store(2, "2026-01-02", [{"id": 2, "at": 1}])
    mine = _interleaved(model, lambda: model.load("2026-01-02"))

    assert mine.load("2026-01-02") == []
    assert model.accounts()[2] == {"received": 1, "inserted": 1}


def test_a_load_that_was_overtaken_again_and_again_keeps_the_others_out(lab, daily):
    things = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}})
    things.warehouse = Warehouse(things.data, wait_seconds=0.1, reserve_bytes=0)
    kept_out = []

    def overtake(number):
        """Load the partition in another process, and leave one more fetch of it to load."""
        try:
            things.load("2026-01-01")
        except Locked:
            kept_out.append(number)
        else:
            things.store(number, "2026-01-01", [{"id": number, "at": 1}])

    things.store(1, "2026-01-01", [{"id": 1, "at": 1}])
    mine = _interleaved(things, *[lambda n=n: overtake(n) for n in range(2, 7)])

    (loaded,) = mine.load("2026-01-01")

    assert loaded.fetch == 4
    assert kept_out == [5]  # they were let in three times
    assert len(mine.warehouse.others) == 1


def _of_storage(file: Path, version: int) -> None:
    """Make a DuckDB file say that it is of this storage version, its checksum right."""
    content = bytearray(file.read_bytes())
    content[12:20] = version.to_bytes(8, "little")
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", bytes(content[8:4096])):
        checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
    content[:8] = checksum.to_bytes(8, "little")
    file.write_bytes(content)


@pytest.mark.parametrize("wrong", ["later", "damaged", "cut off", "no database"])
def test_a_file_that_this_duckdb_cannot_read_is_told_with_the_way_out_and_left_as_it_is(tmp_path: Path, wrong: str):
    with Warehouse(tmp_path).session("making it"):
        pass
    file = Warehouse(tmp_path).writer
    if wrong == "later":
        _of_storage(file, 999)
    elif wrong == "damaged":
        file.write_bytes(file.read_bytes()[:100] + b"?" + file.read_bytes()[101:])
    elif wrong == "cut off":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_bytes(b"no database")
    before = file.read_bytes()

    refused = pytest.raises(StorageFailed, match=r"writer\.duckdb: .*move the file away and build it again.*rebuild")
    with refused, Warehouse(tmp_path).session("opening it"):
        pass

    assert file.read_bytes() == before


def test_duckdb_is_started_once_however_many_begin_to(tmp_path: Path):
    warehouse, started = Warehouse(tmp_path), list[object]()
    warehouse._started = lambda: started.append(1) or Warehouse._started(warehouse)  # type: ignore[method-assign]

    for _ in range(3):
        warehouse.start()
    with warehouse.connection() as connection:
        settings = connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('python_enable_replacements')"
        ).fetchone()

    assert settings == ("UTC", False)
    assert len(started) == 1


def test_why_duckdb_could_not_be_started_is_told_to_who_needs_it(tmp_path: Path):
    warehouse = Warehouse(tmp_path)
    warehouse.staging.write_text("in the way")

    warehouse.start()

    with pytest.raises(FileExistsError), warehouse.connection():
        pass
