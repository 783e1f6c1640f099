"""From an exact record to the rows of its tables, value by value. Slow, and right by reading it.

System columns, of the root table and of a list's:

    _row       ordinal of the row in its table, within the fetch     _row         the same
    _page      number of the page                                    _parent_row  ordinal in the parent table
    _position  of the record in its page                             _root_row    ordinal of the record's own row
    _hash      xxh3_128 of the record's text, 32 hex digits          _position    in the list
    _deleted   whether the record is a tombstone
    _has__…    whether the list came with the record
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import xxhash

from ingest_assets.contract import TIME_TYPES, Column, Contract, Tombstone
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import ColumnSpec, Registry, TableSpec, declared_columns, declared_path
from ingest_assets.normalize.shape import Shape, shape_at
from ingest_assets.normalize.values import Fit, Unfit, arrow_type, declared_fit, learned_fit, shown

ROOT_COLUMNS = {
    "_row": pa.int64(),
    "_page": pa.int64(),
    "_position": pa.int64(),
    "_hash": pa.string(),
    "_deleted": pa.bool_(),
}
CHILD_COLUMNS = {"_row": pa.int64(), "_parent_row": pa.int64(), "_root_row": pa.int64(), "_position": pa.int64()}


@dataclass(frozen=True)
class ColumnPlan:
    """A column that batches hold: where its value is, and what makes it fit.

    `known` is what was seen at a learned column's path. A column declared by name alone is `placed` once a path
    asked for its name; before, it has no values. A column that is no matter of the record takes what `given` has of
    the name `given_by`: the same in every row of a page.
    `texts`: all values arrive as texts.
    """

    spec: ColumnSpec
    fit: Fit
    declared: Column | None
    key: bool
    known: Shape
    placed: bool = True
    texts: bool = False
    given_by: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether the contract wants a value here in every record that is no tombstone."""
        return self.declared is not None and self.declared.required

    def value(self, element: Any) -> Any:
        """The column's value in an element of its table, None where there is none; raises Unfit."""
        found = self.found(element)
        if found is None:
            return None
        try:
            return self.fit(found)
        except (TypeError, ValueError, OverflowError):
            told = None if self.spec.sensitive else shown(found)
            reason = (
                f"column {self.spec.name!r}: {_kind(found)} that does not fit {self.spec.type}{self._wanted(found)}"
            )
            raise Unfit(reason, self.spec.name, told) from None

    def _wanted(self, found: Any) -> str:
        """What the source file says of values that fit, beside the type."""
        if self.declared is None:
            return ""
        if self.texts and found == "":
            return "; where an empty text means no value, say null_values: ['']"
        if self.declared.type in TIME_TYPES:
            return f", format {self.declared.format or 'iso'}"
        if self.declared.values is not None and isinstance(found, str):
            return f"; `values` are {', '.join(self.declared.values)}"
        return ""

    def found(self, element: Any) -> Any:
        """The exact value in the record, before it is made to fit."""
        if self.given_by is not None:
            return self.given.get(self.given_by)
        if not self.spec.path and self.spec.declared and isinstance(element, dict):
            return element.get("value")
        return at(element, self.spec.path)


@dataclass(frozen=True)
class TablePlan:
    """A table with its columns in the order of its batches.

    `declared` is whether the contract names its list. `flags` (of the root only) are the `_has__` columns, and
    the path of the list that each is about.
    """

    spec: TableSpec
    columns: tuple[ColumnPlan, ...]
    declared: bool
    flags: tuple[tuple[str, Path], ...]

    @property
    def schema(self) -> dict[str, pa.DataType]:
        """Arrow types by column, system columns first."""
        system = ROOT_COLUMNS if self.spec.parent is None else CHILD_COLUMNS
        return {
            **system,
            **{name: pa.bool_() for name, _ in self.flags},
            **{column.spec.name: arrow_type(column.spec.type) for column in self.columns},
        }


@dataclass(frozen=True)
class Plan:
    """How the records of one endpoint become rows under one registry. Parents stand before children.

    `keys` are the columns of the primary key that are not declared, with their paths; None where none was seen.
    """

    tables: tuple[TablePlan, ...]
    deleted: Tombstone | None
    keys: tuple[tuple[str, Path | None], ...]

    @property
    def root(self) -> TablePlan:
        """The plan of the root table."""
        return self.tables[0]


def plan_for(endpoint: str, contract: Contract, registry: Registry, partition: Mapping[str, str]) -> Plan:
    """The plan of an endpoint under a contract and a settled registry, for a partition of these dimensions."""
    specs = registry.tables(endpoint, contract)
    named = {name: path for (table, path), name in registry.columns.items() if not table}
    flags = tuple((spec.present or "", spec.steps) for spec in specs if spec.parent == specs[0].name)
    return Plan(
        tuple(
            TablePlan(
                spec,
                tuple(
                    _column_plan(contract, registry, spec, column, partition)
                    for column in spec.columns
                    if not column.empty
                ),
                declared=".".join(spec.path) in contract.children,
                flags=() if spec.parent else flags,
            )
            for spec in specs
        ),
        contract.deleted,
        tuple((name, named.get(name)) for name in contract.primary_key if name not in contract.columns),
    )


