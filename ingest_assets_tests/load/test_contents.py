"""A process that dies while DuckDB writes its table of contents leaves a file that opens all the same."""

from pathlib import Path

import duckdb
import pytest

from ingest_assets.load.contents import Contents
from ingest_assets.load.warehouse import Warehouse

_FIRST_BLOCK = 3 * 4096


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """With a table of a thousand rows, written by one commit after the other, as most are."""
    made = Warehouse(tmp_path)
    with made.session("making") as connection:
        connection.execute("CREATE TABLE w.main.things AS SELECT i AS id FROM range(999) AS r(i)")
    with made.session("adding") as connection:
        connection.execute("INSERT INTO w.main.things VALUES (999)")
    return made


def killed_while_it_commits(warehouse: Warehouse, *, commits: bool = False) -> Path:
    """As a process leaves it that dies after it kept the contents: before it `commits`, or after; what it kept."""
    with Contents(warehouse.writer).opened() as contents, duckdb.connect(":memory:") as connection:
        connection.execute("SET checkpoint_threshold = '1KB'")
        connection.execute(f"ATTACH '{warehouse.writer}' AS w")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO w.main.things SELECT range + 1000 FROM range(1000)")
        contents.keep(connection)
        connection.execute("COMMIT" if commits else "ROLLBACK")
        connection.execute("DETACH w")
    return warehouse.writer.with_suffix(".contents")


def tear(warehouse: Warehouse) -> None:
    """Write half of the first block over, as a write that was not finished does."""
    with warehouse.writer.open("r+b") as file:
        file.seek(_FIRST_BLOCK + 4096)
        file.write(b"\x07" * 100_000)


def rows(warehouse: Warehouse) -> int:
    with warehouse.session("looking") as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM w.main.things").fetchall()
    return int(count)


def test_a_table_of_contents_that_was_half_written_over_is_put_back(warehouse: Warehouse) -> None:
    kept = killed_while_it_commits(warehouse)
    tear(warehouse)

    assert rows(warehouse) == 1000
    assert not kept.exists()


def test_so_it_is_for_the_readers_copy(warehouse: Warehouse) -> None:
    killed_while_it_commits(warehouse)
    tear(warehouse)

    warehouse.publish()

    with warehouse.reading() as connection:
        assert connection.execute("SELECT count(*) FROM main.things").fetchall() == [(1000,)]


def test_so_it_is_where_the_process_that_opens_it_after_the_one_that_died_dies_too(warehouse: Warehouse) -> None:
    with duckdb.connect(":memory:") as connection, Contents(warehouse.writer).opened() as contents:
        connection.execute(f"ATTACH '{warehouse.writer}' AS w")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO w.main.things VALUES (1000)")
        contents.keep(connection)
        connection.execute("COMMIT")
        committed = warehouse.log.read_bytes()
        whole = warehouse.writer.read_bytes()
    warehouse.log.write_bytes(committed)
    warehouse.writer.write_bytes(whole)

    with warehouse.alone("opening"):  # and dying, with half of it written
        tear(warehouse)

    assert rows(warehouse) == 1001
    assert [file.name for file in sorted(warehouse.writer.parent.iterdir())] == ["writer.duckdb", "writer.lock"]


def test_what_was_kept_is_not_put_back_over_a_commit_that_was_done(warehouse: Warehouse) -> None:
    kept = killed_while_it_commits(warehouse, commits=True)

    assert rows(warehouse) == 2000
    assert not kept.exists()


@pytest.mark.parametrize("size", [0, 10, 20_000])
def test_what_was_not_kept_to_its_end_is_not_put_back(warehouse: Warehouse, size: int) -> None:
    kept = killed_while_it_commits(warehouse)
    kept.write_bytes(kept.read_bytes()[:size])

    assert rows(warehouse) == 1000
    assert not kept.exists()


def test_after_a_commit_nothing_is_kept(warehouse: Warehouse) -> None:
    assert [file.name for file in sorted(warehouse.writer.parent.iterdir())] == ["writer.duckdb", "writer.lock"]
