"""From an exact record to the rows of its tables, value by value. Slow, and right by reading it.

System columns, of the root table and of a list's:

    _row       ordinal of the row in its table, within the fetch     _row         the same
    _page      number of the page                                    _parent_row  ordinal in the parent table
    _position  of the record in its page                             _root_row    ordinal of the record's own row
    _hash      xxh3_128 of the record's text, as a UUID              _position    in the list
    _deleted   whether the record is a tombstone
    _hash__…   that of a list's text, null where it did not come
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import xxhash
from msgspec import Struct

from ingest_assets.contract import Contract, Tombstone
from ingest_assets.normalize.columns import ColumnPlan, at, is_absent, items_at, kind_of
from ingest_assets.normalize.list_hashes import Digests, ListHashes
from ingest_assets.normalize.names import Path, in_list
from ingest_assets.normalize.plain import plain_array, uuid_array
from ingest_assets.normalize.registry import (
    ColumnSpec,
    Registry,
    TableSpec,
    declared_columns,
    declared_path,
    is_hidden,
    sensitive_places,
)
from ingest_assets.normalize.rest import Fence, fences, nested
from ingest_assets.normalize.rules import amount_fit, bounds_of, default_of
from ingest_assets.normalize.shape import shape_at
from ingest_assets.normalize.values import Unfit, arrow_type, declared_fit, json_text, learned_fit, shown

ROOT_COLUMNS = {
    "_row": pa.int64(),
    "_page": pa.int64(),
    "_position": pa.int64(),
    "_hash": pa.uuid(),
    "_deleted": pa.bool_(),
}
CHILD_COLUMNS = {"_row": pa.int64(), "_parent_row": pa.int64(), "_root_row": pa.int64(), "_position": pa.int64()}


class TablePlan(Struct, frozen=True, dict=True):
    """A table with its columns in the order of its batches.

    `declared` is whether the contract names its list. `lists` (of the root only) are the `_hash__` columns, and
    the path of the list that each is about. `fence` is there where not everything is taken. `shut` are the paths of
    lists around its own that are not taken, where it is such a list and no object that is there.
    """

    spec: TableSpec
    columns: tuple[ColumnPlan, ...]
    declared: bool
    lists: tuple[tuple[str, Path], ...]
    fence: Fence | None = None
    shut: frozenset[Path] = frozenset()

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The same for Arrow."""
        return pa.schema(self.schema)

    @cached_property
    def schema(self) -> dict[str, pa.DataType]:
        """Arrow types by column, system columns first."""
        system = ROOT_COLUMNS if self.spec.parent is None else CHILD_COLUMNS
        return {
            **system,
            **{name: ROOT_COLUMNS["_hash"] for name, _ in self.lists},
            **{column.spec.name: arrow_type(column.spec.type) for column in self.columns},
        }

    @cached_property
    def _hashes(self) -> ListHashes:
        return ListHashes([path for _, path in self.lists])

    @property
    def rest_column(self) -> str | None:
        """The column of what was dropped, where there is one."""
        return next((column.spec.name for column in self.columns if column.spec.rest), None)

    def list_hashes(self, records: Sequence[Any]) -> dict[str, Digests]:
        """The `_hash__` columns of the records of these texts, where nothing but lists and null is at their paths."""
        return dict(zip((name for name, _ in self.lists), self._hashes.of(records), strict=True))

    def rest(self, element: Any) -> list[tuple[Path, Any]]:
        """What is dropped of an element, with the path of each value in it."""
        beyond = [] if self.fence is None else [(path, value) for path, value, _ in self.fence.beyond(element)]
        return beyond + [pair for column in self.columns for pair in column.dropped(element)]


class Plan(Struct, frozen=True):
    """How the records of one endpoint become rows under one registry. Parents stand before children.

    `keys` are the columns of the primary key that are not declared, with their paths; None where none was seen.
    `sensitive` is where values are that nobody is shown.
    """

    tables: tuple[TablePlan, ...]
    deleted: Tombstone | None
    keys: tuple[tuple[str, Path | None], ...]
    sensitive: tuple[Path, ...]

    @property
    def root(self) -> TablePlan:
        """The plan of the root table."""
        return self.tables[0]


def plan_for(endpoint: str, contract: Contract, registry: Registry, partition: Mapping[str, str]) -> Plan:
    """The plan of an endpoint under a contract and a settled registry, for a partition of these dimensions."""
    specs = registry.tables(endpoint, contract)
    named = {name: path for (table, path), name in registry.columns.items() if not table}
    declared = (declared_path(registry, (), name, column) for name, column in contract.columns.items())
    taken = [path for path in declared if path is not None]
    lists = tuple((spec.list_hash or "", spec.steps) for spec in specs if spec.parent == specs[0].name)
    fenced = fences(contract, registry) if contract.fenced else {}
    sensitive = sensitive_places(registry, contract)
    return Plan(
        tuple(
            TablePlan(
                spec,
                tuple(
                    _column_plan(contract, registry, spec, column, partition, sensitive)
                    for column in spec.columns
                    if not column.empty
                ),
                declared=".".join(spec.path) in contract.children,
                lists=() if spec.parent else lists,
                fence=fenced.get(spec.path),
                shut=_shut(contract, spec.path),
            )
            for spec in specs
        ),
        contract.deleted,
        tuple((name, _free(named.get(name), taken)) for name in contract.primary_key if name not in contract.columns),
        sensitive,
    )


