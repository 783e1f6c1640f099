"""Many records at once: decoded into generated structs, turned on their side, and proven to have lost nothing.

    text ──► structs ──► columns ──► Arrow arrays
               └── types, keys: the decoder   └── ranges, times: `arrays`   └── equal keys, long numbers: `proofs`

Whatever is not proven raises Misfit, and is taken record by record. What comes out is what the exact way gives,
row by row and in the same order; tests compare the two.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.normalize.arrays import Misfit, Twins, json_array, money_array, refuse_lost
from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.dropping import Dropping, Left
from ingest_assets.normalize.gathering import Gathering
from ingest_assets.normalize.layout import Required, hides, layout, order_in
from ingest_assets.normalize.pieces import Columns, Found
from ingest_assets.normalize.plain import flags_array, flags_of, repeated
from ingest_assets.normalize.proofs import has_no_twins, lost_doubles
from ingest_assets.normalize.rows import Plan, TablePlan
from ingest_assets.normalize.shape import Shape
from ingest_assets.normalize.values import arrow_type

_ENOUGH = 50  # records that must all have a key before it is believed to be always there


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
        self._dropping, self._hides = Dropping.of_plan(plan), hides(plan)
        self._build()

    def left(self, texts: Sequence[Any]) -> Left | None:
        """What is left of records without what the contract drops, to be decoded; None where that is all of them."""
        if self._dropping is None or (not self._hides and self._takes_all(texts)):
            return None
        return self._dropping.left(texts)

    def _takes_all(self, texts: Sequence[Any]) -> bool:
        """Whether there is nothing but what the structs have: to decode once more is quicker than to take apart."""
        try:
            self._many.decode(b"[%s]" % b",".join(texts))
        except UNREADABLE:
            return False
        return True

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
        always = columns.had - columns.lacked
        self.always = frozenset(always if self.always is None else self.always & always)
        self.order = self.order or order_in(texts[:: len(texts) // _ENOUGH])
        if self.always:
            self.required = self.always
            self._build()

    def decoded(self, text: bytes, *, lines: bool) -> list[Any]:
        """The structs of all records of a text; raises msgspec.MsgspecError where one does not fit.

        `lines`: it is the records, one a line. Each has to be an object from its begin to its end, so that none goes
        over several lines, made up for by several on another.
        """
        if not lines:
            return self._many.decode(text)
        if text.count(b"}\n{") < text.count(b"\n") or not (text.startswith(b"{") and text.endswith(b"}")):
            raise msgspec.DecodeError("a line that is no object")
        return self._one.decode_lines(text)

    def decoded_one(self, text: Any) -> Any:
        """The struct of one record, None where it does not fit."""
        try:
            return self._one.decode(text)
        except UNREADABLE:
            return None

    def columns(self, structs: Sequence[Any], texts: Sequence[bytes], left: Left | None = None) -> Columns:
        """The columns of decoded records, whose texts (with anything around that is no key) these are.

        Where something was dropped of them, these are of what was `left`. Raises Misfit, saying which records do not
        fit, where that is known.
        """
        gathering = Gathering(self.plan, self.tree)
        try:
            gathering.add(structs)
            return _with_rests(_proven(_with_deleted(gathering.columns(), left), texts), left)
        except Misfit as error:
            gathering.find(error)
            raise

    def columns_of(self, texts: Sequence[bytes], left: Left | None = None, *, lines: bool) -> Columns:
        """The columns of all records of these texts, each small enough for the processor's cache; or Misfit.

        See `columns` for what was `left` of them.
        """
        gathering = Gathering(self.plan, self.tree)
        for text in texts:
            try:
                gathering.add(self.decoded(text, lines=lines))  # without a name: so they are gone before the next
            except UNREADABLE as error:
                raise Misfit("a record that does not fit") from error
        return _with_rests(_proven(_with_deleted(gathering.columns(), left), texts), left)


def _proven(columns: Columns, texts: Sequence[bytes]) -> Columns:
    """The columns as the contract has them, proven to have lost nothing of these texts; raises Misfit."""
    if not has_no_twins(texts, columns.raws, columns.keys):
        raise Twins("a key stands twice")
    if columns.exact and (lost := {double for text in texts for double in lost_doubles(text, tiny=columns.tiny)}):
        _refuse_lost(columns, lost)
    _apply_rules(columns)
    _prove_present(columns)
    return columns


def _with_deleted(columns: Columns, left: Left | None) -> Columns:
    """The columns and which records are tombstones, where what was dropped told that."""
    if left is not None and left.deleted:
        columns.tables[()].arrays["_deleted"] = flags_array(np.array(left.deleted))
    return columns


def _with_rests(columns: Columns, left: Left | None) -> Columns:
    """The columns and those of what was dropped; raises Misfit."""
    if left is None:
        return columns
    columns.dropped = sum(left.dropped)
    for table in columns.plan.tables:
        found = columns.tables[table.spec.path]
        if found.rows and table.rest_column is not None and table.spec.path in left.rests:
            rests, depth = left.rows(table.spec.path), left.depths[table.spec.path]
            with _in_table(table):
                found.arrays[table.rest_column] = json_array(rests, b"[%s]" % b",".join(rests), depth)
    return columns


def _refuse_lost(columns: Columns, doubles: Collection[float]) -> None:
    for table, column in columns.exact:
        if (array := columns.tables[table.spec.path].arrays.get(column.spec.name)) is not None:
            with _in_table(table):
                refuse_lost(column, array, doubles)


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
                with _in_table(table):
                    found.arrays[column.spec.name] = money_array(column, sent, _codes(column, found))


@contextlib.contextmanager
def _in_table(table: TablePlan) -> Iterator[None]:
    """A Misfit of a whole column is one of the rows of its table."""
    try:
        yield
    except Misfit as error:
        error.table = table.spec.path
        raise


def _codes(column: ColumnPlan, found: Found) -> pa.Array | None:
    beside = column.currency
    if beside is None:
        return None
    if beside.given_by is not None:
        return repeated(beside.value(None), arrow_type(beside.spec.type), found.rows)
    return found.arrays.get(beside.spec.name)


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
                    with _in_table(table):
                        raise Misfit(column.spec.name, np.flatnonzero(flags_of(empty)))
