"""What a contract drops, taken out of the texts of records: what is left of them the quick way may read.

    {"id":1,"x":[2],"o":{"a":1,"y":3}} ──► {"id":1,"o":{"a":1}}      as if the record had been that
                                       └─► {"x":[2],"o":{"y":3}}     its `_rest`

The rules are those of `rest`, which takes exact values apart. A record that these refuse, or that cannot be taken apart
here, goes the exact way.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from json.encoder import encode_basestring
from typing import Any

from msgspec import Struct, field

from ingest_assets.contract import Tombstone
from ingest_assets.http.decoders.parsing import UNREADABLE, raw_list, raw_object
from ingest_assets.modes import Closed
from ingest_assets.normalize.exact import exact_value
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.proofs import has_no_twins, keys_in
from ingest_assets.normalize.rest import Fence
from ingest_assets.normalize.rows import Plan, TablePlan, equals
from ingest_assets.normalize.shape import NO_LISTS, NO_SKIP, Lists, Skip
from ingest_assets.normalize.values import Unfit

_NOTHING = b"null"
_NULL, _OBJECT, _LIST = b"n{["
# Keys that are quickly counted are told by what is before a colon: written anew, such a key may count for more.
_MISCOUNTED = re.compile(r'(?:^|[\x00-"]):')


class Left(Struct):
    """What is left of some records: their texts, and the number of values dropped from each.

    `rests` are the texts of what was dropped, by table: for each record, those of its elements; null where there is
    nothing. `depths` says how many levels deep in its record such an element is. `deleted` is whether each record is a
    tombstone, where that is told by what was dropped; else it is empty. Records that are `apart` are to be taken as
    they came, and exactly.
    """

    texts: list[Any]
    rests: dict[Path, list[Sequence[bytes]]]
    depths: Mapping[Path, int]
    dropped: list[int]
    deleted: list[bool] = field(default_factory=list)
    apart: set[int] = field(default_factory=set)

    def of(self, places: Sequence[int]) -> "Left":
        """The same of some of the records."""
        return Left(
            [self.texts[place] for place in places],
            {table: [rests[place] for place in places] for table, rests in self.rests.items()},
            self.depths,
            [self.dropped[place] for place in places],
            [self.deleted[place] for place in places] if self.deleted else [],
        )

    def rows(self, table: Path) -> list[bytes]:
        """What was dropped of each row of a table."""
        return list(chain.from_iterable(self.rests[table]))


class _Apart(Exception):
    """A record that goes the exact way."""


class _Level(Struct, dict=True):
    """The elements of one table: what is done about them, where the lists below are, and what was dropped of each."""

    path: Path
    depth: int
    fence: Fence | None
    below: "_Into"
    rests: list[bytes] = field(default_factory=list)

    @cached_property
    def closed(self) -> Closed:
        """What undeclared things are not taken."""
        return _OPEN if self.fence is None else self.fence.closed

    @cached_property
    def drops_lists(self) -> bool | None:
        """Whether an undeclared list is dropped; None where more than that is done about it."""
        return self._drops(self.closed.tables, "" if self.fence is None else self.fence.modes.tables)

    @cached_property
    def drops_values(self) -> bool | None:
        """The same of a value that is no list."""
        return self._drops(self.closed.columns, "" if self.fence is None else self.fence.modes.columns)

    def drops(self, first: int) -> bool:
        """Whether an undeclared value that begins so is dropped; _Apart where more than that is done about it."""
        drops = self.drops_lists if first == _LIST else self.drops_values
        if drops is None:
            raise _Apart
        return drops

    def _drops(self, closed: bool, mode: str) -> bool | None:
        return closed if mode == "drop" or not closed else None


class _Into(Struct):
    """A tree of keys to the lists of an element whose elements are looked at, too."""

    level: _Level | None = None
    fields: dict[str, "_Into"] = field(default_factory=dict)


class _Found(Struct):
    """What is counted of one record: values that were dropped, and objects that are in what is left and in the rest."""

    dropped: int = 0
    parted: int = 0


_OPEN = Closed()
_NO_INTO = _Into()


class Dropping:
    """Takes out of records what the fences of a plan's tables have dropped."""

    def __init__(self, plan: Plan) -> None:
        self._root = _level(plan, plan.root, 0)
        self._levels = _levels(self._root)
        self._deleted = plan.deleted if _drops_what_tells(plan) else None

    @classmethod
    def of_plan(cls, plan: Plan) -> "Dropping | None":
        """None where a plan drops nothing that is not declared."""
        drops = any(table.fence is not None and table.fence.drops for table in plan.tables)
        return cls(plan) if drops else None

    def left(self, texts: Sequence[Any]) -> Left:
        """What is left of the records of these texts."""
        fenced = [level for level in self._levels if level.fence is not None]
        left = Left([], {level.path: [] for level in fenced}, {level.path: level.depth for level in fenced}, [])
        changed = dict[int, _Found]()
        for place, text in enumerate(texts):
            found = _Found()
            try:
                kept, rest = self._object(text, self._root, found)
            except (*UNREADABLE, _Apart):
                left.apart.add(place)
                kept, rest, found = text, None, _Found()
            self._root.rests.append(rest or _NOTHING)
            if found.dropped:
                changed[place] = found
            left.texts.append(kept)
            left.dropped.append(found.dropped)
            if self._deleted is not None:
                left.deleted.append(found.dropped > 0 and _says(text, self._deleted))
            for level in fenced:
                left.rests[level.path].append(level.rests)
            for level in self._levels:
                level.rests = []
        left.apart |= _with_twins(texts, left, changed)
        return left

    def _object(self, text: Any, level: _Level, found: _Found) -> tuple[Any, bytes | None]:
        fence = level.fence
        skip, lists = (NO_SKIP, NO_LISTS) if fence is None else (fence.skip, fence.lists)
        return self._below(text, level, skip, lists, level.below, found)

    def _below(
        self, text: Any, level: _Level, skip: Skip, lists: Lists, into: _Into, found: _Found
    ) -> tuple[Any, bytes | None]:
        """What is left of an object, the text itself where that is all of it, and what is dropped."""
        kept, gone, changed = list[tuple[str, bytes]](), list[bytes](), False
        declared = skip.fields
        for key, value in raw_object.decode(text).items():
            inner, below, listed = bytes(value), declared.get(key, NO_SKIP), lists.fields.get(key, NO_LISTS)
            first = inner[0]
            if below.here or first == _NULL:
                kept.append((key, inner))
            elif listed.declared and first != _LIST:
                raise _Apart  # it is set aside
            elif first == _OBJECT:
                left, rest = self._below(inner, level, below, listed, into.fields.get(key, _NO_INTO), found)
                changed = changed or left is not inner
                if rest is not None:
                    gone.append(_named(key) + rest)
                if rest is None or left != b"{}":
                    found.parted += rest is not None
                    kept.append((key, left))
            elif first == _LIST and (listed.declared or not level.closed.tables):
                beneath = into.fields.get(key, _NO_INTO).level
                left = inner if beneath is None else self._list(inner, beneath, found)
                changed = changed or left is not inner
                kept.append((key, left))
            elif level.drops(first):
                found.dropped += 1
                changed = True
                gone.append(_named(key) + inner)
            else:
                kept.append((key, inner))
        if not changed:
            return text, None
        left = b"{%s}" % b",".join([_named(key) + inner for key, inner in kept])
        return left, b"{%s}" % b",".join(gone) if gone else None

    def _list(self, text: bytes, level: _Level, found: _Found) -> bytes:
        """What is left of a list whose elements are rows of a table."""
        kept, changed = list[bytes](), False
        for value in raw_list.decode(text):
            inner = bytes(value)
            left, rest = self._element(inner, level, found)
            changed = changed or left is not inner
            kept.append(left)
            level.rests.append(rest or _NOTHING)
        return b"[%s]" % b",".join(kept) if changed else text

    def _element(self, text: bytes, level: _Level, found: _Found) -> tuple[bytes, bytes | None]:
        if text[0] == _OBJECT:
            return self._object(text, level, found)
        if text[0] == _NULL or level.fence is None or level.fence.bare or level.drops_values is False:
            return text, None
        if level.drops_values is None:
            raise _Apart
        found.dropped += 1
        return _NOTHING, text


