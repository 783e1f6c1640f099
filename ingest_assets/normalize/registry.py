"""What an endpoint's records looked like so far, and how each path was named: once, and for ever.

The registry is part of what decides a table's content, beside the responses and the contract. It is kept
in the warehouse and committed with the rows that it was made for.
"""

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.column import Column
from ingest_assets.contract import Contract
from ingest_assets.normalize.names import Path, asks_for, cleaned, column_name, free_name, shortened, table_name
from ingest_assets.normalize.shape import (
    Leaf,
    Lists,
    Shape,
    Skip,
    element_leaves,
    from_plain,
    joined,
    leaves,
    to_plain,
)

REST = "_rest"
"""The column of what a contract drops: JSON, exactly as it came."""

_Key = TypeVar("_Key", bound=Hashable)


class ColumnSpec(Struct, frozen=True):
    """A column: its name, DuckDB type in small letters, and the keys that lead to it from the table's record.

    An `empty` column held null only so far. It is not in batches, and may still become anything: another
    type, several columns, or a table. The path () is the bare element of a list. `rest` is the column of what was
    dropped: it is nowhere in the record.
    """

    name: str
    type: str
    path: Path
    declared: bool = False
    sensitive: bool = False
    description: str | None = None
    empty: bool = False
    rest: bool = False


class TableSpec(Struct, frozen=True):
    """A table: the root (path ()), or that of a list. Nested lists' paths concatenate.

    `steps` lead from the parent's record to the list. `list_hash` is the column of the staged root table that has the
    hash of the list's text, and null where it did not come: of a nested list, the one of the list around it.
    """

    name: str
    path: Path
    parent: str | None
    steps: Path
    list_hash: str | None
    columns: tuple[ColumnSpec, ...]


