"""Blocks of records in, Arrow tables out: rows, child rows, and what does not fit.

block ──► all at once, as columns (`fast`) ─────────────────────────► tables
             └── what does not fit: exact records (`exact`), checked, ──┘
                 and learned into the registry, or quarantined
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.normalize.arrays import Misfit, Twins
from ingest_assets.normalize.collecting import uncollected
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.fast import Fast
from ingest_assets.normalize.layout import Unsuited
from ingest_assets.normalize.pieces import Columns
from ingest_assets.normalize.reading import Reading, Records, registry_after
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.normalize.rows import Plan, exact_tables, lacking, of_parent, plan_for
from ingest_assets.normalize.shape import Shape, joined, loses
from ingest_assets.normalize.tables import fast_tables, in_order
from ingest_assets.normalize.values import Unfit, UnfitKind


class Quarantined(Struct, frozen=True):
    """A record that did not fit: where it stood, why, and its text. `value` is short, and None if sensitive.

    `kind` is that of `Unfit`; `lacks` are the columns that need a value and have no key in it, if it can be read.
    """

    page: int
    position: int
    reason: str
    column: str | None
    value: str | None
    record: bytes
    kind: UnfitKind = "unfit"
    lacks: tuple[str, ...] = ()


class Batch(Struct, frozen=True):
    """What one block became: a table each for those that have rows, by name, and the rest of its records.

    A column that is not there is all null: it was not known yet. received = root rows + quarantined. `dropped` counts
    values that the contract leaves out.
    """

    tables: dict[str, pa.Table]
    quarantined: list[Quarantined]
    received: int
    dropped: int = 0


class Widened(Exception):
    """A column already given out needs another type: start the fetch again with `registry`, which knows it."""

    def __init__(self, registry: Registry) -> None:
        super().__init__("a column already given out needs another type")
        self.registry = registry


Part = tuple[list[int], Columns | None]

_SAMPLE = 200  # of many records that do not fit, about so many are learned from before the rest is tried again
_FEW = 8


class Normalizer:
    """Turns the blocks of one fetch, in order, into batches. Ordinals count up over the whole fetch.

    `registry` knows all that the batches so far needed; `specs` are the endpoint's tables under it. `quick=False`
    takes every record by itself: slower by far, with the same result. `partition` has the value of each dimension
    of the fetch's partition, for columns that take it. `counts` are the rows so far, by table, and `fast` is the quick
    way where there is one.
    """

    def __init__(
        self,
        endpoint: str,
        contract: Contract,
        registry: Registry,
        partition: Mapping[str, str] | None = None,
        *,
        quick: bool = True,
    ) -> None:
        self.endpoint = endpoint
        self._partition = dict(partition or {})
        self.contract = contract
        self.registry = registry.settled(endpoint, contract)
        self._plan = plan_for(endpoint, contract, self.registry, self._partition)
        self.counts: dict[str, int] = {}
        self._quick = quick
        self.fast: Fast | None = None
        self.fast = self._faster()

    @property
    def specs(self) -> tuple[TableSpec, ...]:
        """The tables as they are known so far, parents before children."""
        return tuple(table.spec for table in self._plan.tables)

    def of_page(self, parent: Mapping[str, str]) -> None:
        """From now on blocks are of a page of this parent: what its columns hold, by their names."""
        self._partition.update({of_parent(name): value for name, value in parent.items()})

    def batch(self, block: Records, page: int) -> Batch:
        """The rows and the quarantined records of one block of a page.

        Raises Widened where a column of an earlier batch, or of the registry at the start, must change its
        type; columns and tables that are new raise nothing.
        """
        with uncollected():
            reading = Reading(block, list(block.records()), self.registry, self._plan)
            parts = self._parts(reading)
            while self._learned(reading, parts):
                parts = self._parts(reading)
            tables, dropped = self._tables(reading, parts, page)
        return Batch(tables, self._quarantined(reading, page), len(reading.texts), dropped)

    def _quarantined(self, reading: Reading, page: int) -> list[Quarantined]:
        return [
            Quarantined(
                page,
                reading.block.first + place,
                why.reason,
                why.column,
                why.value,
                bytes(reading.texts[place]),
                why.kind,
                tuple(lacking(self._plan, reading.exact[place])) if place in reading.exact else (),
            )
            for place, why in sorted(reading.unfit.items())
        ]

    def _parts(self, reading: Reading) -> list[Part]:
        """The block's records, less those that do not fit: such as are columns, and such as have to go one by one."""
        places = [place for place in range(len(reading.texts)) if place not in reading.unfit]
        if self.fast is None or not places or not self._given_fit():
            return [(places, None)]
        reading.left = self.fast.left(reading.texts)
        looked_at = reading.block.flaws.keys() | (reading.left.apart if reading.left is not None else ())
        quick = [place for place in places if place not in looked_at]
        if not quick:
            return [(places, None)]
        structs = dict(zip(quick, _decoded(self.fast, reading, quick), strict=True))
        pairs = [(place, structs.get(place)) for place in places]
        apart = [place for place, struct in pairs if struct is None]
        parts = _columns(self.fast, reading, [pair for pair in pairs if pair[1] is not None])
        if apart:
            parts.append((apart, None))
        if len(parts) == 1 and parts[0][1] is not None:
            self.fast.tighten(parts[0][1], [reading.texts[place] for place in parts[0][0]])
        return parts

    def _given_fit(self) -> bool:
        """Whether what is the same in all rows of a page fits: if not, each record is set aside, one by one."""
        try:
            for table in self._plan.tables:
                for column in table.columns:
                    if column.given_by is not None:
                        column.value(None)
        except Unfit:
            return False
        return True

    def _learned(self, reading: Reading, parts: Sequence[Part]) -> bool:
        """Learns from what did not go the quick way. Whether that changes how the block is to be read."""
        slow = [place for places, columns in parts if columns is None for place in places if place not in reading.exact]
        numbers = [columns.numbers for _, columns in parts if columns is not None and columns.numbers.kinds]
        if not slow and not numbers:
            return False
        sampled = self._quick and not reading.exact and len(slow) > 2 * _SAMPLE
        for place in slow[:: len(slow) // _SAMPLE] if sampled else slow:
            reading.parse(place)
        for shape in numbers:
            reading.numbers = joined(reading.numbers, shape, root=True)
        registry = registry_after(self.endpoint, self.contract, reading, self._partition)
        return self._take(registry, reading.registry, reading.plan) or sampled

    def learn(self, numbers: Shape) -> bool:
        """Learns what a block's columns tell of numbers. Whether they stay as they are; raises Widened."""
        registry = self.registry.learned(numbers, {}).settled(self.endpoint, self.contract)
        return not self._take(registry, self.registry, self._plan)

    def _take(self, registry: Registry, before: Registry, planned: Plan) -> bool:
        """Goes on with this registry. Whether the plan is another one; raises Widened where it does more than add."""
        if registry == self.registry:
            return False
        plan = plan_for(self.endpoint, self.contract, registry, self._partition)
        if not only_adds(planned, plan) or loses(before.shape, registry.shape):
            raise Widened(registry)
        changed = tuple(table.spec for table in plan.tables) != self.specs
        self.registry, self._plan = registry, plan
        self.fast = self._faster()
        return changed

    def _faster(self) -> Fast | None:
        if not self._quick or not self.registry.shape.kinds:
            return None
        try:
            return Fast(self._plan, self.registry.shape, self.fast)
        except Unsuited:
            return None

    def _tables(self, reading: Reading, parts: Sequence[Part], page: int) -> tuple[dict[str, pa.Table], int]:
        pieces: dict[str, list[pa.Table]] = {}
        dropped = 0
        for places, columns in parts:
            fit = [place for place in places if place not in reading.unfit]
            texts = [reading.texts[place] for place in fit]
            positions = [reading.block.first + place for place in fit]
            if columns is None:
                records = [reading.exact[place] for place in fit]
                rows = list(zip(positions, texts, records, strict=True))
                made, left_out = exact_tables(self._plan, self.counts, page, rows)
                dropped += left_out
            else:
                made = fast_tables(columns, self.counts, page, positions, texts)
                dropped += columns.dropped
            for name, table in made.items():
                pieces.setdefault(name, []).append(table)
        whole = {name: tables[0] if len(tables) == 1 else pa.concat_tables(tables) for name, tables in pieces.items()}
        order = [place for places, _ in parts for place in places if place not in reading.unfit]
        return (whole if order == sorted(order) else in_order(whole, self._plan)), dropped


def only_adds(before: Plan, after: Plan) -> bool:
    """Whether all columns of a plan are in the other, at the same place and of the same type."""
    tables = {table.spec.path: table for table in after.tables}
    for table in before.tables:
        now = tables.get(table.spec.path)
        if now is None or (now.spec.name, now.spec.parent) != (table.spec.name, table.spec.parent):
            return False
        if not {(c.spec.name, c.spec.type) for c in table.columns} <= {(c.spec.name, c.spec.type) for c in now.columns}:
            return False
    return True


def _decoded(fast: Fast, reading: Reading, places: Sequence[int]) -> list[Any]:
    """The struct of each of these records, None where it does not fit."""
    text = reading.text(places)
    while True:
        try:
            structs = fast.decoded(text, lines=reading.block.lines)
        except UNREADABLE:
            if not fast.loosen():
                break
        else:
            if len(structs) == len(places):
                return structs
            break
    return [fast.decoded_one(reading.one(place)) for place in places]


def _columns(fast: Fast, reading: Reading, pairs: Sequence[tuple[int, Any]]) -> list[Part]:
    """Decoded records as columns, less those that are not right: where it is not known which, halved until it is."""
    parts = list[Part]()
    while pairs:
        places = [place for place, _ in pairs]
        try:
            left = None if reading.left is None else reading.left.of(places)
            return [*parts, (places, fast.columns([struct for _, struct in pairs], [reading.text(places)], left))]
        except Misfit as error:
            if isinstance(error, Twins) and len(right := _without_unfit(reading, pairs)) < len(pairs):
                pairs = right
            elif len(pairs) <= _FEW:
                return [*parts, (places, None)]
            elif len(wrong := set(error.records.tolist())):
                parts.append(([place for n, place in enumerate(places) if n in wrong], None))
                pairs = [pair for n, pair in enumerate(pairs) if n not in wrong]
            else:
                half = len(pairs) // 2
                return [*parts, *_columns(fast, reading, pairs[:half]), *_columns(fast, reading, pairs[half:])]
    return parts


def _without_unfit(reading: Reading, pairs: Sequence[tuple[int, Any]]) -> Sequence[tuple[int, Any]]:
    """Those of these records that are right by themselves: quicker than halving, where keys stand twice."""
    right = []
    for place, struct in pairs:
        try:
            exact(bytes(reading.texts[place]))
        except Unfit as error:
            reading.unfit[place] = error
        else:
            right.append((place, struct))
    return right