def _free(path: Path | None, taken: Sequence[Path]) -> Path | None:
    """The path, None where a declared column has its value: then none of the key's own name comes of it."""
    return None if path is None or any(path[: len(one)] == one for one in taken) else path


def _shut(contract: Contract, table: Path) -> frozenset[Path]:
    """The places around a list at which another is not taken: it is not declared, and what is around it is closed."""
    shut: set[Path] = set()
    around: Path = ()
    for place in (table[:n] for n in range(1, len(table))):
        if ".".join(place) in contract.children:
            around = place
        elif contract.closed(around).tables:
            shut.add(place)
    return frozenset(shut)


def _column_plan(
    contract: Contract,
    registry: Registry,
    table: TableSpec,
    spec: ColumnSpec,
    partition: Mapping[str, str],
    sensitive: tuple[Path, ...],
) -> ColumnPlan:
    column = declared_columns(contract, table.path)[spec.name] if spec.declared else None
    if spec.rest:
        return ColumnPlan(spec, json_text, placed=False)
    key = table.parent is None and spec.name in contract.primary_key
    if column is None:
        known = shape_at(registry.shape, table.path, spec.path)
        return ColumnPlan(spec, learned_fit(spec.type), key=key, known=known, texts=contract.texts)
    money = column.money
    return ColumnPlan(
        spec,
        declared_fit(column, contract.time_zone, texts=contract.texts) if money is None else amount_fit(column),
        column,
        key=key,
        placed=declared_path(registry, table.path, spec.name, column) is not None,
        texts=contract.texts,
        given_by=of_parent(column.from_parent) if column.from_parent is not None else column.from_partition,
        given=partition,
        bounds=bounds_of(column, contract.time_zone),
        default=default_of(column, contract.time_zone),
        unfit=column.unfit or contract.modes_of(table.path).unfitting,
        hidden=is_hidden((*table.path, *spec.path), sensitive),
        currency=None
        if money is None or money.currency_from is None
        else _column_plan(contract, registry, table, _named(table, money.currency_from), partition, sensitive),
    )


def _named(table: TableSpec, name: str) -> ColumnSpec:
    return next(column for column in table.columns if column.name == name)


def of_parent(field: str) -> str:
    """By which name a page gives a field of its parent; no dimension of a partition has one with a dot.

    >>> of_parent("id")
    'parent.id'
    """
    return f"parent.{field}"


def is_deleted(record: Any, tombstone: Tombstone | None) -> bool:
    """Whether a record says that its key is gone. True and 1 are not the same here.

    >>> is_deleted({"deleted": True}, Tombstone(path="deleted", equals=True))
    True
    """
    return tombstone is not None and equals(at(record, tuple(tombstone.path.split("."))), tombstone)


def equals(found: Any, tombstone: Tombstone) -> bool:
    """Whether what is found at its path is what the tombstone says."""
    return type(found) is type(tombstone.equals) and bool(found == tombstone.equals)


class Element(Struct, frozen=True):
    """One row to be: its element of the record, its ordinal in its table, its parent's, its place in the list."""

    value: Any
    row: int
    parent_row: int
    position: int


def elements(plan: Plan, record: Any, counts: dict[str, int]) -> Iterator[tuple[TablePlan, list[Element]]]:
    """A record's elements, table by table. `counts` (rows so far, by table) is counted on."""
    found: dict[str | None, list[Element]] = {}
    for table in plan.tables:
        name = table.spec.name
        values: list[tuple[Any, int, int]] = [(record, 0, 0)]
        if table.spec.parent is not None:
            values = [
                (item, above.row, position)
                for above in found[table.spec.parent]
                for position, item in enumerate(_items(above.value, table.spec.steps))
            ]
        first = counts.get(name, 0)
        counts[name] = first + len(values)
        found[name] = [Element(value, first + n, above, place) for n, (value, above, place) in enumerate(values)]
        yield table, found[name]


def _items(element: Any, steps: Path) -> list[Any]:
    items = at(element, steps)
    return items if isinstance(items, list) else []


def check(plan: Plan, record: Any) -> None:
    """Raises Unfit where a declared column does not take its value, or a required value or key is missing.

    Depends on the record, the contract, and where its columns are: not on what else was seen.
    """
    for name, path in plan.keys:
        _check_key(name, path, record, plan.sensitive)
    deleted = is_deleted(record, plan.deleted)
    _check_table(plan.root, [record], deleted=deleted)
    for table in plan.tables[1:]:
        if table.declared:
            try:
                _check_table(table, _declared_items(record, table.spec.path, table), deleted=deleted)
            except Unfit as error:
                if error.column is not None:
                    error.column = in_list(table.spec.path, error.column)
                raise