class Registry(Struct, frozen=True):
    """The shape of an endpoint's records, and the names settled for its columns and tables.

    `columns` is by table path and column path, `names` by table path.
    """

    shape: Shape = field(default_factory=Shape)
    columns: Mapping[tuple[Path, Path], str] = field(default_factory=dict)
    names: Mapping[Path, str] = field(default_factory=dict)
    version: int = 0

    @classmethod
    def empty(cls) -> "Registry":
        """The registry of an endpoint that was never fetched."""
        return cls()

    def tables(self, endpoint: str, contract: Contract) -> tuple[TableSpec, ...]:
        """The endpoint's tables under a contract, parents before children; columns declared first."""
        return tuple(_specs(self.settled(endpoint, contract), endpoint, contract))

    def settled(self, endpoint: str, contract: Contract) -> "Registry":
        """The registry with a name for every column and table. A name that is settled stays, unless the
        contract gives it to another path."""
        names, columns = dict(self.names), dict(self.columns)
        for table in found_tables(self, contract):
            if table.path not in names:
                names[table.path] = free_name(table_name(endpoint, table.path), set(names.values()))
            own = () if table.path else contract.own_names
            _settle_columns(columns, table, {*declared_columns(contract, table.path), *own})
        if names == self.names and columns == self.columns:
            return self
        return replace(self, names=names, columns=columns, version=self.version + 1)

    def learned(self, shape: Shape, bound: Mapping[tuple[Path, Path], str]) -> "Registry":
        """The registry that also knows this shape, and these paths of columns declared by name alone."""
        wider = joined(self.shape, shape, root=True)
        if wider == self.shape and not bound:
            return self
        return replace(self, shape=wider, columns={**self.columns, **bound}, version=self.version + 1)

    def joined(self, other: "Registry") -> "Registry":
        """What both know. Where both named a path, this registry's name stays.

        >>> Registry.empty().joined(Registry.empty()) == Registry.empty()
        True
        """
        both = replace(
            self,
            shape=joined(self.shape, other.shape, root=True),
            columns=_agreed(self.columns, other.columns, lambda key: key[0]),
            names=_agreed(self.names, other.names, lambda _: None),
        )
        if both == self:
            return self
        if (both.shape, both.columns, both.names) == (other.shape, other.columns, other.names):
            return other
        return replace(both, version=max(self.version, other.version) + 1)

    def to_json(self) -> str:
        """The registry as text. Equal registries give equal text."""
        return json.dumps(
            {
                "version": self.version,
                "shape": to_plain(self.shape),
                "columns": sorted([list(table), list(path), name] for (table, path), name in self.columns.items()),
                "names": sorted([list(path), name] for path, name in self.names.items()),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> "Registry":
        """The registry that `to_json` wrote.

        >>> Registry.from_json(Registry.empty().to_json()) == Registry.empty()
        True
        """
        plain: dict[str, Any] = json.loads(text)
        return cls(
            shape=from_plain(plain["shape"]),
            columns={(tuple(table), tuple(path)): name for table, path, name in plain["columns"]},
            names={tuple(path): name for path, name in plain["names"]},
            version=plain["version"],
        )


def _agreed(mine: Mapping[_Key, str], theirs: Mapping[_Key, str], scope: Callable[[_Key], Hashable]) -> dict[_Key, str]:
    taken = {(scope(key), name) for key, name in mine.items()}
    return {**{key: name for key, name in theirs.items() if (scope(key), name) not in taken}, **mine}


class FoundTable(Struct, frozen=True):
    """A table as shape and contract make it, before names: its undeclared columns, and where its list is."""

    path: Path
    parent: Path | None
    steps: Path
    columns: tuple[Leaf, ...]


def found_tables(registry: Registry, contract: Contract) -> list[FoundTable]:
    """All tables of an endpoint, parents before children, each list's in the order of its keys."""
    skip, lists = declared_paths(registry, contract)
    return list(_found(contract, (), None, (), leaves(registry.shape, skip), lists))


def _found(
    contract: Contract, path: Path, parent: Path | None, steps: Path, all_leaves: Iterable[Leaf], lists: Lists
) -> Iterator[FoundTable]:
    columns, seen = [], {}
    closed, nearest = contract.closed(path), set(_nearest(lists))
    for leaf in all_leaves:
        if leaf.type is not None:
            columns += [leaf] if not closed.columns else []
        elif not closed.tables or leaf.path in nearest:
            seen[leaf.path] = leaf.shape.items or Shape()
    declared = {at for at in nearest if not any(at[:n] in seen for n in range(1, len(at)))}
    yield FoundTable(path, parent, steps, tuple(leaf for leaf in columns if leaf.path not in declared))
    for at in sorted(declared | seen.keys()):
        below = lists
        for key in at:
            below = below.fields.get(key, Lists())
        yield from _found(contract, (*path, *at), path, at, element_leaves(seen.get(at, Shape()), below.columns), below)


def _nearest(lists: Lists) -> Iterator[Path]:
    for key, below in lists.fields.items():
        if below.declared:
            yield (key,)
        else:
            yield from ((key, *rest) for rest in _nearest(below))


def declared_columns(contract: Contract, table: Path) -> Mapping[str, Column]:
    """What the contract declares of the table at this list path, () for the root."""
    if not table:
        return contract.columns
    children = contract.children.get(".".join(table))
    return children.columns if children else {}


def declared_path(registry: Registry, table: Path, name: str, column: Column) -> Path | None:
    """Where a declared column's value is: as declared, or as settled by name; None while it was never seen.

    () is a list's bare element, or the key `value` of an element that is an object. A column of the partition, or
    of the parent, is nowhere in the record.
    """
    if column.given:
        return None
    if column.path is not None:
        return tuple(column.path.split("."))
    if table and name == "value":
        return ()
    return next((path for (of, path), settled in registry.columns.items() if of == table and settled == name), None)


def sensitive_places(registry: Registry, contract: Contract) -> tuple[Path, ...]:
    """Where in a record the values of sensitive columns are, by name where none was seen yet; lists are no step."""
    places = []
    for table in ((), *(tuple(dotted.split(".")) for dotted in contract.children)):
        for name, column in declared_columns(contract, table).items():
            if column.sensitive:
                path = declared_path(registry, table, name, column)
                places.append((*table, *((name,) if path is None else path)))
    return tuple(places)


def is_hidden(place: Path, sensitive: Iterable[Path]) -> bool:
    """Whether what is at a place is inside of what is sensitive, or around it.

    >>> [is_hidden(place, [("a", "b")]) for place in (("a",), ("a", "b", "c"), ("a", "c"))]
    [True, True, False]
    """
    return any(path[: len(place)] == place[: len(path)] for path in sensitive)


def declared_paths(registry: Registry, contract: Contract) -> tuple[Skip, Lists]:
    """The declared columns of the root table, and the declared child tables with theirs, as trees."""
    root, lists = Skip(), Lists()
    _insert(root, registry, (), contract.columns)
    for dotted, children in contract.children.items():
        path, node = tuple(dotted.split(".")), lists
        for key in path:
            node = node.fields.setdefault(key, Lists())
        node.declared = True
        node.bare = "value" in children.columns and children.columns["value"].path is None
        _insert(node.columns, registry, path, children.columns)
    return root, lists


def _insert(skip: Skip, registry: Registry, table: Path, columns: Mapping[str, Column]) -> None:
    for name, column in columns.items():
        path = declared_path(registry, table, name, column)
        if path is not None:
            node = skip
            for key in path or ("value",):
                node = node.fields.setdefault(key, Skip())
            node.here = True


def bindings(
    registry: Registry, contract: Contract, tables: Mapping[Path, Iterable[Any]]
) -> dict[tuple[Path, Path], str]:
    """New places of columns that are declared, or part of the key, by name alone, found in these elements.

    Where several paths ask for one name, the one spelled like it goes first, then the first in order. Where several
    names ask for one path, a declared column takes it, and the key is without: no value is in two columns.
    """
    bound: dict[tuple[Path, Path], str] = {}
    for table, found in tables.items():
        named = {path: name for (of, path), name in registry.columns.items() if of == table}
        alone, declared = _named_alone(contract, table) - set(named.values()), declared_columns(contract, table)
        told = found if alone else ()
        asking = {(name, path) for element in told for name in alone for path in _asking(element, name, ())}
        for name, path in sorted(asking, key=lambda one: (one[0] not in declared, *_by_spelling(*one), one[0])):
            if name in alone and path not in named:
                named[path] = bound[table, path] = name
                alone.remove(name)
    return bound


def _named_alone(contract: Contract, table: Path) -> set[str]:
    columns = declared_columns(contract, table)
    alone = {
        name
        for name, column in columns.items()
        if column.path is None and not column.given and not (table and name == "value")
    }
    return alone if table else alone | (set(contract.primary_key) - columns.keys())


def _by_spelling(name: str, path: Path) -> tuple[bool, Path]:
    return "__".join(path) != name, path


def _asking(element: Any, name: str, path: Path) -> Iterator[Path]:
    if not isinstance(element, dict):
        return
    for key, inner in element.items():
        here = (*path, key)
        if asks_for(here, name):
            yield here
        elif isinstance(inner, dict) and name.startswith("__".join(map(cleaned, here))):
            yield from _asking(inner, name, here)


def _settle_columns(columns: dict[tuple[Path, Path], str], table: FoundTable, given: Collection[str]) -> None:
    kept = {name.lower() for name in given}
    mine = {path: name for (of, path), name in columns.items() if of == table.path and path}
    new = [leaf.path for leaf in table.columns if mine.get(leaf.path, "").lower() in {"", *kept}]
    taken = kept | {name.lower() for name in mine.values()}
    for path in sorted(new, key=lambda path: _by_spelling(column_name(path), path)):
        columns[table.path, path] = name = free_name(column_name(path), taken if path else kept)
        taken.add(name.lower())


def _specs(registry: Registry, endpoint: str, contract: Contract) -> Iterator[TableSpec]:
    hashes: dict[Path, str] = {}
    for table in found_tables(registry, contract):
        name = registry.names[table.path]
        if table.path:
            own = shortened(f"_hash__{name.removeprefix(f'{endpoint}__')}", name)
            hashes[table.path] = hashes.get(table.parent or (), own)
        yield TableSpec(
            name=name,
            path=table.path,
            parent=None if table.parent is None else registry.names[table.parent],
            steps=table.steps,
            list_hash=hashes.get(table.path),
            columns=(
                *_declared_specs(registry, contract, table.path),
                *_learned_specs(registry, table),
                *_rest_specs(contract, table.path),
            ),
        )


def _declared_specs(registry: Registry, contract: Contract, table: Path) -> Iterator[ColumnSpec]:
    for name, column in declared_columns(contract, table).items():
        path = declared_path(registry, table, name, column)
        yield ColumnSpec(
            name=name,
            type=column.type,
            path=(name,) if path is None else path,
            declared=True,
            sensitive=column.sensitive,
            description=column.description,
        )


def _rest_specs(contract: Contract, table: Path) -> Iterator[ColumnSpec]:
    columns, modes = declared_columns(contract, table).values(), contract.modes_of(table)
    dropping = any((column.unfit or modes.unfitting) == "drop" for column in columns)
    closed = contract.closed(table)
    if dropping or (closed.columns and modes.columns == "drop") or (closed.tables and modes.tables == "drop"):
        yield ColumnSpec(REST, "json", (), sensitive=any(column.sensitive for column in columns), rest=True)


def _learned_specs(registry: Registry, table: FoundTable) -> Iterator[ColumnSpec]:
    for leaf in table.columns:
        yield ColumnSpec(
            name=registry.columns[table.path, leaf.path], type=leaf.type or "varchar", path=leaf.path, empty=leaf.empty
        )
