"""What the records of one plan look like to a quick decoder: a tree of generated structs.

Obj     an object: a struct, one field a key, unknown keys forbidden
One     a column
Many    several columns that read one value, or parts of it: taken as text, and parsed exactly
Items   a list: the rows of another table
Null    nothing but null was seen here
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ingest_assets.http.decoders.parsing import UNNAMEABLE, UNREADABLE
from ingest_assets.normalize.arrays import is_raw, wire_type
from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.names import Path, cleaned
from ingest_assets.normalize.rows import Plan, TablePlan
from ingest_assets.normalize.shape import Shape

MOST_COLUMNS = 2_000


class Unsuited(Exception):
    """Records of this shape are for the exact way only."""


class Null(Struct, frozen=True):
    """Nothing but null was seen here."""

    depth: int


class One(Struct, frozen=True):
    """A column; `tells` is whether its value says that the record is a tombstone."""

    column: ColumnPlan
    depth: int
    tells: bool


class Many(Struct, frozen=True):
    """Columns that read one value, each with the steps from there."""

    columns: tuple[tuple[ColumnPlan, Path], ...]
    depth: int


class Items(Struct, frozen=True):
    """A list."""

    table: TablePlan
    item: "Node"
    depth: int


class Obj(Struct, frozen=True):
    """An object. Keys in `required` are refused by the decoder where they are absent, and need no counting.

    `always` are those that all such objects had, but for empty ones: what lacks one is learned from, or all of them
    where that is not known (None).
    """

    path: tuple[str, ...]
    struct: type[msgspec.Struct]
    keys: tuple[str, ...]
    children: tuple["Node", ...]
    required: frozenset[str]
    always: frozenset[str] | None


Node = Null | One | Many | Items | Obj
Required = frozenset[tuple[str, ...]]


def order_of(records: Iterable[Any]) -> dict[tuple[str, ...], int]:
    """The places of keys (as `Required` has them) in the order in which these records first have them.

    >>> list(order_of([{"b": [{"x": 1}], "a": 2}]))
    [('', 'b'), ('b', '', 'x'), ('', 'a')]
    """
    order: dict[tuple[str, ...], int] = {}
    for record in records:
        _note_order(order, record, (), ())
    return order


def order_in(texts: Iterable[Any]) -> dict[tuple[str, ...], int]:
    """The same of what the plainest decoder takes of these records, which is enough to see it."""
    return order_of(_plain(texts))


def _plain(texts: Iterable[Any]) -> Iterator[Any]:
    for text in texts:
        with suppress(*UNREADABLE):
            yield msgspec.json.decode(text)


def _note_order(order: dict[tuple[str, ...], int], value: Any, table: Path, path: Path) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            order.setdefault((*table, "", *path, key), len(order))
            _note_order(order, inner, table, (*path, key))
    elif isinstance(value, list):
        for item in value:
            _note_order(order, item, (*table, *path), ())


def layout(plan: Plan, shape: Shape, required: Required, order: Mapping[tuple[str, ...], int]) -> Obj:
    """The tree for a plan under its registry's shape; raises Unsuited where only the exact way will do.

    `required` are the places (table path, "", and keys, as `Obj.path` and a key have them) seen in every record so
    far. `order` is how records have them: keys in another order than the struct's take the decoder long to find.
    """
    _refuse_unsuited(plan)
    root = _Growth(plan, required, order).node(plan.root, (), shape, 0)
    if not isinstance(root, Obj):
        raise Unsuited("the record itself is a column")
    return root


def _refuse_unsuited(plan: Plan) -> None:
    if not {name for name, _ in plan.keys} <= {column.spec.name for column in plan.root.columns}:
        raise Unsuited("a key that was never seen")
    if sum(len(table.columns) for table in plan.tables) > MOST_COLUMNS:
        raise Unsuited("too many columns")
    if hides(plan) and not any(table.fence is not None and table.fence.drops for table in plan.tables):
        raise Unsuited("a column of text in which something may not be taken")  # nor taken out first, by `dropping`
    for table in plan.tables:
        texts = [column.spec.path for column in table.columns if is_raw(column)]
        for column in table.columns:
            if column.given_by is not None:
                continue
            if column.key and column.spec.type == "json":
                raise Unsuited("a key that may be an object")
            if (
                not column.placed
                and not column.spec.rest
                and any(column.spec.name.startswith("__".join(map(cleaned, text))) for text in texts)
            ):
                raise Unsuited("a declared column may turn up inside of a column of text")


def hides(plan: Plan) -> bool:
    """Whether something that is not taken may stand in a column that is taken as text."""
    fenced = [column for table in plan.tables if table.fence is not None for column in table.columns]
    return any(is_raw(column) and column.declared is None and column.placed for column in fenced)


class _Growth(Struct, frozen=True):
    plan: Plan
    required: Required
    order: Mapping[tuple[str, ...], int]

    def node(self, table: TablePlan, path: Path, shape: Shape, depth: int) -> Node:
        columns = [c for c in table.columns if c.placed and c.spec.path[: len(path)] == path]
        lists = [t for t in self.plan.tables if t.spec.parent == table.spec.name and t.spec.steps[: len(path)] == path]
        here = [c for c in columns if c.spec.path == path and (path or table is not self.plan.root)]
        if here and lists:
            raise Unsuited("a list inside of a column")
        if here:
            return self._value(table, path, here, columns, depth)
        # A list that is neither declared nor taken was so once: now the decoder refuses it, or does not get to see it.
        gone = not lists and table.fence is not None and table.fence.closed.tables
        if "list" in shape.kinds and path and not gone:
            if columns or len(lists) != 1 or lists[0].spec.steps != path:
                raise Unsuited("a list that is also an object")
            return self._items(lists[0], shape, depth)
        if "object" in shape.kinds or (not path and table is self.plan.root):
            declared = {c.spec.path[-1] for c in columns if len(c.spec.path) == len(path) + 1}
            tells = bool(path) and not any(below.declared for below in lists)
            return self._object(table, path, shape, declared, depth, shape.always if tells else frozenset())
        return Null(depth)

    def _value(
        self, table: TablePlan, path: Path, here: Sequence[ColumnPlan], columns: Sequence[ColumnPlan], depth: int
    ) -> Node:
        told = tuple(self.plan.deleted.path.split(".")) if self.plan.deleted and table is self.plan.root else ()
        tells = bool(told) and told[: len(path)] == path
        if len(columns) == 1 and not (tells and is_raw(here[0])):
            return One(here[0], depth, tells and told == path)
        learned = any(column.declared is None and column.spec.type != "json" for column in columns)
        if tells or here[0].bare or learned:
            raise Unsuited("a value that is read in several ways")
        return Many(tuple((column, column.spec.path[len(path) :]) for column in columns), depth)

    def _items(self, below: TablePlan, shape: Shape, depth: int) -> Node:
        return Items(below, self.node(below, (), shape.items or Shape(), depth + 1), depth)

    def _object(
        self,
        table: TablePlan,
        path: Path,
        shape: Shape,
        declared: Collection[str],
        depth: int,
        always: frozenset[str] | None,
    ) -> Node:
        # Other keys than these are refused, so that the exact way learns them.
        place = (*table.spec.path, "", *path)
        last = len(self.order)
        keys = tuple(sorted({*shape.fields, *declared}, key=lambda key: (self.order.get((*place, key), last), key)))
        if any(map(UNNAMEABLE.search, keys)):
            raise Unsuited("a key that a struct cannot name")
        children = tuple(self.node(table, (*path, key), shape.fields.get(key, Shape()), depth + 1) for key in keys)
        required = frozenset(key for key in keys if (*place, key) in self.required)
        fields: list[Any] = [
            (f"f{n}", _field_type(child)) if key in required else (f"f{n}", _optional(_field_type(child)), UNSET)
            for n, (key, child) in enumerate(zip(keys, children, strict=True))
        ]
        struct = msgspec.defstruct(
            "Record",
            fields,
            rename={f"f{n}": key for n, key in enumerate(keys)},
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        return Obj(place, struct, keys, children, required, always)


def _optional(kind: Any) -> Any:
    return kind if kind is Raw else kind | UnsetType


def _field_type(node: Node) -> Any:
    if isinstance(node, Null):
        return None
    if isinstance(node, Many) or (isinstance(node, One) and is_raw(node.column)):
        return Raw
    if isinstance(node, One):
        return wire_type(node.column) | None
    if isinstance(node, Items):
        return list[_field_type(node.item)] | None  # type: ignore[misc]  # a type made at run time
    return node.struct | None
