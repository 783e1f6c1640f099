"""The values of one place in many records: kept in pieces as they come, and made into arrays all at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.normalize import written
from ingest_assets.normalize.arrays import (
    Misfit,
    fitted_array,
    has_tiny,
    json_array,
    needs_exact_doubles,
    news,
    piece_of,
    raw_values,
    refuse_outside,
)
from ingest_assets.normalize.columns import ColumnPlan, at
from ingest_assets.normalize.layout import Many, One
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.plain import Flags, bytes_array, flags_array, numbers_array, one_array
from ingest_assets.normalize.rows import Plan, TablePlan
from ingest_assets.normalize.shape import Shape, joined, shape_of_numbers

Rows = npt.NDArray[np.int64]

_NUMBERS = ("bigint", "hugeint", "double")


class Found(Struct):
    """The arrays of one table, and for a list's rows where they belong, as ordinals within these records."""

    rows: int = 0
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    parents: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    places: Rows = field(default_factory=lambda: np.zeros(0, np.int64))


class Columns(Struct):
    """Some records as columns: arrays by table path, and what was counted and learned on the way.

    `had` and `lacked` are the places of keys (as `layout.Required` has them) that an object had, or had not. `exact`
    are the columns that hold a double only where it is the number that was written. `dropped` counts values.
    """

    plan: Plan
    tables: dict[Path, Found]
    keys: int = 0
    raws: list[bytes] = field(default_factory=list)
    had: set[tuple[str, ...]] = field(default_factory=set)
    lacked: set[tuple[str, ...]] = field(default_factory=set)
    numbers: Shape = field(default_factory=Shape)
    exact: list[tuple[TablePlan, ColumnPlan]] = field(default_factory=list)
    tiny: bool = False
    dropped: int = 0

    def __len__(self) -> int:
        return self.tables[()].rows

    def find(self, error: Misfit) -> None:
        """Say of which records its rows are."""
        tables = {table.spec.name: table.spec for table in self.plan.tables}
        rows, spec = error.rows, next(spec for spec in tables.values() if spec.path == error.table)
        while spec.parent is not None:
            rows, spec = self.tables[spec.path].parents[rows], tables[spec.parent]
        error.records = np.unique(rows)


class Where(Struct, frozen=True):
    """Which rows of a table some values belong to: `rows` in order, or else `count` of them from `first` on."""

    rows: Rows | None
    first: int
    count: int

    def narrowed(self, kept: Flags) -> "Where":
        """Those of the values that are kept."""
        rows = np.flatnonzero(kept) + self.first if self.rows is None else self.rows[kept]
        return Where(rows, self.first, len(rows))

    def all_rows(self) -> Rows:
        """The ordinal of each row."""
        return np.arange(self.first, self.first + self.count) if self.rows is None else self.rows


class Leaf(ABC):
    """A place in the records that holds values of the rows of one table."""

    def __init__(self, columns: Columns, table: Path) -> None:
        self.columns, self.table, self.found = columns, table, columns.tables[table]
        self.parts: list[Any] = []
        self.wheres: list[Where] = []

    def add(self, values: Sequence[Any], where: Where) -> None:
        """Take some values, and which rows they belong to; raises Misfit."""
        try:
            self.parts.append(self._part(values))
        except Misfit as error:
            error.in_table(self.table, where.all_rows())
            raise
        self.wheres.append(where)

    def _part(self, values: Sequence[Any]) -> Any:
        return values

    def finish(self) -> None:
        """Make arrays of all parts; raises Misfit."""
        try:
            self._finish()
        except Misfit as error:
            error.in_table(self.table, self.rows())
            raise

    @abstractmethod
    def _finish(self) -> None:
        """See `finish`; what a Misfit tells are places among all values."""

    def rows(self) -> Rows:
        """The ordinals of the rows that have a value."""
        return np.concatenate([where.all_rows() for where in self.wheres])

    def put(self, name: str, array: pa.Array) -> None:
        """Have the array of all parts as a column, null in rows that have no value here."""
        if len(array) < self.found.rows:
            source = np.full(self.found.rows, -1)
            source[self.rows()] = np.arange(len(array))
            array = array.take(numbers_array(source, source >= 0))
        self.found.arrays[name] = array