def _column_plan(
    contract: Contract, registry: Registry, table: TableSpec, spec: ColumnSpec, partition: Mapping[str, str]
) -> ColumnPlan:
    declared: Mapping[str, Column] = declared_columns(contract, table.path)
    column = declared[spec.name] if spec.declared else None
    return ColumnPlan(
        spec,
        learned_fit(spec.type) if column is None else declared_fit(column, contract.time_zone, texts=contract.texts),
        column,
        key=table.parent is None and spec.name in contract.primary_key,
        known=shape_at(registry.shape, table.path, spec.path),
        placed=column is None or declared_path(registry, table.path, spec.name, column) is not None,
        texts=contract.texts,
        given_by=None if column is None else _given_by(column),
        given=partition,
    )


def _given_by(column: Column) -> str | None:
    return of_parent(column.from_parent) if column.from_parent is not None else column.from_partition


def of_parent(field: str) -> str:
    """By which name a page gives a field of its parent; no dimension of a partition has one with a dot.

    >>> of_parent("id")
    'parent.id'
    """
    return f"parent.{field}"


def at(value: Any, path: Path) -> Any:
    """The value below these keys, None where they lead nowhere. () is the value itself.

    >>> at({"a": {"b": 1}}, ("a", "b")), at({"a": [1]}, ("a", "b"))
    (1, None)
    """
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def is_deleted(record: Any, tombstone: Tombstone | None) -> bool:
    """Whether a record says that its key is gone. True and 1 are not the same here.

    >>> is_deleted({"deleted": True}, Tombstone(path="deleted", equals=True))
    True
    """
    if tombstone is None:
        return False
    found = at(record, tuple(tombstone.path.split(".")))
    return type(found) is type(tombstone.equals) and bool(found == tombstone.equals)


@dataclass(frozen=True)
class Element:
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
    deleted = is_deleted(record, plan.deleted)
    for name, path in plan.keys:
        _check_key(name, None if path is None else at(record, path))
    for table in plan.tables:
        if table is plan.root or table.declared:
            found = [record] if table is plan.root else _declared_items(record, table.spec.path, table.spec.path)
            for column in table.columns:
                if column.spec.declared:
                    for element in found:
                        _check_value(column, element, deleted=deleted)


def _declared_items(value: Any, steps: Path, table: Path) -> list[Any]:
    if not steps:
        if value is not None and not isinstance(value, list):
            raise Unfit(f"list {'.'.join(table)!r}: {_kind(value)} where a list is declared")
        return value or []
    if isinstance(value, list):
        return [item for inner in value for item in _declared_items(inner, steps, table)]
    return _declared_items(value.get(steps[0]), steps[1:], table) if isinstance(value, dict) else []


def _check_value(column: ColumnPlan, element: Any, *, deleted: bool) -> None:
    name = column.spec.name
    if column.value(element) is None and (column.key or (column.required and not deleted)):
        raise Unfit(f"column {name!r}: no value, and it is {'part of the key' if column.key else 'required'}", name)


def _check_key(name: str, value: Any) -> None:
    if value is None:
        raise Unfit(f"column {name!r}: no value, and it is part of the key", name)
    if isinstance(value, dict | list):
        raise Unfit(f"column {name!r}: {_kind(value)}, and it is part of the key", name, shown(value))


def exact_tables(
    plan: Plan, counts: dict[str, int], page: int, records: Sequence[tuple[int, bytes, Any]]
) -> dict[str, pa.Table]:
    """The Arrow tables of records that fit, each with its position in the page and its text; by table name.

    `counts` (rows so far, by table) is counted on. Tables without rows are left out.
    """
    flags = plan.root.flags
    columns: dict[str, dict[str, list[Any]]] = {
        table.spec.name: {name: [] for name in table.schema} for table in plan.tables
    }
    for position, raw, record in records:
        root_row = counts.get(plan.root.spec.name, 0)
        for table, found in elements(plan, record, counts):
            rows = columns[table.spec.name]
            for column in table.columns:
                rows[column.spec.name] += [column.value(element.value) for element in found]
            rows["_row"] += [element.row for element in found]
            if table is plan.root:
                rows["_page"].append(page)
                rows["_position"].append(position)
                rows["_hash"].append(xxhash.xxh3_128_hexdigest(raw))
                rows["_deleted"].append(is_deleted(record, plan.deleted))
                for name, steps in flags:
                    rows[name].append(isinstance(at(record, steps), list))
            else:
                rows["_parent_row"] += [element.parent_row for element in found]
                rows["_root_row"] += [root_row] * len(found)
                rows["_position"] += [element.position for element in found]
    return {
        table.spec.name: to_arrow(table, columns[table.spec.name])
        for table in plan.tables
        if columns[table.spec.name]["_row"]
    }


def to_arrow(table: TablePlan, columns: Mapping[str, Any]) -> pa.Table:
    """Columns of Python values (or Arrow arrays of the right type) as one Arrow table."""
    schema = table.schema
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, schema[name])
        for name, values in ((name, columns[name]) for name in schema)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(schema))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", dict: "an object", list: "a list", int: "an integer"}
    return kinds.get(type(value), "a number")
