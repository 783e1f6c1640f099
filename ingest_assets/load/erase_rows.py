"""A key taken out of the warehouse: its rows and child rows, versions, records in quarantine, and what events quote."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from msgspec import Struct

from ingest_assets.load import ledger, tables
from ingest_assets.load.erase_key import Key, Stored
from ingest_assets.load.moving import Moving
from ingest_assets.load.staged import hashed, key_text
from ingest_assets.load.warehouse import Warehouse, literal, quoted
from ingest_assets.load.work import Work
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.registry import TableSpec
from ingest_assets.normalize.values import Unfit
from ingest_assets.raw.forgotten import PARTITION


class RowEraser(Struct, frozen=True):
    """Erases rows of one endpoint, whose tables are `specs`, its own first."""

    warehouse: Warehouse
    work: Work
    specs: tuple[TableSpec, ...]

    @property
    def _name(self) -> tuple[str, str]:
        return self.work.source, self.work.endpoint

    def erase(self, key: Key, stored: Stored) -> None:
        """Take the rows of a key out, in one transaction; then the file is written anew without free space."""
        what = f"forgetting a key of {'.'.join(self._name)}"
        with (
            Moving(self.warehouse, *self._name, what).none(),  # they were built of what had the key still
            self.warehouse.connection() as connection,
            self.warehouse.alone(what),
        ):
            with self.warehouse.transaction(connection):
                self._delete(connection, key, stored)
            self.warehouse.rewrite(connection)

    def places(self, key: Key) -> list[tuple[int, int, int]]:
        """Fetch, page and position of the rows that have a key; nothing is written."""
        target, name = tables.in_warehouse(*self._name), self.specs[0].name
        with self.warehouse.session(f"looking for a key of {'.'.join(self._name)}") as connection:
            columns = tables.present(connection, target, [name]).get(name, {})
            if not key.is_typed or not all(column in columns for column in key.columns):
                return []
            query = f"SELECT _fetch, _page, _position FROM {target.table(name)} WHERE {_same(key, columns)}"
            return connection.execute(query).fetchall()

    def _delete(self, connection: duckdb.DuckDBPyConnection, key: Key, stored: Stored) -> None:
        target, names = tables.in_warehouse(*self._name), [spec.name for spec in self.specs]
        there = tables.present(connection, target, names)
        _remember_places(connection, stored.places)
        citing = tables.citing(connection, target, names)
        if self.specs[0].name in there:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE gone AS {self._gone(key, target, there, citing)}")
            for spec in (s for s in self.specs if s.parent == self.specs[0].name):
                self._delete_children(connection, target, there, spec, "FROM gone")
            if target.ends in citing:
                keys = f"SELECT _key FROM {target.table(self.specs[0].name)} WHERE _id IN (FROM gone)"
                connection.execute(f"DELETE FROM {target.ends} WHERE _id IN (FROM gone) OR _key IN ({keys})")
            connection.execute(f"DELETE FROM {target.table(self.specs[0].name)} WHERE _id IN (FROM gone)")
            if target.versions in citing:
                connection.execute(f"DELETE FROM {target.versions} WHERE _id IN (FROM gone)")
        self._delete_quarantined(connection, key)
        _delete_examples(connection, self._name)
        version, layout, text = ledger.registry(connection, *self._name) or (0, "", "")
        # Rows that were staged before hold the key still: under another version they are staged again.
        ledger.register(connection, self._name, version + 1, layout, text)

    def _gone(self, key: Key, target: tables.Target, there: Mapping[str, Any], citing: Sequence[str]) -> str:
        """SQL: the ids of all rows and versions of the key."""
        root = target.table(self.specs[0].name)
        columns = there[self.specs[0].name]
        cited = "SELECT _id FROM {} AS t JOIN places AS p USING (_fetch, _page, _position)"
        parts = [cited.format(table) for table in (root, *([target.versions] if target.versions in citing else []))]
        if key.is_typed and all(name in columns for name in key.columns):
            parts.append(f"SELECT _id FROM {root} WHERE {_same(key, columns)}")
            if key.columns == self.work.contract.primary_key and self.work.contract.write == "merge":
                typed = [
                    f"CAST(TRY_CAST({literal(value)} AS {columns[name]}) AS VARCHAR)"
                    for name, value in zip(key.columns, key.values, strict=True)
                ]
                parts.append(f"SELECT {hashed(key_text(typed))}")
        return " UNION ".join(parts)

    def _delete_children(
        self,
        connection: duckdb.DuckDBPyConnection,
        target: tables.Target,
        there: Mapping[str, Any],
        spec: TableSpec,
        parents: str,
    ) -> None:
        if spec.name not in there:
            return
        theirs = f"{target.table(spec.name)} WHERE _parent IN ({parents})"
        for inner in (s for s in self.specs if s.parent == spec.name):
            self._delete_children(connection, target, there, inner, f"SELECT _id FROM {theirs}")
        connection.execute(f"DELETE FROM {theirs}")

    def _delete_quarantined(self, connection: duckdb.DuckDBPyConnection, key: Key) -> None:
        """Of what is stored, by place; of what is not stored any more, by its text."""
        mine = "source = ? AND endpoint = ?"
        name = list(self._name)
        rows = connection.execute(
            f"SELECT _fetch, _page, _position, partition, record FROM w._ingest.quarantine WHERE {mine}", name
        ).fetchall()
        for fetch, page, position, partition, raw in rows:
            if self._is_quarantined(key, bytes(raw), partition):
                _add_place(connection, (fetch, page, position))
        connection.execute(
            "UPDATE w._ingest.fetches AS f SET quarantined = quarantined - n, filtered = coalesce(filtered, 0) + n "
            f"FROM (SELECT _fetch, count(*) AS n FROM w._ingest.quarantine JOIN (SELECT DISTINCT * FROM places) "
            f"USING (_fetch, _page, _position) WHERE {mine} GROUP BY 1) AS q "
            "WHERE q._fetch = f._fetch AND f.quarantined IS NOT NULL",
            name,
        )
        connection.execute(
            "DELETE FROM w._ingest.quarantine AS q USING places AS p "
            f"WHERE {mine} AND (q._fetch, q._page, q._position) = (p._fetch, p._page, p._position)",
            name,
        )

    def _is_quarantined(self, key: Key, raw: bytes, partition: str | None) -> bool:
        told = self.work.model.told(partition)
        try:
            return key.has(exact(raw) | ({PARTITION: told} if told else {}))
        except Unfit:
            return key.stands_in(raw)


def _same(key: Key, columns: Mapping[str, str]) -> str:
    """SQL: a row with columns of these types has the key."""
    return " AND ".join(
        f"{quoted(name)} = TRY_CAST({literal(value)} AS {columns[name]})"
        for name, value in zip(key.columns, key.values, strict=True)
    )


def _delete_examples(connection: duckdb.DuckDBPyConnection, name: tuple[str, str]) -> None:
    """What the tables of an endpoint's events quote of records; whose they are, they do not tell."""
    mine = "WHERE source = ? AND endpoint = ?"
    connection.execute(f"UPDATE w._ingest.drift SET sample = NULL {mine} AND sample IS NOT NULL", list(name))
    connection.execute(f"UPDATE w._ingest.failures SET problem = ? {mine}", ["(a record was forgotten since)", *name])
    hidden = """json_merge_patch(clash, '{"key": "a key"}')"""
    connection.execute(f"UPDATE w._ingest.fetches SET clash = {hidden} {mine} AND clash IS NOT NULL", list(name))


def _remember_places(connection: duckdb.DuckDBPyConnection, places: Sequence[tuple[int, int, int]]) -> None:
    columns = list(zip(*places, strict=True)) or [(), (), ()]
    names = ("_fetch", "_page", "_position")
    arrived = pa.table({name: pa.array(column, pa.int64()) for name, column in zip(names, columns, strict=True)})
    connection.register("found_places", arrived)
    connection.execute("CREATE OR REPLACE TEMP TABLE places AS FROM found_places")
    connection.unregister("found_places")


def _add_place(connection: duckdb.DuckDBPyConnection, place: tuple[int, int, int]) -> None:
    connection.execute("INSERT INTO places VALUES (?, ?, ?)", list(place))
