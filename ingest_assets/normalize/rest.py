"""What of an element no column and no table takes, under a contract that does not take everything."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.modes import Closed, Modes
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import Registry, declared_paths, is_hidden, sensitive_places
from ingest_assets.normalize.shape import NO_LISTS, NO_SKIP, Lists, Skip
from ingest_assets.normalize.values import Unfit, shown


class Fence(Struct, frozen=True, dict=True):
    """What of the elements of one declared table is foreseen, and what is done about all else.

    `table` is where they are, and `sensitive` where values are that nobody is shown. What is at `told` says whether the
    record is a tombstone: no record is refused for it.
    """

    table: Path
    sensitive: tuple[Path, ...]
    modes: Modes
    skip: Skip
    lists: Lists
    bare: bool
    told: Path = ()

    @cached_property
    def closed(self) -> Closed:
        """What undeclared things are not taken: asked at each value."""
        return self.modes.closed

    @cached_property
    def open(self) -> bool:
        """Whether everything is taken."""
        return not any(self.closed)

    @cached_property
    def drops(self) -> bool:
        """Whether something that is not declared is merely dropped."""
        modes, closed = self.modes, self.closed
        return (closed.tables and modes.tables == "drop") or (closed.columns and modes.columns == "drop")

    def beyond(self, element: Any) -> Iterator[tuple[Path, Any, str]]:
        """What is not taken: its path, the value, and the mode that says what is done about it. Null is no value."""
        if isinstance(element, dict):
            yield from self._below(element, self.skip, self.lists, ())
        elif element is not None and not self.bare and self.closed.columns:
            yield (), element, self.modes.columns

    def _below(self, value: dict[str, Any], skip: Skip, lists: Lists, path: Path) -> Iterator[tuple[Path, Any, str]]:
        for key, inner in value.items():
            here, below = (*path, key), skip.fields.get(key, NO_SKIP)
            if below.here or inner is None:
                continue
            if isinstance(inner, dict):
                yield from self._below(inner, below, lists.fields.get(key, NO_LISTS), here)
            elif isinstance(inner, list):
                if not lists.fields.get(key, NO_LISTS).declared and self.closed.tables:
                    yield here, inner, self.modes.tables
            elif self.closed.columns:
                yield here, inner, self.modes.columns

    def refuse(self, element: Any) -> None:
        """Raises Unfit where something is not taken that is not merely dropped."""
        for path, value, mode in self.beyond(element):
            tells = bool(self.told) and path[: len(self.told)] == self.told
            if mode != "drop" and not tells:
                what = "a list" if isinstance(value, list) else "a key"
                reason = f"{'.'.join(path) or 'element'!r}: {what} that is not declared, and the contract says {mode}"
                told = None if is_hidden((*self.table, *path), self.sensitive) else shown(value)
                raise Unfit(reason, value=told, kind="broken" if mode == "freeze" else "unfit")

    def taken(self, element: Any) -> Any:
        """The element without what is not taken, as shapes are learned from it."""
        if self.open:
            return element
        for path, _, _ in list(self.beyond(element)):
            element = without(element, path)
        return element


def taken(record: Any, fenced: Mapping[Path, Fence]) -> Any:
    """The record without what is not taken, neither of itself nor of the elements of its declared lists."""
    for path in sorted(fenced, key=len):
        record = fenced[path].taken(record) if not path else _in_lists(record, path, fenced[path])
    return record


def _in_lists(value: Any, path: Path, fence: Fence) -> Any:
    if isinstance(value, list):
        return [_in_lists(item, path, fence) if path else fence.taken(item) for item in value]
    if isinstance(value, dict) and path and path[0] in value:
        return {**value, path[0]: _in_lists(value[path[0]], path[1:], fence)}
    return value


def without(value: Any, path: Path) -> Any:
    """An object without what is at this path, nor objects that are empty without it.

    >>> without({"a": {"b": 1}, "c": {"d": 2, "e": 3}}, ("a", "b")), without({"a": {"b": 1, "c": 2}}, ("a", "b"))
    ({'c': {'d': 2, 'e': 3}}, {'a': {'c': 2}})
    """
    if not path:
        return None
    left = {key: inner for key, inner in value.items() if key != path[0]}
    if len(path) == 1:
        return left
    inner = without(value[path[0]], path[1:])
    return {**value, path[0]: inner} if inner else left


def nested(pairs: list[tuple[Path, Any]]) -> Any:
    """Values at their paths, as one object; the value itself at the path ().

    >>> nested([(("a", "b"), 1), (("a", "c"), 2)])
    {'a': {'b': 1, 'c': 2}}
    """
    whole: dict[str, Any] = {}
    for path, value in pairs:
        if not path:
            return value
        at = whole
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return whole


def fences(contract: Contract, registry: Registry) -> dict[Path, Fence]:
    """The fences of the root table and of each declared list, by path; those that take everything are left out."""
    root, lists = declared_paths(registry, contract)
    told = () if contract.deleted is None else tuple(contract.deleted.path.split("."))
    sensitive = sensitive_places(registry, contract)
    found: dict[Path, Fence] = {(): Fence((), sensitive, contract.modes, root, lists, bare=False, told=told)}
    for dotted in contract.children:
        node, path = lists, tuple(dotted.split("."))
        for key in path:
            node = node.fields[key]
        found[path] = Fence(path, sensitive, contract.modes_of(path), node.columns, node, node.bare)
    return {path: fence for path, fence in found.items() if not fence.open}
