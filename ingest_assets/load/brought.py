"""The record of a stored page that brought a row, or one of its lists."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import xxhash
from msgspec import Struct

from ingest_assets.load.warehouse import quoted
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import IndexEntry, Snapshot

Record = tuple[int, bytes]
"""A record's place on its page, and its text."""


def of_hash(work: Work, snapshot: Snapshot, page: IndexEntry, hash_: str) -> Record | None:
    """The record of a page that has this hash, in hexadecimal digits."""
    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    for block in stored.blocks(page):
        for position, text in enumerate(block.records(), block.first):
            if xxhash.xxh3_128_hexdigest(text) == hash_:
                return position, bytes(text)
    return None


class Lists(Struct, frozen=True):
    """Finds records by a list of theirs; `rows` is the full name of the endpoint's own table, under this registry."""

    connection: duckdb.DuckDBPyConnection
    work: Work
    registry: Registry
    rows: str

    def find(self, snapshot: Snapshot, page: IndexEntry, spec: TableSpec, hash_: str, row: uuid.UUID) -> Record | None:
        """The last record of a page whose list has this hash, and which has the primary key of the row of this id."""
        found = None
        for texts, first, rows in self._read(snapshot, page):
            if (position := self._last(rows, spec, hash_, row)) is not None:
                found = position, bytes(texts[position - first])
        return found

    def _read(self, snapshot: Snapshot, page: IndexEntry) -> Iterator[tuple[Any, int, Any]]:
        """The records of each block of a page, the position of the first one, and the rows that come of them."""
        from ingest_assets.load.filling import blocks, normalizer
        from ingest_assets.normalize.normalize import Widened

        reader = normalizer(self.work, snapshot.manifest.partition, self.registry)
        with contextlib.suppress(Widened):  # the contract has other types by now: the table is not of it
            for placed in blocks(StoredRecords(snapshot, self.work.model.decoder, self.work.model.records), [page]):
                reader.of_page(placed.parent)
                rows = reader.batch(placed.block, placed.page).tables.get(self.work.endpoint)
                if rows is not None:
                    yield placed.block.records(), placed.block.first, rows

    def _last(self, rows: Any, spec: TableSpec, hash_: str, row: uuid.UUID) -> int | None:
        keys = list(self.work.contract.primary_key)
        columns = ["_position", spec.list_hash, *keys]
        # Numbered, since DuckDB finds Arrow columns by name without regard to case.
        came = rows.select(columns).rename_columns([f"c{number}" for number in range(len(columns))])
        same = "".join(f" AND p.c{number} = r.{quoted(name)}" for number, name in enumerate(keys, 2))
        self.connection.register("on the page", came)
        found = self.connection.execute(
            f'SELECT max(p.c0) FROM "on the page" AS p JOIN {self.rows} AS r ON r._id = $1 WHERE p.c1 = $2{same}',
            [row, uuid.UUID(hash_)],
        ).fetchall()
        self.connection.unregister("on the page")
        last: int | None = found[0][0]  # of none there is no greatest
        return last