def _check_table(table: TablePlan, found: Sequence[Any], *, deleted: bool) -> None:
    for column in table.columns:
        if column.spec.declared and not column.drops:
            for element in found:
                _check_value(column, element, deleted=deleted)
    if table.fence is not None:
        for element in found:
            table.fence.refuse(element)


def _declared_items(value: Any, steps: Path, table: TablePlan) -> list[Any]:
    path = table.spec.path
    if not steps:
        if value is not None and not isinstance(value, list):
            raise Unfit(f"list {'.'.join(path)!r}: {kind_of(value)} where a list is declared")
        return value or []
    if isinstance(value, list):
        if path[: -len(steps)] in table.shut:
            return []
        return [item for inner in value for item in _declared_items(inner, steps, table)]
    return _declared_items(value.get(steps[0]), steps[1:], table) if isinstance(value, dict) else []


def _check_value(column: ColumnPlan, element: Any, *, deleted: bool) -> None:
    name = column.spec.name
    if column.value(element) is None and (column.key or (column.required and not deleted)):
        raise Unfit(f"column {name!r}: no value, and it is {'part of the key' if column.key else 'required'}", name)


def _check_key(name: str, path: Path | None, record: Any, sensitive: tuple[Path, ...]) -> None:
    value = None if path is None else at(record, path)
    if value is None:
        raise Unfit(f"column {name!r}: no value, and it is part of the key", name)
    if isinstance(value, dict | list):
        told = None if is_hidden(path or (), sensitive) else shown(value)
        raise Unfit(f"column {name!r}: {kind_of(value)}, and it is part of the key", name, told)


def lacking(plan: Plan, record: Any) -> Iterator[str]:
    """The columns that need a value and have no key in a record; those of a list where none of its elements has it."""
    yield from (name for name, path in plan.keys if path is None or is_absent(record, path))
    deleted = is_deleted(record, plan.deleted)
    for table in plan.tables:
        wanted = [column for column in table.columns if column.is_sought(deleted=deleted)]
        found = [record] if table is plan.root else list(items_at(record, table.spec.path)) if wanted else []
        for column in wanted:
            if found and all(is_absent(element, column.spec.path) for element in found):
                yield in_list(table.spec.path, column.spec.name)


def exact_tables(
    plan: Plan, counts: dict[str, int], page: int, records: Sequence[tuple[int, bytes, Any]]
) -> tuple[dict[str, pa.Table], int]:
    """The Arrow tables of records that fit, each with its position in the page and its text; by table name.

    The number is that of values that were dropped. `counts` (rows so far, by table) is counted on. Tables without
    rows are left out.
    """
    columns: dict[str, dict[str, list[Any]]] = {
        table.spec.name: {name: [] for name in table.schema} for table in plan.tables
    }
    dropped = 0
    for position, raw, record in records:
        root_row = counts.get(plan.root.spec.name, 0)
        for table, found in elements(plan, record, counts):
            rows = columns[table.spec.name]
            held = [element.value if table.fence is None else table.fence.taken(element.value) for element in found]
            for column in table.columns:
                if column.spec.rest:
                    rests = [table.rest(element.value) for element in found]
                    dropped += sum(map(len, rests))
                    rows[column.spec.name] += [json_text(nested(rest)) if rest else None for rest in rests]
                else:
                    rows[column.spec.name] += [column.held(value) for value in held]
            rows["_row"] += [element.row for element in found]
            if table is plan.root:
                rows["_page"].append(page)
                rows["_position"].append(position)
                rows["_hash"].append(xxhash.xxh3_128_digest(raw))
                rows["_deleted"].append(is_deleted(record, plan.deleted))
            else:
                rows["_parent_row"] += [element.parent_row for element in found]
                rows["_root_row"] += [root_row] * len(found)
                rows["_position"] += [element.position for element in found]
    hashes = plan.root.list_hashes([raw for _, raw, _ in records])
    for name, steps in plan.root.lists:
        is_list = [isinstance(at(record, steps), list) for _, _, record in records]
        columns[plan.root.spec.name][name] = [
            found if kept else None for found, kept in zip(hashes[name], is_list, strict=True)
        ]
    there = [table for table in plan.tables if columns[table.spec.name]["_row"]]
    return {table.spec.name: to_arrow(table, columns[table.spec.name]) for table in there}, dropped


def to_arrow(table: TablePlan, columns: Mapping[str, Any]) -> pa.Table:
    """Columns of Python values (or Arrow arrays of the right type) as one Arrow table."""
    arrays = [_as_array(columns[name], kind) for name, kind in table.schema.items()]
    return pa.Table.from_arrays(arrays, schema=table.arrow_schema)


def _as_array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return uuid_array(values) if kind == ROOT_COLUMNS["_hash"] else plain_array(values, kind)