def _drops_what_tells(plan: Plan) -> bool:
    """Whether what says that a record is a tombstone is in no column, and dropped."""
    fence = plan.root.fence
    if plan.deleted is None or fence is None or not (fence.closed.columns and fence.modes.columns == "drop"):
        return False
    at = fence.skip
    for key in plan.deleted.path.split("."):
        at = at.fields.get(key, NO_SKIP)
        if at.here:
            return False
    return True


def _says(text: Any, tombstone: Tombstone) -> bool:
    """Whether the record of this text is a tombstone; False also for what cannot be read: that is no quick record."""
    try:
        for key in tombstone.path.split("."):
            text = bytes(raw_object.decode(text)[key])
        return equals(exact_value(text), tombstone)
    except (*UNREADABLE, KeyError, Unfit):
        return False


def _level(plan: Plan, table: TablePlan, depth: int) -> _Level:
    level = _Level(table.spec.path, depth, table.fence, _Into())
    for child in plan.tables:
        if child.spec.parent == table.spec.name:
            below = _level(plan, child, depth + len(child.spec.steps) + 1)
            if below.fence is not None or below.below.fields:
                at = level.below
                for key in child.spec.steps:
                    at = at.fields.setdefault(key, _Into())
                at.level = below
    return level


def _levels(level: _Level) -> list[_Level]:
    return [level, *chain.from_iterable(map(_levels, _next(level.below)))]


def _next(into: _Into) -> list[_Level]:
    here = [] if into.level is None else [into.level]
    return [*here, *chain.from_iterable(map(_next, into.fields.values()))]


def _with_twins(texts: Sequence[Any], left: Left, changed: Mapping[int, _Found]) -> set[int]:
    """The records in which a key stands twice: of two, the decoder keeps one, so that there is less than there was."""
    if not changed:
        return set()
    before = b"\n".join([texts[place] for place in changed])
    after = b"\n".join([part for place in changed for part in _parts(left, place)])
    if has_no_twins([before], [after], -sum(found.parted for found in changed.values())):
        return set()
    return {
        place
        for place, found in changed.items()
        if keys_in(bytes(texts[place])) != sum(map(keys_in, _parts(left, place))) - found.parted
    }


def _parts(left: Left, place: int) -> list[bytes]:
    return [left.texts[place], *chain.from_iterable(rests[place] for rests in left.rests.values())]


@lru_cache(maxsize=10_000)
def _named(key: str) -> bytes:
    """The text of a key and its colon; _Apart for one that may be miscounted."""
    if _MISCOUNTED.search(key):
        raise _Apart
    return encode_basestring(key).encode() + b":"
