"""A merge has room for what it deletes before it begins to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingest_assets.contract import Contract
from ingest_assets.load.merging import Merge
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import Target
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.normalize.registry import TableSpec

_SPECS = (
    TableSpec("things", (), None, (), None, ()),
    TableSpec("things__lines", ("lines",), "things", ("lines",), "_hash__lines", ()),
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("CREATE TABLE things AS FROM range(2_048_000)")
        opened.execute("CREATE TABLE things__lines AS FROM range(20_480)")
        yield opened


def _asked(connection: duckdb.DuckDBPyConnection, rows: int, contract: Contract | None = None) -> list[float]:
    asked = list[float]()
    staged = Staged(1, None, _SPECS, rows, 0, frozenset(), datetime(2026, 1, 1, tzinfo=UTC))
    target = Target("memory", "main", ("main", "versions"), ("main", "ends"))
    Merge(connection, staged, contract or Contract(), target, asked.append).ready_to_delete(rows, 2 * rows)
    return asked


def test_rows_here_and_there_need_room_for_all_that_is_stored_beside_each(connection):
    (megabytes,) = _asked(connection, 500)

    assert megabytes == pytest.approx((500 + 11) * 2048 * 8 / 1e6)


def test_no_more_room_is_needed_than_for_whole_tables(connection):
    (megabytes,) = _asked(connection, 2_000_000)

    assert megabytes == pytest.approx((1001 + 11) * 2048 * 8 / 1e6)


def test_versions_that_are_replaced_need_room_too(connection):
    connection.execute("CREATE TABLE versions AS FROM range(2_048_000)")

    (megabytes,) = _asked(connection, 300, Contract(newest_by="at", columns={"at": {"type": "bigint"}}))

    assert megabytes == pytest.approx((300 + 11 + 600) * 2048 * 8 / 1e6)


def test_few_rows_need_no_room(connection):
    assert _asked(connection, 10) == []


def test_room_is_made_by_doubling_up_to_the_most_there_is(tmp_path: Path):
    warehouse = Warehouse(tmp_path, memory_mb=10, most_memory_mb=100)

    found = []
    for megabytes in (0, 25, 25, 1000):
        warehouse.room(megabytes)
        found.append(warehouse.memory_mb)

    assert found == [10, 40, 40, 80]
