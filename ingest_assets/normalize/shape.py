"""What has been seen at each path of an endpoint's records, and the column type that follows from it.

A shape is a point of a join-semilattice: learning a value and joining two shapes only ever move up, so
the shape is a function of the set of values, whatever their order, and so is the type.

    kinds     which of bool, number, str, object, list were seen; null is no kind, for it fits every type
    numbers   most digits before and after the point; any written with a point or an exponent; any beyond
              64 bits; any beyond what a double holds exactly
    fields    the shape below each key of an object
    always    the keys that each object at this path had, but for empty ones
    items     the shape of the elements of a list
    mixed     the top: kinds that no one column type holds; it forgets what is below, for nothing can follow
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

Path = tuple[str, ...]

MOST_KEYS = 100
MAP_KEYS = 16
MOST_DIGITS = 38
_BEYOND = MOST_DIGITS + 1
_EXACT_INT = 2**53
_KIND = {bool: "bool", int: "number", Decimal: "number", str: "str"}


class Shape(Struct):
    """What was seen at one path. Grows in place while it is learned; joins give a new one.

    `always` is None where no object was looked at for it: of rows it tells nothing, nor where a list is declared below.
    """

    kinds: set[str] = field(default_factory=set)
    whole: int = 0
    scale: int = 0
    fraction: bool = False
    beyond_64_bits: bool = False
    beyond_a_double: bool = False
    fields: dict[str, "Shape"] = field(default_factory=dict)
    always: frozenset[str] | None = None
    items: "Shape | None" = None
    mixed: bool = False


class Skip(Struct):
    """The declared columns of one table, as a tree of keys. What is declared is not learned."""

    here: bool = False
    fields: dict[str, "Skip"] = field(default_factory=dict)


class Lists(Struct):
    """The declared child tables, as a tree of keys that lists do not interrupt.

    `columns` are those of the table of the list that is found here; `bare` says that `value` is one of them.
    """

    columns: Skip = field(default_factory=Skip)
    bare: bool = False
    declared: bool = False
    fields: dict[str, "Lists"] = field(default_factory=dict)


NO_SKIP, NO_LISTS = Skip(), Lists()


def learn(
    shape: Shape, value: Any, skip: Skip = NO_SKIP, lists: Lists = NO_LISTS, *, root: bool = False, row: bool = False
) -> None:
    """Adds a value (of exact JSON, numbers as int or Decimal) to a shape, but for what is declared.

    `row` is whether it is one of a list's, `root` whether it is a record.
    """
    if shape.mixed:
        return
    if isinstance(value, dict):
        shape.kinds.add("object")
        if value and not (root or row or lists.fields):
            shape.always = frozenset(value) if shape.always is None else shape.always.intersection(value)
        for key, inner in value.items():
            if not (below := skip.fields.get(key, NO_SKIP)).here:
                learn(shape.fields.setdefault(key, Shape()), inner, below, lists.fields.get(key, NO_LISTS))
    elif isinstance(value, list):
        shape.kinds.add("list")
        shape.items = shape.items or Shape()
        _learn_items(shape.items, value, lists)
    elif value is not None:
        shape.kinds.add(_KIND[type(value)])
        if type(value) in (int, Decimal):
            learn_number(shape, value)
    _settle(shape, root=root)


def _learn_items(shape: Shape, items: list[Any], lists: Lists) -> None:
    for item in items:
        if lists.bare and not isinstance(item, dict):
            continue
        if isinstance(item, list):
            _rise(shape)
        learn(shape, item, lists.columns, lists, row=True)


def learn_number(shape: Shape, number: int | Decimal) -> None:
    """Adds a number to what is known of numbers."""
    if isinstance(number, int):
        whole, scale = len(str(abs(number))), 0
        shape.beyond_64_bits |= not -(2**63) <= number < 2**63
        shape.beyond_a_double |= abs(number) > _EXACT_INT
    else:
        whole, scale = digits(number)
        shape.fraction = True
        shape.beyond_a_double |= not in_double(number)
    shape.whole = max(shape.whole, min(whole, _BEYOND))
    shape.scale = max(shape.scale, min(scale, _BEYOND))


def digits(number: Decimal) -> tuple[int, int]:
    """How many digits a number has before and after its point, but for zeros that say nothing.

    >>> digits(Decimal("1.50")), digits(Decimal("1e3")), digits(Decimal("0.001"))
    ((1, 1), (4, 0), (0, 3))
    """
    _, figures, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not any(figures):
        return 1, 0
    zeros = next(n for n, figure in enumerate(reversed(figures)) if figure)
    return max(len(figures) + exponent, 0), max(-exponent - zeros, 0)


def in_double(number: Decimal) -> bool:
    """Whether the shortest form of the nearest double is this very number.

    >>> in_double(Decimal("0.1")), in_double(Decimal("9007199254740993.0")), in_double(Decimal("1e-400"))
    (True, False, False)
    """
    return Decimal(repr(float(number))) == number


def _settle(shape: Shape, *, root: bool = False) -> None:
    """Moves a shape to the top where no one type holds what was seen."""
    if not shape.mixed and not root and _clash(shape):
        _rise(shape)


def _rise(shape: Shape) -> None:
    shape.kinds, shape.whole, shape.scale = set(), 0, 0
    shape.fraction = shape.beyond_64_bits = shape.beyond_a_double = False
    shape.fields, shape.always, shape.items, shape.mixed = {}, None, None, True


def _clash(shape: Shape) -> bool:
    if len(shape.kinds) > 1:
        return True
    if "object" in shape.kinds:
        return len(shape.fields) > MOST_KEYS or _is_map(shape)
    return "number" in shape.kinds and _number_type(shape) == "json"


def _is_map(shape: Shape) -> bool:
    """Whether an object's keys are data rather than columns: many of them, and none that each object has."""
    return len(shape.fields) >= MAP_KEYS and shape.always is not None and not shape.always


