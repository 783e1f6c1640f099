"""Many records at once: decoded into generated structs, turned on their side, and proven to have lost nothing.

    text ──► structs ──► columns ──► Arrow arrays
               └── types, keys: the decoder   └── ranges, times: `arrays`   └── equal keys, long numbers: `proofs`

Whatever is not proven raises Misfit, and is taken record by record. What comes out is what the exact way gives,
row by row and in the same order; tests compare the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.normalize.arrays import (
    Misfit,
    Twins,
    array_of,
    fitted_array,
    has_tiny,
    is_plain_text,
    is_raw,
    json_array,
    money_array,
    needs_exact_doubles,
    news,
    raw_values,
)
from ingest_assets.normalize.columns import ColumnPlan, at
from ingest_assets.normalize.layout import Items, Many, Node, Obj, One, Required, Sparse, layout, order_in
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.plain import Flags, flags_array, numbers_array, repeated, text_arrays, there
from ingest_assets.normalize.proofs import COUNTS, doubles_are_exact
from ingest_assets.normalize.rows import Plan, TablePlan
from ingest_assets.normalize.shape import Shape, joined, shape_of_numbers
from ingest_assets.normalize.sparse import spread
from ingest_assets.normalize.values import arrow_type

Rows = npt.NDArray[np.int64]

_NUMBERS = ("bigint", "hugeint", "double")
_ENOUGH = 50  # records that must all have a key before it is believed to be always there


@dataclass
class Found:
    """The arrays of one table, and for a list's rows where they belong, as ordinals within these records."""

    rows: int = 0
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    parents: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    places: Rows = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass
class Columns:
    """Some records as columns: arrays by table path, and what was counted and learned on the way."""

    plan: Plan
    tables: dict[Path, Found]
    keys: int = 0
    raws: list[bytes] = field(default_factory=list)
    always: set[tuple[str, ...]] = field(default_factory=set)
    numbers: Shape = field(default_factory=Shape)
    texts: list[tuple[Found, str, Sequence[str | None], "_Where"]] = field(default_factory=list)
    exact_doubles: bool = False
    tiny: bool = False

    def __len__(self) -> int:
        return self.tables[()].rows


@dataclass(frozen=True)
class _Where:
    """Which rows of the table the values at hand belong to: `rows` in order, out of `count`."""

    rows: Rows | None
    count: int

    def narrowed(self, there: Flags) -> "_Where":
        kept = np.flatnonzero(there)
        return _Where(kept if self.rows is None else self.rows[kept], self.count)

    def all_rows(self) -> Rows:
        return np.arange(self.count) if self.rows is None else self.rows

    def spread(self, array: pa.Array) -> pa.Array:
        if self.rows is None:
            return array
        source = np.full(self.count, -1)
        source[self.rows] = np.arange(len(self.rows))
        return array.take(numbers_array(source, source >= 0))

    def flags(self, flags: Flags) -> pa.Array:
        """These, and False for the rows without a value."""
        if self.rows is None:
            return flags_array(flags)
        whole = np.zeros(self.count, np.bool_)
        whole[self.rows] = flags
        return flags_array(whole)


