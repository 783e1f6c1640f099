"""Which stored response a row came from: the row's fetch, page and record, found again by their hash.

A row, and each child row, carries the number of its fetch and page, and the hash of the record that brought it. The
record itself is in the snapshot of that fetch, as the API sent it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec
import xxhash
from msgspec import Struct

from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.load import ledger
from ingest_assets.load.staged import hashed, key_text
from ingest_assets.load.tables import ROOT, in_warehouse
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import IndexEntry, Snapshots

_HIDDEN = b'"(sensitive)"'
_UNREADABLE = "(not shown: it cannot be parsed, so sensitive values cannot be taken out)"
Path = tuple[str, ...]


class Cited(Struct, frozen=True):
    """A record that rows cite: its fetch, page and hash; `places` are those of child rows in their list.

    `deleted` where there is no row any more, and this is the tombstone.
    """

    fetch: int
    page: int
    hash: str
    places: tuple[int, ...] = ()
    deleted: bool = False


class Stored(Struct, frozen=True):
    """The stored page, the record's place on it, and the record as the API sent it, sensitive values taken out."""

    page: IndexEntry
    position: int
    record: str
    hidden: int


class Lineage:
    """Looks up the rows of one endpoint's tables; `connection` is to the reader's copy.

    ConfigError where `table` is none of the endpoint's: it names those that there are.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, work: Work, table: str) -> None:
        self._connection, self._work = connection, work
        told = ledger.registry(connection, work.source, work.endpoint, database="warehouse")
        registry = Registry.from_json(told[2]) if told else Registry.empty()
        self.specs = registry.tables(work.endpoint, work.contract)
        found = next((spec for spec in self.specs if spec.name == table), None)
        if found is None or not self._columns(table):
            names = ", ".join(f"{work.source}.{spec.name}" for spec in self.specs if self._columns(spec.name))
            raise ConfigError(f"{work.source}.{table} is no table of the warehouse; there are {names or 'none yet'}")
        self._spec = found

    @property
    def root(self) -> TableSpec:
        """The endpoint's own table."""
        return self.specs[0]

    def key(self, texts: Sequence[str]) -> dict[str, str]:
        """What was typed as columns and values: `column=value`, or values alone in the primary key's order.

        Child rows are found by the key of the record that they stand in. ConfigError where a column is not there, or
        there are more or fewer values than the key has columns.
        """
        columns, wanted = self._columns(self.root.name), self._work.contract.primary_key
        pairs = [text.partition("=") for text in texts]
        if all(mark and name in columns for name, mark, _ in pairs):
            return {name: value for name, _, value in pairs}
        named = f"{self._work.source}.{self.root.name}"
        if not wanted:
            raise ConfigError(f"{named} has no primary key; say COLUMN=VALUE, columns are {', '.join(_own(columns))}")
        if len(texts) != len(wanted):
            example = " ".join(column.upper() for column in wanted)
            raise ConfigError(
                f"{named}: its key is {', '.join(wanted)}: expected {example}, or COLUMN=VALUE; {len(texts)} given"
            )
        return dict(zip(wanted, texts, strict=True))

    def cited(self, key: Mapping[str, str], most: int) -> list[Cited]:
        """The records that rows of this key cite, at most so many; its tombstone where it was deleted; else nothing."""
        roots = f"SELECT r._id FROM {self._table(self.root)} AS r WHERE {self._where(key)}"
        child = self._spec.parent is not None
        where = f"t.{'_parent' if child else '_id'} IN ({self._ids(roots)})"
        rows = self._connection.execute(
            f"SELECT t._fetch, t._page, t._hash, list(t._position ORDER BY t._position) FROM {self._table(self._spec)} "
            f"AS t WHERE {where} GROUP BY ALL ORDER BY ALL LIMIT ?",
            [*key.values(), most],
        ).fetchall()
        found = [
            Cited(fetch, page, _digits(told), tuple(places) if child else ()) for fetch, page, told, places in rows
        ]
        return found or self._tombstone(key)

    def aside(self, key: Mapping[str, str]) -> int:
        """How many records in quarantine hold these values somewhere in their text."""
        holds = " AND ".join("contains(CAST(record AS VARCHAR), ?)" for _ in key)
        row = self._connection.execute(
            "SELECT count(*) FROM _ingest.quarantine WHERE source = ? AND endpoint = ? AND closed_by IS NULL "
            f"AND {holds}",
            [self._work.source, self._work.endpoint, *key.values()],
        ).fetchone()
        return int(row[0]) if row else 0

    def fetch(self, number: int) -> dict[str, Any]:
        """All that the warehouse knows of a fetch, by column."""
        found = self._connection.execute("SELECT * FROM _ingest.fetches WHERE _fetch = ?", [number])
        names = [column[0] for column in found.description or ()]
        row = found.fetchone()
        return dict(zip(names, row, strict=True)) if row else {}

    def stored(self, snapshots: Snapshots, cited: Cited, partition: str | None, *, hide: bool) -> Stored:
        """The record that brought a row, from its stored page.

        StorageFailed where the page is not stored any more, is damaged, or holds no such record.
        """
        work = self._work
        snapshot = snapshots.find(work.source, work.endpoint, partition, cited.fetch)
        if cited.page >= len(snapshot.pages):
            raise StorageFailed(f"{snapshot.folder}: page {cited.page} is not stored; it has {len(snapshot.pages)}")
        page = snapshot.pages[cited.page]
        stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
        for block in stored.blocks(page):
            for position, text in enumerate(block.records(), block.first):
                if xxhash.xxh3_128_hexdigest(text) == cited.hash:
                    return self._shown(page, position, bytes(text), hide=hide)
        raise StorageFailed(
            f"{snapshot.folder}: page {cited.page} holds no record of this hash: is `records:` another one since? "
            f"Load it again by `ingest replay {work.source}.{work.endpoint} --all`"
        )

    def _shown(self, page: IndexEntry, position: int, text: bytes, *, hide: bool) -> Stored:
        paths = sensitive_paths(self.specs) if hide else []
        try:
            shown, hidden = without(text, paths)
        except UNREADABLE:
            return Stored(page, position, _UNREADABLE if paths else text.decode("utf-8", "replace"), 0)
        return Stored(page, position, shown.decode("utf-8", "replace"), hidden)

    def _columns(self, table: str) -> dict[str, str]:
        rows = self._connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'warehouse' "
            "AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [self._work.source, table],
        ).fetchall()
        return dict(rows)

    def _table(self, spec: TableSpec) -> str:
        return f"{quoted(self._work.source)}.{quoted(spec.name)}"

    def _where(self, key: Mapping[str, str]) -> str:
        columns = self._columns(self.root.name)
        return " AND ".join(f"r.{quoted(name)} = TRY_CAST(? AS {columns[name]})" for name in key)

    def _ids(self, roots: str) -> str:
        """SQL: the ids of the rows above the wanted ones, down from those of the root table."""
        above, at = list[TableSpec](), self._spec
        while at.parent is not None:
            at = next(spec for spec in self.specs if spec.name == at.parent)
            above.append(at)
        query = roots
        for spec in reversed(above[:-1]):
            query = f"SELECT _id FROM {self._table(spec)} WHERE _parent IN ({query})"
        return query

    def _tombstone(self, key: Mapping[str, str]) -> list[Cited]:
        """The version that deleted the row of a whole key, where versions are remembered."""
        schema, name = in_warehouse(self._work.source, self._work.endpoint).versions_at
        known = self._connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = ? AND table_name = ?",
            [schema, name],
        ).fetchone()
        if not known or list(key) != list(self._work.contract.primary_key):
            return []
        columns = self._columns(self.root.name)
        parts = [f"CAST(TRY_CAST(${number} AS {columns[name]}) AS VARCHAR)" for number, name in enumerate(key, 1)]
        row = self._connection.execute(
            f"SELECT _fetch, _page, _hash FROM {quoted(schema)}.{quoted(name)} AS v WHERE part = '{ROOT}' "
            f"AND _id = {hashed(key_text(parts))} "
            f"AND _id NOT IN (SELECT _id FROM {self._table(self.root)})",
            list(key.values()),
        ).fetchone()
        return [Cited(row[0], row[1], _digits(row[2]), deleted=True)] if row else []


