"""Which stored response a row came from: the row's fetch, page and record, found again by their hash.

A row carries the number of its fetch and page, and the hash of the record that brought it; a child row the hash of
its list, which may have come before the record's other values did. The record itself is in the snapshot of that fetch,
as the API sent it.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec
from msgspec import Struct

from ingest_assets.catalog.hints import hint
from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.load import brought, ledger
from ingest_assets.load.staged import hashed, key_text
from ingest_assets.load.tables import ROOT, in_warehouse
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.snapshots import IndexEntry, Snapshot, Snapshots

_HIDDEN = b'"(sensitive)"'
_UNREADABLE = "(not shown: it cannot be parsed, so sensitive values cannot be taken out)"
Path = tuple[str, ...]


class Cited(Struct, frozen=True):
    """A record that rows cite: its fetch, page and hash; `places` are those of child rows in their list.

    `deleted` where there is no row any more, and this is the tombstone. Where the row's other values came later than
    the list, `hash` is the list's, and `row` the id of the row.
    """

    fetch: int
    page: int
    hash: str
    places: tuple[int, ...] = ()
    deleted: bool = False
    row: uuid.UUID | None = None


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
        self._registry = Registry.from_json(told[2]) if told else Registry.empty()
        self.specs = self._registry.tables(work.endpoint, work.contract)
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
        for name, _, value in pairs:
            if name.isidentifier() and name not in columns and value.strip("="):  # Base64 ends in =
                raise ConfigError(
                    f"{named}: no column {name!r}; {hint(name, _own(columns))}. Where all of that is a value, type its "
                    "column and = before it"
                )
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
        tables, with_row = self._up_from_wanted(), "(t._fetch, t._page) = (r._fetch, r._page)"
        rows = self._connection.execute(
            f"SELECT t._fetch, t._page, if({with_row}, r._hash, t._hash), if({with_row}, NULL, r._id), "
            f"list(t._position ORDER BY t._position) FROM {tables} WHERE {self._where(key)} "
            "GROUP BY 1, 2, 3, 4, r._id ORDER BY ALL LIMIT ?",
            [*key.values(), most],
        ).fetchall()
        child = self._spec.parent is not None
        found = [
            Cited(fetch, page, _digits(told), tuple(places) if child else (), row=row)
            for fetch, page, told, row, places in rows
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
        return next((dict(zip(names, row, strict=True)) for row in found.fetchall()), {})

    def stored(self, snapshots: Snapshots, cited: Cited, partition: str | None, *, hide: bool) -> Stored:
        """The record that brought a row, from its stored page.

        StorageFailed where the page is not stored any more, is damaged, or holds no such record.
        """
        work = self._work
        snapshot = snapshots.find(work.source, work.endpoint, partition, cited.fetch)
        if cited.page >= len(snapshot.pages):
            raise StorageFailed(f"{snapshot.folder}: page {cited.page} is not stored; it has {len(snapshot.pages)}")
        page = snapshot.pages[cited.page]
        found = self._brought(snapshot, page, cited)
        if found is not None:
            return self._shown(page, *found, hide=hide)
        raise StorageFailed(
            f"{snapshot.folder}: page {cited.page} holds no record of this hash: is `records:` another one since? "
            f"Load it again by `ingest replay {work.source}.{work.endpoint} --all`"
        )

    def _brought(self, snapshot: Snapshot, page: IndexEntry, cited: Cited) -> brought.Record | None:
        if cited.row is None:
            return brought.of_hash(self._work, snapshot, page, cited.hash)
        lists = brought.Lists(self._connection, self._work, self._registry, self._table(self.root))
        return lists.find(snapshot, page, self._spec, cited.hash, cited.row)

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

    def _up_from_wanted(self) -> str:
        """SQL: the wanted table as `t`, joined with those above it up to the root as `r`."""
        if self._spec.parent is None:
            return f"{self._table(self._spec)} AS t JOIN {self._table(self.root)} AS r ON t._id = r._id"
        at, below, joined = self._spec, "t", f"{self._table(self._spec)} AS t"
        while at.parent is not None:
            at = next(spec for spec in self.specs if spec.name == at.parent)
            name = "r" if at.parent is None else f"{below}_"
            joined += f" JOIN {self._table(at)} AS {name} ON {below}._parent = {name}._id"
            below = name
        return joined

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