class Fast:
    """The quick way for the records of one plan and its registry's shape; raises Unsuited where there is none.

    `before`, the quick way under an earlier plan, knows which keys all records so far had, and in which order:
    the decoder refuses a record without them, so that they need not be counted.
    """

    def __init__(self, plan: Plan, shape: Shape, before: "Fast | None" = None) -> None:
        self.plan = plan
        self.shape = shape
        self.always: Required | None = before.always if before else None
        self.order: Mapping[tuple[str, ...], int] = before.order if before else {}
        self.required = self.always or frozenset()
        self._build()

    def _build(self) -> None:
        self.tree = layout(self.plan, self.shape, self.required, self.order)
        self._many = msgspec.json.Decoder(list[self.tree.struct])  # type: ignore[name-defined]  # made at run time
        self._one = msgspec.json.Decoder(self.tree.struct)

    def loosen(self) -> bool:
        """Forgets which keys were always there; False where nothing was required."""
        if not self.required:
            return False
        self.required = frozenset()
        self._build()
        return True

    def tighten(self, columns: Columns, texts: Sequence[Any]) -> None:
        """Requires the keys that all records so far had, and takes them in their order, if these are enough to tell."""
        if self.required or len(columns) < _ENOUGH:
            return
        self.always = frozenset(columns.always if self.always is None else self.always & columns.always)
        self.order = self.order or order_in(texts[:: len(texts) // _ENOUGH])
        if self.always:
            self.required = self.always
            self._build()

    def decoded(self, text: bytes, *, lines: bool) -> list[Any]:
        """The structs of all records of a text; raises msgspec.MsgspecError where one does not fit."""
        return self._one.decode_lines(text) if lines else self._many.decode(text)

    def decoded_one(self, text: Any) -> Any:
        """The struct of one record, None where it does not fit."""
        try:
            return self._one.decode(text)
        except UNREADABLE:
            return None

    def columns(self, structs: Sequence[Any], texts: Sequence[bytes]) -> Columns:
        """The columns of decoded records, whose texts (with anything around that is no key) these are; or Misfit."""
        columns = Columns(self.plan, {table.spec.path: Found() for table in self.plan.tables})
        columns.tables[()].rows = len(structs)
        _object(columns, self.plan.root, self.tree, structs, _Where(None, len(structs)))
        _make_texts(columns)
        _apply_rules(columns)
        _prove(columns, texts)
        return columns


def _make_texts(columns: Columns) -> None:
    """All columns of texts at once."""
    arrays = text_arrays([values for _, _, values, _ in columns.texts])
    for (found, name, _, where), array in zip(columns.texts, arrays, strict=True):
        found.arrays[name] = where.spread(array)
    columns.texts.clear()


def _apply_rules(columns: Columns) -> None:
    """Defaults in place of nulls, then numbers as the money that they are; raises Misfit."""
    for table in columns.plan.tables:
        found = columns.tables[table.spec.path]
        for column in table.columns:
            if column.default is not None and found.rows:
                value = repeated(column.default, arrow_type(column.spec.type), found.rows)
                array = found.arrays.get(column.spec.name)
                full = value if array is None else pc.fill_null(array, value[0])
                found.arrays[column.spec.name] = full
        for column in table.columns:
            if column.is_money and (sent := found.arrays.get(column.spec.name)) is not None:
                found.arrays[column.spec.name] = money_array(column, sent, _codes(column, found))


def _codes(column: ColumnPlan, found: Found) -> pa.Array | None:
    beside = column.currency
    if beside is None:
        return None
    if beside.given_by is not None:
        return repeated(beside.value(None), arrow_type(beside.spec.type), found.rows)
    return found.arrays.get(beside.spec.name)


def _prove(columns: Columns, texts: Sequence[bytes]) -> None:
    if not any(sum(map(count, texts)) == columns.keys + sum(map(count, columns.raws)) for count in COUNTS):
        raise Twins("a key stands twice")
    if columns.exact_doubles and not all(doubles_are_exact(text, tiny=columns.tiny) for text in texts):
        raise Misfit("a number that no double holds")
    _prove_present(columns)


def _prove_present(columns: Columns) -> None:
    deleted = columns.tables[()].arrays.get("_deleted")
    for table in columns.plan.tables:
        found = columns.tables[table.spec.path]
        for column in table.columns:
            if (column.required or column.key) and found.rows and column.given_by is None:
                array = found.arrays.get(column.spec.name)
                empty = repeated(True, pa.bool_(), found.rows) if array is None else pc.is_null(array)
                if not column.key and table is columns.plan.root and deleted is not None:
                    empty = pc.and_(empty, pc.invert(deleted))
                if pc.any(empty).as_py():
                    raise Misfit(f"{column.spec.name} has no value")


def _node(columns: Columns, table: TablePlan, node: Node, values: Sequence[Any], where: _Where) -> None:
    if isinstance(node, Obj):
        _object(columns, table, node, values, where)
    elif isinstance(node, Items):
        _items(columns, node, values, where)
    elif isinstance(node, One):
        _one(columns, table, node, values, where)
    elif isinstance(node, Many):
        _many(columns, table, node, values, where)
    elif isinstance(node, Sparse):
        found = spread(node, values, where.all_rows(), where.count)
        columns.keys += found.keys
        columns.raws += [found.raw] if found.raw is not None else []
        columns.tables[table.spec.path].arrays.update(found.arrays)


def _object(columns: Columns, table: TablePlan, node: Obj, values: Sequence[Any], where: _Where) -> None:
    try:
        fields = _fields(node, values)
    except TypeError:  # there are nulls among them
        kept = there(values)
        where, values = where.narrowed(kept), list(compress(values, kept))
        fields = _fields(node, values)
    if not values:
        return
    for key, child, found in zip(node.keys, node.children, fields, strict=True):
        if key not in node.required:
            kept = there(found, UNSET)
            if not kept.all():
                found = list(compress(found, kept))
                columns.keys += len(found)
                if found:
                    _node(columns, table, child, found, where.narrowed(kept))
                continue
        columns.keys += len(found)
        columns.always.add((*node.path, key))
        _node(columns, table, child, found, where)


def _fields(node: Obj, values: Sequence[Any]) -> list[list[Any]]:
    """The values of each field of these structs."""
    flat: list[Any] = []
    for fields in map(msgspec.structs.astuple, values):
        flat += fields  # and then every so manieth of them: half the time that zip takes
    size = len(node.keys)
    return [flat[field::size] for field in range(size)]


def _items(columns: Columns, node: Items, values: Sequence[Any], where: _Where) -> None:
    lists = [value or () for value in values]
    if node.flag is not None:
        columns.tables[()].arrays[node.flag] = where.flags(there(values))
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    total = int(lengths.sum())
    found = columns.tables[node.table.spec.path]
    found.rows = total
    found.parents = np.repeat(where.all_rows(), lengths)
    found.places = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if total:
        _node(columns, node.table, node.item, list(chain.from_iterable(lists)), _Where(None, total))


def _one(columns: Columns, table: TablePlan, node: One, values: Sequence[Any], where: _Where) -> None:
    column = node.column
    if is_plain_text(column):
        columns.texts.append((columns.tables[table.spec.path], column.spec.name, values, where))
    else:
        array = _raw_array(columns, node, values) if is_raw(column) else array_of(column, values)
        columns.tables[table.spec.path].arrays[column.spec.name] = where.spread(array)
        _look(columns, table, column, array)
    if node.tells and columns.plan.deleted is not None:
        equals = columns.plan.deleted.equals
        told = (type(value) is type(equals) and value == equals for value in values)
        columns.tables[()].arrays["_deleted"] = where.flags(np.fromiter(told, np.bool_, len(values)))


def _look(columns: Columns, table: TablePlan, column: ColumnPlan, array: pa.Array) -> None:
    """Note what numbers tell, and what has to be proven of them."""
    if needs_exact_doubles(column):
        columns.exact_doubles = True
        columns.tiny |= column.spec.type != "double" or has_tiny(array)
    if column.declared is None and (column.spec.type in _NUMBERS or column.spec.type.startswith("decimal")):
        _note_numbers(columns, table, column, array)


def _raw_array(columns: Columns, node: One, values: Sequence[Any]) -> pa.Array:
    text = b"[%s]" % b",".join(values)
    columns.raws.append(text)
    if node.column.spec.type == "json":
        return json_array(values, text, node.depth)
    return fitted_array(node.column, raw_values(values, node.depth))


def _many(columns: Columns, table: TablePlan, node: Many, values: Sequence[Any], where: _Where) -> None:
    columns.raws.append(b",".join(values))
    exact = raw_values(values, node.depth)
    for column, steps in node.columns:
        array = fitted_array(column, [at(value, steps) for value in exact])
        columns.tables[table.spec.path].arrays[column.spec.name] = where.spread(array)


def _note_numbers(columns: Columns, table: TablePlan, column: ColumnPlan, array: pa.Array) -> None:
    if numbers := news(column.known, column.spec.type, array):
        steps = _steps(columns.plan, table)
        new = shape_of_numbers(numbers, steps, column.spec.path)
        columns.numbers = joined(columns.numbers, new, root=True)


def _steps(plan: Plan, table: TablePlan) -> list[Path]:
    by_name = {other.spec.name: other for other in plan.tables}
    steps = []
    while table.spec.parent is not None:
        steps.append(table.spec.steps)
        table = by_name[table.spec.parent]
    return steps[::-1]