def _own(columns: Mapping[str, str]) -> list[str]:
    return [name for name in columns if not name.startswith("_")]


def _digits(told: Any) -> str:
    return str(told).replace("-", "")


def sensitive_paths(specs: Sequence[TableSpec]) -> list[Path]:
    """Where in a record sensitive values are; a list on the way counts for each of its elements."""
    return [
        (*spec.path, *column.path) for spec in specs for column in spec.columns if column.sensitive and not column.rest
    ]


def without(text: bytes, paths: Sequence[Path]) -> tuple[bytes, int]:
    """JSON text with what stands at these paths hidden, and how often that was; everything else digit by digit.

    >>> without(b'{"id": 1.50, "who": {"mail": "a@b"}, "cc": [{"mail": "c@d"}, {}]}', [("who", "mail"), ("cc", "mail")])
    (b'{"id":1.50,"who":{"mail":"(sensitive)"},"cc":[{"mail":"(sensitive)"},{}]}', 2)
    """
    if not paths:
        return text, 0
    if () in paths:
        return (text, 0) if text == b"null" else (_HIDDEN, 1)
    if text[:1] == b"[":
        elements = [without(bytes(raw), paths) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
        return b"[%s]" % b",".join(shown for shown, _ in elements), sum(hidden for _, hidden in elements)
    if text[:1] != b"{":
        return text, 0
    fields = {
        name: without(bytes(raw), [path[1:] for path in paths if path[:1] == (name,)])
        for name, raw in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()
    }
    shown = b",".join(msgspec.json.encode(name) + b":" + value for name, (value, _) in fields.items())
    return b"{%s}" % shown, sum(hidden for _, hidden in fields.values())