def _number_type(shape: Shape) -> str:
    if not shape.fraction:
        if not shape.beyond_64_bits:
            return "bigint"
        return "hugeint" if shape.whole <= MOST_DIGITS else "json"
    if not shape.beyond_a_double:
        return "double"
    return f"decimal(38,{shape.scale})" if shape.whole + shape.scale <= MOST_DIGITS else "json"


def scalar_type(shape: Shape) -> str | None:
    """The column type of a shape, or None where it is an object (columns of its own) or a list (a table).

    Only null so far is varchar.

    >>> learned = Shape()
    >>> for value in (1, None, Decimal("1.5")):
    ...     learn(learned, value)
    >>> scalar_type(learned)
    'double'
    """
    if shape.mixed:
        return "json"
    if shape.kinds & {"object", "list"}:
        return None
    if "bool" in shape.kinds:
        return "boolean"
    return _number_type(shape) if "number" in shape.kinds else "varchar"


def joined(one: Shape, other: Shape, *, root: bool = False) -> Shape:
    """The least shape above both: what would have been learned from the values of both, in any order."""
    if one.mixed or other.mixed:
        return Shape(mixed=True)
    keys = [*one.fields, *(key for key in other.fields if key not in one.fields)]
    shape = Shape(
        kinds=one.kinds | other.kinds,
        whole=max(one.whole, other.whole),
        scale=max(one.scale, other.scale),
        fraction=one.fraction or other.fraction,
        beyond_64_bits=one.beyond_64_bits or other.beyond_64_bits,
        beyond_a_double=one.beyond_a_double or other.beyond_a_double,
        fields={key: joined(one.fields.get(key, Shape()), other.fields.get(key, Shape())) for key in keys},
        always=_in_both(one.always, other.always),
        items=joined(one.items or Shape(), other.items or Shape()) if one.items or other.items else None,
    )
    _settle(shape, root=root)
    return shape


def _in_both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one if other is None else other if one is None else one & other


class Leaf(Struct, frozen=True):
    """A path below which there is no more to flatten: one column, or the table of a list."""

    path: Path
    shape: Shape
    type: str | None
    empty: bool


