"""What a fetch brought that its table did not know: an event with its fetch and a sample, or the end of the load.

new table       a list that was never seen
new column      a key that was never seen, or that held an object or a list whose columns it has no more
wider type      a value that the type of a learned column does not hold
new value       a text that is not among the `values` of its column; its record is in quarantine, or it is dropped
vanished        a column that each of the last fetches had, and that none of many records has now
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import duckdb
from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.errors import ContractBroken
from ingest_assets.load.staged import Staged
from ingest_assets.load.troubles import NEXT
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.names import Path, in_list
from ingest_assets.normalize.registry import REST, ColumnSpec, TableSpec, declared_columns

_LONGEST_SAMPLE = 120
_TOLD = 5
_MOST_VALUES = 20
_LAST, _MANY = 3, 20


class Change(Struct, frozen=True):
    """One change: of a table, or of a column of it. `mode` is what the contract says of such."""

    kind: str
    table: str
    column: str | None = None
    former: str | None = None
    now: str | None = None
    mode: str = "evolve"
    fetch: int | None = None
    sample: str | None = None

    @property
    def text(self) -> str:
        """The change as people read it, with its sample."""
        where = f"{self.table}.{self.column}" if self.column else self.table
        types = (
            f" from {self.former} to {self.now}" if self.former and self.now else f" ({self.now})" if self.now else ""
        )
        return f"{self.kind} {where}{types}{f', such as {self.sample}' if self.sample is not None else ''}"


def changes(before: Sequence[TableSpec], after: Sequence[TableSpec], contract: Contract) -> list[Change]:
    """What tables have under a wider registry that they did not have; what is declared is never new."""
    return [change for spec in after for change in _of_table(before, spec, contract)]


def _of_table(all_before: Sequence[TableSpec], after: TableSpec, contract: Contract) -> Iterator[Change]:
    before = next((spec for spec in all_before if spec.path == after.path), None)
    if before is None:
        if ".".join(after.path) not in contract.children:
            above = after.path[: len(after.path) - len(after.steps)]
            yield Change("new table", after.name, mode=contract.modes_of(above).tables)
        return
    types = {column.name: column.type for column in before.columns if not column.empty}
    modes = contract.modes_of(after.path)
    for column in after.columns:
        if column.declared or column.empty or column.rest:
            continue
        if column.name not in types:
            held = _held(all_before, (*after.path, *column.path)) if column.path and column.type == "json" else None
            yield Change("new column", after.name, column.name, held, column.type, modes.columns)
        elif types[column.name] != column.type:
            yield Change("wider type", after.name, column.name, types[column.name], column.type, modes.types)


def _held(before: Sequence[TableSpec], place: Path) -> str | None:
    """What stood at a place of the record, where tables or columns were made of it."""
    if any(spec.path == place for spec in before):
        return "list"
    inner = [(*spec.path, *column.path) for spec in before for column in spec.columns if not column.empty]
    return "object" if any(path != place and path[: len(place)] == place for path in inner) else None


def sampled(
    connection: duckdb.DuckDBPyConnection, found: Sequence[Change], staged: Sequence[Staged], loaded: Collection[int]
) -> list[Change]:
    """The changes with the fetch that brought each, and one of its values where that may be shown.

    One that was `loaded` before brought it only where no other did.
    """
    in_question = sorted(staged, key=lambda one: one.fetch in loaded)
    return [_sampled(connection, change, in_question) for change in found]


def _sampled(connection: duckdb.DuckDBPyConnection, change: Change, staged: Sequence[Staged]) -> Change:
    for one in staged:
        if change.table not in one.filled:
            continue
        if change.column is None:
            return replace(change, fetch=one.fetch)
        column = quoted(change.column)
        shown = (
            "NULL"
            if _is_hidden(one.specs, *_where(one, change))
            else f"left(CAST({column} AS VARCHAR), {_LONGEST_SAMPLE})"
        )
        row = connection.execute(
            f"SELECT {shown} FROM {one.table(change.table)} WHERE {column} IS NOT NULL AND {_is_new(change)} LIMIT 1"
        ).fetchone()
        if row is not None:
            return replace(change, fetch=one.fetch, sample=row[0])
    return replace(change, fetch=staged[-1].fetch if staged else None)


def _where(staged: Staged, change: Change) -> tuple[TableSpec, ColumnSpec]:
    spec = next(spec for spec in staged.specs if spec.name == change.table)
    return spec, next(column for column in spec.columns if column.name == change.column)


def _is_hidden(specs: Sequence[TableSpec], spec: TableSpec, column: ColumnSpec) -> bool:
    """Whether a column holds, or may hold as json, what a contract calls sensitive."""
    hidden = [(*one.path, *c.path) for one in specs for c in one.columns if c.sensitive and not c.rest]
    place = (*spec.path, *column.path)
    return any(path[: len(place)] == place for path in hidden)


def _is_new(change: Change) -> str:
    """SQL: the value is one that the former type does not hold."""
    if change.former is None:
        return "true"
    column = quoted(change.column or "")
    if change.now == "json":
        numbers = "NOT IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')"
        kinds = {
            "varchar": "<> 'VARCHAR'",
            "boolean": "<> 'BOOLEAN'",
            "object": "<> 'OBJECT'",
            "list": "<> 'ARRAY'",
        }
        return f"json_type({column}) {kinds.get(change.former, numbers)}"
    cast = f"TRY_CAST({column} AS {change.former})"
    return f"({cast} IS NULL OR {cast} <> {column})"


def refuse(label: str, found: Sequence[Change]) -> None:
    """Raise ContractBroken where a change is of what the contract freezes."""
    frozen = [change for change in found if change.mode == "freeze"]
    if frozen:
        more = f"; and {len(frozen) - _TOLD} more" if len(frozen) > _TOLD else ""
        told = "; ".join(change.text for change in frozen[:_TOLD])
        since = min((change.fetch for change in frozen if change.fetch is not None), default=None)
        raise ContractBroken(
            f"{label}: the contract is frozen, and since fetch {since} there is something new: {told}{more}; {NEXT}: "
            "declare it, or let contract: evolve"
        )


def new_values(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract) -> Iterator[Change]:
    """Values that a column with `values` did not take."""
    for spec in staged.specs:
        declared = declared_columns(contract, spec.path)
        for column in spec.columns:
            if column.declared and declared[column.name].values is not None:
                for sample in _not_taken(connection, staged, spec, column):
                    yield Change("new value", spec.name, column.name, fetch=staged.fetch, sample=sample)


def _not_taken(
    connection: duckdb.DuckDBPyConnection, staged: Staged, spec: TableSpec, column: ColumnSpec
) -> Iterator[str]:
    """Values of a column that set a record aside or were dropped, unless they are not to be shown."""
    if _is_hidden(staged.specs, spec, column):
        return
    if staged.quarantined:
        yield from _some(
            connection,
            f'SELECT value FROM {staged.table("_quarantine")} WHERE "column" = ?',
            in_list(spec.path, column.name),
        )
    if _drops(staged, spec) and column.path:
        yield from _some(
            connection,
            f"SELECT CAST(json_extract({REST}, ?) AS VARCHAR) AS value FROM {staged.table(spec.name)}",
            _pointer(column.path),
        )


def _some(connection: duckdb.DuckDBPyConnection, query: str, *values: str) -> list[str]:
    rows = connection.execute(
        f"SELECT left(value, {_LONGEST_SAMPLE}) FROM ({query}) WHERE value IS NOT NULL GROUP BY ALL ORDER BY ALL "
        f"LIMIT {_MOST_VALUES}",
        list(values),
    ).fetchall()
    return [value for (value,) in rows]


def _drops(staged: Staged, spec: TableSpec) -> bool:
    """Whether something of a table may have been dropped, so that it is in `_rest`."""
    return bool(staged.dropped) and spec.name in staged.filled and any(column.rest for column in spec.columns)


def _pointer(path: Path) -> str:
    """A path as RFC 6901 writes it.

    >>> _pointer(("a", "b/c"))
    '/a/b~1c'
    """
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in path)


def vanished(connection: duckdb.DuckDBPyConnection, staged: Staged, source: str, endpoint: str) -> list[Change]:
    """Columns of the endpoint's own table that none of the fetch's records has a value of, and some of each of the last
    fetches.
    """
    rows = staged.received - staged.quarantined - staged.forgotten
    gone = [column for column in staged.root.columns if not column.rest and not staged.counts.get(column.name)]
    if rows < _MANY or not gone:
        return []
    told = connection.execute(
        "SELECT CAST(filled AS VARCHAR) FROM w._ingest.fetches WHERE source = ? AND endpoint = ? AND _fetch < ? "
        "AND loaded IS NOT NULL AND filled IS NOT NULL ORDER BY _fetch DESC LIMIT ?",
        [source, endpoint, staged.fetch, _LAST],
    ).fetchall()
    last = [json.loads(text) for (text,) in told]
    if len(last) < _LAST:
        return []
    return [
        Change("vanished", staged.root.name, column.name, fetch=staged.fetch)
        for column in gone
        if all(counts.get(column.name) for counts in last) and not _is_dropped(connection, staged, column)
    ]


def _is_dropped(connection: duckdb.DuckDBPyConnection, staged: Staged, column: ColumnSpec) -> bool:
    """Whether records had values of a column of the root table, which were left out."""
    if not _drops(staged, staged.root):
        return False
    told = connection.execute(
        f"SELECT 1 FROM {staged.table(staged.root.name)} WHERE json_exists({REST}, ?) LIMIT 1", [_pointer(column.path)]
    )
    return told.fetchone() is not None


def note(
    connection: duckdb.DuckDBPyConnection, key: tuple[str, str], version: int, found: Sequence[Change], now: datetime
) -> None:
    """Write changes down; what is known already of a value, or of a column that is still gone, is not told again."""
    for change in found:
        if change.kind in ("new value", "vanished") and _is_told(connection, key, change):
            continue
        connection.execute(
            "INSERT INTO w._ingest.drift VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(*key, change.fetch, version, now, change.kind),
                *(change.table, change.column, change.former, change.now, change.sample),
            ],
        )


def events(connection: duckdb.DuckDBPyConnection, key: tuple[str, str]) -> list[list[Any]]:
    """All that was written down of an endpoint, as JSON values, its sample last."""
    rows = connection.execute(
        'SELECT _fetch, version, CAST(noticed AS VARCHAR), kind, "table", "column", former, now, sample '
        "FROM w._ingest.drift WHERE source = ? AND endpoint = ? ORDER BY ALL",
        list(key),
    ).fetchall()
    return [list(row) for row in rows]


def bring_back(connection: duckdb.DuckDBPyConnection, key: tuple[str, str], told: Sequence[Sequence[Any]]) -> None:
    """Write down again what `events` gave, in a warehouse that takes the place of the one that knew it."""
    for event in told:
        connection.execute(
            "INSERT INTO w._ingest.drift VALUES (?, ?, ?, ?, CAST(? AS TIMESTAMPTZ), ?, ?, ?, ?, ?, ?)", [*key, *event]
        )


def _is_told(connection: duckdb.DuckDBPyConnection, key: tuple[str, str], change: Change) -> bool:
    row = connection.execute(
        'SELECT 1 FROM w._ingest.drift WHERE source = ? AND endpoint = ? AND kind = ? AND "table" = ? '
        'AND "column" IS NOT DISTINCT FROM ? AND sample IS NOT DISTINCT FROM ?',
        [*key, change.kind, change.table, change.column, change.sample],
    ).fetchone()
    return row is not None


def of_fetch(connection: duckdb.DuckDBPyConnection, fetch: int, specs: Sequence[TableSpec]) -> tuple[str, ...]:
    """What a fetch brought that its table did not know, as people read it; `specs` are its tables by the file."""
    rows = connection.execute(
        'SELECT kind, "table", "column", former, now, sample FROM w._ingest.drift WHERE _fetch = ? ORDER BY ALL',
        [fetch],
    ).fetchall()
    found = (
        Change(kind, table, column, former, now, sample=sample) for kind, table, column, former, now, sample in rows
    )
    return tuple(change.text for change in shown(found, specs))


def shown(found: Iterable[Change], specs: Sequence[TableSpec]) -> list[Change]:
    """The changes as they may be shown under the file now: it may call sensitive since, or by another name, what was
    new then.
    """
    open_ = {
        (spec.name, column.name) for spec in specs for column in spec.columns if not _is_hidden(specs, spec, column)
    }
    return [change if (change.table, change.column) in open_ else replace(change, sample=None) for change in found]