class Column(Leaf):
    """A column of its own."""

    def __init__(self, columns: Columns, table: TablePlan, node: One) -> None:
        super().__init__(columns, table.spec.path)
        self.plan, self.column, self.depth = table, node.column, node.depth

    def _part(self, values: Sequence[Any]) -> Any:
        return piece_of(self.column, values)

    def _finish(self) -> None:
        array = one_array(self.parts)
        if not self.column.bounds.none and not self.column.is_money:
            refuse_outside(self.column, array)
        self._keep(array)

    def _keep(self, array: pa.Array) -> None:
        self.put(self.column.spec.name, array)
        _look(self.columns, self.plan, self.column, array)


class Verbatim(Column):
    """A column that is taken as text, and parsed exactly."""

    def _part(self, values: Sequence[Any]) -> Any:
        return values

    def _finish(self) -> None:
        values = list(chain.from_iterable(self.parts))
        if self.column.bare and (objects := [n for n, text in enumerate(values) if bytes(text).startswith(b"{")]):
            raise Misfit(self.column.spec.name, objects)  # what is taken of an object is its key `value`
        text = b"[%s]" % b",".join(values)
        self.columns.raws.append(text)
        if self.column.spec.type == "json":
            self._keep(json_array(values, text, self.depth))
        else:
            decimals = written.decimals_in(bytes_array(list(map(bytes, values)), b"null"), self.column.sent_type)
            self._keep(fitted_array(self.column, raw_values(values, self.depth)) if decimals is None else decimals)


class Several(Leaf):
    """Several columns that read one value, or parts of it."""

    def __init__(self, columns: Columns, table: TablePlan, node: Many) -> None:
        super().__init__(columns, table.spec.path)
        self.node = node

    def _finish(self) -> None:
        values = list(chain.from_iterable(self.parts))
        text = b"[%s]" % b",".join(values)
        self.columns.raws.append(text)
        exact = raw_values(values, self.node.depth)
        for column, steps in self.node.columns:
            if column.spec.type == "json" and not steps:
                self.put(column.spec.name, json_array(values, text, self.node.depth))
            else:
                self.put(column.spec.name, fitted_array(column, [at(value, steps) for value in exact]))


class Told(Leaf):
    """Whether a value says that the record is a tombstone: false where there is nothing to tell."""

    def __init__(self, columns: Columns, equals: object) -> None:
        super().__init__(columns, ())
        self.equals = equals

    def _part(self, values: Sequence[Any]) -> Flags:
        told = (type(value) is type(self.equals) and value == self.equals for value in values)
        return np.fromiter(told, np.bool_, len(values))

    def _finish(self) -> None:
        flags = np.zeros(self.found.rows, np.bool_)
        flags[self.rows()] = np.concatenate(self.parts)
        self.found.arrays["_deleted"] = flags_array(flags)


def _look(columns: Columns, table: TablePlan, column: ColumnPlan, array: pa.Array) -> None:
    """Note what numbers tell, and what has to be proven of them."""
    if needs_exact_doubles(column):
        columns.exact.append((table, column))
        columns.tiny |= column.spec.type != "double" or has_tiny(array)
    if column.declared is None and (column.spec.type in _NUMBERS or column.spec.type.startswith("decimal")):
        _note_numbers(columns, table, column, array)


def _note_numbers(columns: Columns, table: TablePlan, column: ColumnPlan, array: pa.Array) -> None:
    if numbers := news(column.known, column.spec.type, array):
        new = shape_of_numbers(numbers, _steps(columns.plan, table), column.spec.path)
        columns.numbers = joined(columns.numbers, new, root=True)


def _steps(plan: Plan, table: TablePlan) -> list[Path]:
    by_name = {other.spec.name: other for other in plan.tables}
    steps = []
    while table.spec.parent is not None:
        steps.append(table.spec.steps)
        table = by_name[table.spec.parent]
    return steps[::-1]