def leaves(shape: Shape, skip: Skip = NO_SKIP, path: Path = ()) -> Iterator[Leaf]:
    """The columns (`type` set) and lists (`type` None) of a table whose records have this shape, keys sorted.

    `empty` columns hold null only so far.
    """
    for key in sorted(shape.fields):
        inner, below = shape.fields[key], skip.fields.get(key, NO_SKIP)
        if below.here:
            continue
        if not inner.mixed and "object" in inner.kinds:
            yield from leaves(inner, below, (*path, key))
        else:
            yield Leaf((*path, key), inner, scalar_type(inner), empty=not inner.mixed and not inner.kinds)


def element_leaves(items: Shape, skip: Skip = NO_SKIP) -> Iterator[Leaf]:
    """The columns and lists of the table of a list whose elements have this shape; () is the bare element.

    A list that held nothing but null so far has rows and no columns, so that whatever comes only adds some.
    """
    if items.mixed or items.kinds - {"object"}:
        yield Leaf((), items, scalar_type(items), empty=False)
    else:
        yield from leaves(items, skip)


def loses(before: Shape, after: Shape) -> bool:
    """Whether an object or a list of a shape is the text of one column in a later one, which older rows lack."""
    if before.mixed or after.mixed:
        return after.mixed and bool(before.kinds & {"object", "list"})
    if before.items is not None and after.items is not None and loses(before.items, after.items):
        return True
    return any(loses(inner, after.fields[key]) for key, inner in before.fields.items())


def shape_at(root: Shape, table: Path, path: Path) -> Shape:
    """What is known of a column: of the keys `path` in the records of the table at this list path."""
    shape = root
    for key in table:
        shape = _past_list(shape.fields.get(key, Shape()))
    for key in path:
        shape = shape.fields.get(key, Shape())
    return shape


def _past_list(shape: Shape) -> Shape:
    return shape.items or Shape() if "list" in shape.kinds else shape


def shape_of_numbers(numbers: Iterable[int | Decimal], tables: Sequence[Path], path: Path) -> Shape:
    """The shape of records with these numbers at one column; `tables` are the steps from list to list."""
    shape = Shape(kinds={"number"})
    for number in numbers:
        learn_number(shape, number)
    shape = _below(shape, path)
    for steps in reversed(tables):
        shape = _below(Shape(kinds={"list"}, items=shape), steps)
    return shape


def _below(shape: Shape, path: Path) -> Shape:
    for key in reversed(path):
        shape = Shape(kinds={"object"}, fields={key: shape})
    return shape


def to_plain(shape: Shape) -> Any:
    """The shape as JSON values, its keys and kinds sorted: equal shapes give equal text."""
    if shape.mixed:
        return "mixed"
    plain: dict[str, Any] = {"kinds": sorted(shape.kinds)}
    if "number" in shape.kinds:
        plain["number"] = [shape.whole, shape.scale, shape.fraction, shape.beyond_64_bits, shape.beyond_a_double]
    if shape.fields:
        plain["fields"] = {key: to_plain(shape.fields[key]) for key in sorted(shape.fields)}
    if shape.always is not None:
        plain["always"] = sorted(shape.always)
    if shape.items is not None:
        plain["items"] = to_plain(shape.items)
    return plain


def from_plain(plain: Any) -> Shape:
    """The shape that `to_plain` wrote.

    >>> learned = Shape()
    >>> learn(learned, {"a": [1, {"b": None}], "c": Decimal("0.5")}, root=True)
    >>> from_plain(to_plain(learned)) == learned
    True
    """
    if plain == "mixed":
        return Shape(mixed=True)
    whole, scale, fraction, beyond_64_bits, beyond_a_double = plain.get("number", (0, 0, False, False, False))
    return Shape(
        kinds=set(plain["kinds"]),
        whole=whole,
        scale=scale,
        fraction=fraction,
        beyond_64_bits=beyond_64_bits,
        beyond_a_double=beyond_a_double,
        fields={key: from_plain(inner) for key, inner in plain.get("fields", {}).items()},
        always=frozenset(plain["always"]) if "always" in plain else None,
        items=from_plain(plain["items"]) if "items" in plain else None,
    )
