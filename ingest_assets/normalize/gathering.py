"""Structs taken apart, some hundred at a time, until all of them are made into columns.

    structs ──► _Object ──► pieces of each column ──► arrays
                   └──────► _List: the rows of another table

What was decoded a moment ago is in the processor's cache: to take it apart there, and to let go of it, takes half the
time. An array takes a while however short it is, so there is one of all pieces.
"""

from collections.abc import Sequence
from itertools import chain, compress
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec import UNSET

from ingest_assets.normalize.arrays import Misfit, is_raw
from ingest_assets.normalize.layout import Items, Many, Node, Obj, One
from ingest_assets.normalize.pieces import (
    Column,
    Columns,
    Found,
    Leaf,
    Rows,
    Several,
    Told,
    Verbatim,
    Where,
)
from ingest_assets.normalize.plain import there
from ingest_assets.normalize.rows import Plan, TablePlan


class Gathering:
    """Structs of one layout on their way to columns."""

    def __init__(self, plan: Plan, tree: Obj) -> None:
        self._columns = Columns(plan, {table.spec.path: Found() for table in plan.tables})
        self._leaves: list[Leaf] = []
        self._lists: list[_List] = []
        self._root = self._gatherer(plan.root, tree)

    def add(self, structs: Sequence[Any]) -> None:
        """Take the values of some more records; raises Misfit."""
        root = self._columns.tables[()]
        where = Where(None, root.rows, len(structs))
        root.rows += len(structs)
        self._root.add(structs, where)

    def columns(self) -> Columns:
        """The columns of all records, to be asked for once; raises Misfit."""
        for leaf in self._leaves:
            if leaf.parts:
                leaf.finish()
        for found in self._lists:
            if found.parts:
                found.finish()
        return self._columns

    def find(self, error: Misfit) -> None:
        """Say of which of the records that were taken the rows of a Misfit are."""
        for found in self._lists:
            if found.parts:
                found.finish()
        self._columns.find(error)

    def _gatherer(self, table: TablePlan, node: Node) -> "_Gatherer":
        if isinstance(node, Obj):
            return _Object(self._columns, table, node, [self._gatherer(table, child) for child in node.children])
        if isinstance(node, Items):
            return self._list(node)
        if isinstance(node, One):
            return self._column(table, node)
        if isinstance(node, Many):
            return self._leaf(Several(self._columns, table, node))
        return _Nothing()

    def _list(self, node: Items) -> "_Gatherer":
        item = self._gatherer(node.table, node.item)
        self._lists.append(_List(self._columns.tables[node.table.spec.path], item))
        return self._lists[-1]

    def _column(self, table: TablePlan, node: One) -> "_Gatherer":
        leaf = self._leaf((Verbatim if is_raw(node.column) else Column)(self._columns, table, node))
        deleted = self._columns.plan.deleted
        if not node.tells or deleted is None:
            return leaf
        return _Both(leaf, self._leaf(Told(self._columns, deleted.equals)))

    def _leaf(self, leaf: Leaf) -> Leaf:
        self._leaves.append(leaf)
        return leaf


class _Gatherer(Protocol):
    def add(self, values: Sequence[Any], where: Where) -> None:
        """Take some values of one place in the records, and which rows they belong to; raises Misfit."""


class _Nothing:
    def add(self, values: Sequence[Any], where: Where) -> None:
        pass


class _Both:
    def __init__(self, *of: Leaf) -> None:
        self._of = of

    def add(self, values: Sequence[Any], where: Where) -> None:
        for leaf in self._of:
            leaf.add(values, where)


class _Object:
    def __init__(self, columns: Columns, table: TablePlan, node: Obj, children: Sequence[_Gatherer]) -> None:
        self._columns, self._table = columns, table.spec.path
        self._children = [
            ((*node.path, key), key in node.required, child) for key, child in zip(node.keys, children, strict=True)
        ]
        always = node.always or frozenset()
        self._always = [n for n, key in enumerate(node.keys) if key in always - node.required]
        self._knows = node.always is not None and always <= {*node.keys}

    def add(self, values: Sequence[Any], where: Where) -> None:
        try:
            fields = self._fields(values)
        except TypeError:  # there are nulls among them
            kept = there(values)
            where, values = where.narrowed(kept), list(compress(values, kept))
            fields = self._fields(values)
        if not values:
            return
        self._refuse_thinner(fields, where)
        for (place, required, child), found in zip(self._children, fields, strict=True):
            if required or (kept := there(found, UNSET)).all():
                self._columns.had.add(place)
                self._columns.keys += len(found)
                child.add(found, where)
            else:
                self._columns.lacked.add(place)
                if some := list(compress(found, kept)):
                    self._columns.keys += len(some)
                    child.add(some, where.narrowed(kept))

    def _refuse_thinner(self, fields: Sequence[Sequence[Any]], where: Where) -> None:
        """Misfit where one lacks a key that all had so far, or it is not known which: this is learned of it."""
        if self._knows and all(there(fields[n], UNSET).all() for n in self._always):
            return
        lacks = np.zeros(where.count, np.bool_) if self._knows else np.ones(where.count, np.bool_)
        for n in self._always:
            lacks |= ~there(fields[n], UNSET)
        filled = np.logical_or.reduce([there(found, UNSET) for found in fields])
        if (lacks & filled).any():
            error = Misfit("an object without a key that all others had", np.flatnonzero(lacks & filled))
            error.in_table(self._table, where.all_rows())
            raise error

    def _fields(self, values: Sequence[Any]) -> list[list[Any]]:
        """The values of each field of these structs."""
        flat: list[Any] = []
        for fields in map(msgspec.structs.astuple, values):
            flat += fields  # and then every so manieth of them: half the time that zip takes
        size = len(self._children)
        return [flat[field::size] for field in range(size)]


class _List:
    def __init__(self, found: Found, item: _Gatherer) -> None:
        self._found, self._item = found, item
        self.parts: list[tuple[Rows, Rows]] = []

    def add(self, values: Sequence[Any], where: Where) -> None:
        lists = [value or () for value in values]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        total = int(lengths.sum())
        first, self._found.rows = self._found.rows, self._found.rows + total
        places = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self.parts.append((np.repeat(where.all_rows(), lengths), places))
        if total:
            self._item.add(list(chain.from_iterable(lists)), Where(None, first, total))

    def finish(self) -> None:
        parents, places = zip(*self.parts, strict=True)
        self._found.parents, self._found.places = np.concatenate(parents), np.concatenate(places)
