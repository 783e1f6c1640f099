"""Rows that are gathered before DuckDB takes them."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.load.spool import Spool


def rows(first: int, count: int, **more: Any) -> pa.Table:
    return pa.table(
        {"Id": range(first, first + count), "id": [f"text {n}" for n in range(first, first + count)], **more}
    )


def taken(spool: Spool) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    connection, found = duckdb.connect(), []
    for table, names, content in spool.taken():
        connection.register("arrived", content)
        found.append((table, names, connection.execute("FROM arrived ORDER BY c0").fetchall()))
    connection.close()
    return found


@pytest.mark.parametrize("count", [3, 300_000])
def test_rows_come_back_by_table_and_columns_whether_they_went_to_disk_or_not(tmp_path: Path, count: int) -> None:
    with contextlib.closing(Spool(tmp_path)) as spool:
        spool.add("a", rows(0, count))
        spool.add("b", rows(7, 1))
        spool.add("a", rows(count, count))
        spool.add("a", rows(5, 1, new=[True]))
        spool.add("b", rows(0, 0))

        found = taken(spool)

        assert [(table, names, len(content)) for table, names, content in found] == [
            ("a", ("Id", "id"), 2 * count),
            ("b", ("Id", "id"), 1),
            ("a", ("Id", "id", "new"), 1),
        ]
        assert found[0][2] == [(n, f"text {n}") for n in range(2 * count)]
        assert found[1][2] == [(7, "text 7")]
        assert found[2][2] == [(5, "text 5", True)]
        assert taken(spool) == []
        assert not list(tmp_path.iterdir())


def test_rows_of_many_different_columns_have_to_go(tmp_path: Path) -> None:
    with contextlib.closing(Spool(tmp_path)) as spool:
        for number in range(25):
            assert not spool.is_full
            spool.add("a", pa.table({f"column {number}": [1]}))

        assert spool.is_full
        assert len(taken(spool)) == 25
        assert not spool.is_full


def test_more_rows_than_duckdb_takes_at_once_have_to_go(tmp_path: Path) -> None:
    with contextlib.closing(Spool(tmp_path)) as spool:
        spool.add("a", rows(0, 800_000))
        assert not spool.is_full
        spool.add("a", rows(0, 800_000))

        assert spool.is_full
        assert len(taken(spool)[0][2]) == 1_600_000
        assert not spool.is_full


def test_rows_that_are_kept_are_read_as_often_as_need_be_and_are_never_too_many(tmp_path: Path) -> None:
    with contextlib.closing(Spool(tmp_path, keeps=True)) as spool, duckdb.connect() as connection:
        for first in range(0, 1_600_000, 400_000):
            spool.add("a", rows(first, 400_000))

        assert spool.on_disk
        assert not spool.is_full
        ((_, names, content),) = spool.kept()
        connection.register("kept", content)
        for _ in range(2):
            told = connection.execute("SELECT count(*), count(DISTINCT c0), max(c1) FROM kept").fetchall()
            assert (names, told) == (("Id", "id"), [(1_600_000, 1_600_000, "text 999999")])
        assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def no_file_grows() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("count", [3, 100_000])
def test_a_disk_that_takes_no_rows_is_told_when_they_are_asked_for_and_not_when_they_are_let_go(
    tmp_path: Path, count: int
) -> None:
    spool = Spool(tmp_path)
    spool.add("a", rows(0, count))

    with no_file_grows():
        with pytest.raises(StorageFailed, match="rows could not be put aside: File too large"):
            list(spool.handed())
        spool.close()
