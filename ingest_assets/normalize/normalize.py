"""Blocks of records in, Arrow tables out: rows, child rows, and what does not fit.

block ──► exact records ──► check declared ──► learn the rest ──► registry ──► plan ──► tables
                └── Unfit ────────┴──► quarantined
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ingest_assets.contract import Contract
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import Registry, TableSpec, bindings, declared_paths
from ingest_assets.normalize.rows import Plan, check, exact_tables, plan_for
from ingest_assets.normalize.shape import Shape, learn
from ingest_assets.normalize.values import Unfit


class Records(Protocol):
    """A block of records: the text of a JSON array or of JSON lines, from position `first` of its page on."""

    @property
    def text(self) -> bytes: ...
    @property
    def lines(self) -> bool: ...
    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    def records(self) -> Sequence[Any]:
        """The text of each record, as bytes or what gives a view of bytes."""


@dataclass(frozen=True)
class Quarantined:
    """A record that did not fit: where it stood, why, and its text. `value` is short, and None if sensitive."""

    page: int
    position: int
    reason: str
    column: str | None
    value: str | None
    record: bytes


@dataclass(frozen=True)
class Batch:
    """What one block became: a table each for those that have rows, by name, and the rest of its records.

    A column that is not there is all null: it was not known yet. received = root rows + quarantined.
    """

    tables: dict[str, pa.Table]
    quarantined: list[Quarantined]
    received: int


class Widened(Exception):
    """A column already given out needs another type: start the fetch again with `registry`, which knows it."""

    def __init__(self, registry: Registry) -> None:
        super().__init__("a column already given out needs another type")
        self.registry = registry


Good = tuple[int, bytes, dict[str, Any]]


class Normalizer:
    """Turns the blocks of one fetch, in order, into batches. Ordinals count up over the whole fetch.

    `registry` knows all that the batches so far needed; `specs` are the endpoint's tables under it.
    """

    def __init__(self, endpoint: str, contract: Contract, registry: Registry) -> None:
        self.endpoint = endpoint
        self.contract = contract
        self.registry = registry.settled(endpoint, contract)
        self._plan = plan_for(endpoint, contract, self.registry)
        self._counts: dict[str, int] = {}

    @property
    def specs(self) -> tuple[TableSpec, ...]:
        """The tables as they are known so far, parents before children."""
        return tuple(table.spec for table in self._plan.tables)

    def batch(self, block: Records, page: int) -> Batch:
        """The rows and the quarantined records of one block of a page.

        Raises Widened where a column of an earlier batch, or of the registry at the start, must change its
        type; columns and tables that are new raise nothing.
        """
        raws = [bytes(raw).strip(b" \t\r\n") for raw in block.records()]
        parsed, quarantined = _parsed(raws, page, block.first)
        registry, good, unfit = _learned(self.endpoint, self.contract, self.registry, parsed)
        quarantined += [_quarantined(raws[place], page, block.first + place, error) for place, error in unfit]
        self._take(registry)
        located = [(block.first + place, raw, record) for place, raw, record in good]
        tables = exact_tables(self._plan, self._counts, page, located)
        return Batch(tables, sorted(quarantined, key=lambda one: one.position), len(raws))

    def _take(self, registry: Registry) -> None:
        if registry != self.registry:
            plan = plan_for(self.endpoint, self.contract, registry)
            if not only_adds(self._plan, plan):
                raise Widened(registry)
            self.registry, self._plan = registry, plan


def only_adds(before: Plan, after: Plan) -> bool:
    """Whether all columns of a plan are in the other, at the same place and of the same type."""
    tables = {table.spec.path: table for table in after.tables}
    for table in before.tables:
        now = tables.get(table.spec.path)
        if now is None or (now.spec.name, now.spec.parent) != (table.spec.name, table.spec.parent):
            return False
        if not table.schema.items() <= now.schema.items():
            return False
    return True


def _parsed(raws: Sequence[bytes], page: int, first: int) -> tuple[list[Good], list[Quarantined]]:
    good, bad = [], []
    for place, raw in enumerate(raws):
        try:
            good.append((place, raw, exact(raw)))
        except Unfit as error:
            bad.append(_quarantined(raw, page, first + place, error))
    return good, bad


def _quarantined(raw: bytes, page: int, position: int, error: Unfit) -> Quarantined:
    return Quarantined(page, position, error.reason, error.column, error.value, raw)


def _learned(
    endpoint: str, contract: Contract, registry: Registry, parsed: Sequence[Good]
) -> tuple[Registry, list[Good], list[tuple[int, Unfit]]]:
    """The registry that knows these records, those that fit, and the places of those that do not with the reason."""
    registry = _bound(endpoint, contract, registry, parsed)
    plan = plan_for(endpoint, contract, registry)
    skip, lists = declared_paths(registry, contract)
    shape, good, unfit = Shape(), [], []
    for place, raw, record in parsed:
        try:
            check(plan, record)
        except Unfit as error:
            unfit.append((place, error))
        else:
            good.append((place, raw, record))
            learn(shape, record, skip, lists, root=True)
    return registry.learned(shape, {}).settled(endpoint, contract), good, unfit


def _bound(endpoint: str, contract: Contract, registry: Registry, parsed: Sequence[Good]) -> Registry:
    """The registry in which columns declared by name alone, and those of the key, have their place."""
    tables: dict[Path, list[Any]] = {(): [record for _, _, record in parsed]}
    for dotted in contract.children:
        path = tuple(dotted.split("."))
        tables[path] = [item for _, _, record in parsed for item in items_at(record, path)]
    return registry.learned(Shape(), bindings(registry, contract, tables)).settled(endpoint, contract)


def items_at(value: Any, path: Path) -> Iterator[Any]:
    """The elements of all lists at a list path, which lists on the way do not interrupt.

    >>> list(items_at({"lines": [{"taxes": [1, 2]}, {"taxes": [3]}]}, ("lines", "taxes")))
    [1, 2, 3]
    """
    if isinstance(value, list):
        for item in value:
            yield from items_at(item, path) if path else (item,)
    elif isinstance(value, dict) and path:
        yield from items_at(value.get(path[0]), path[1:])
