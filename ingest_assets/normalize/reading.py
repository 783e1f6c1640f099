"""One block of records while it is read, and what the registry learns from those that were taken by themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from ingest_assets.contract import Contract
from ingest_assets.normalize.columns import items_at
from ingest_assets.normalize.dropping import Left
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import Registry, bindings, declared_paths
from ingest_assets.normalize.rest import fences, taken
from ingest_assets.normalize.rows import Plan, check, plan_for
from ingest_assets.normalize.shape import Shape, joined, learn
from ingest_assets.normalize.values import Unfit


class Records(Protocol):
    """A block of records: the text of a JSON array or of JSON lines, from position `first` of its page on."""

    @property
    def text(self) -> bytes: ...
    @property
    def view(self) -> bytes | memoryview:
        """The text, or where it is in the body."""

    @property
    def size(self) -> int:
        """How many bytes the text has."""

    @property
    def lines(self) -> bool: ...
    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def flaws(self) -> Mapping[int, str]:
        """What is wrong with records that are none, by place in the block."""

    def records(self) -> Sequence[Any]:
        """The text of each record without the space around it, as bytes or a view of bytes."""


class Reading(Struct):
    """One block while it is read: the registry and the plan before it, and the records taken by themselves.

    `left` is there where the quick way reads what is left of the records.
    """

    block: Records
    texts: list[Any]
    registry: Registry
    plan: Plan
    exact: dict[int, dict[str, Any]] = field(default_factory=dict)
    unfit: dict[int, Unfit] = field(default_factory=dict)
    numbers: Shape = field(default_factory=Shape)
    left: Left | None = None

    def text(self, places: Sequence[int]) -> bytes:
        """These records, or what is left of them, as one text: lines, where the block's are, or a JSON array."""
        texts = self._quick
        if self.block.lines:
            return b"\n".join([texts[place] for place in places])
        if len(places) == len(texts) and self.left is None:
            return self.block.text
        return b"[%s]" % b",".join([texts[place] for place in places])

    def one(self, place: int) -> Any:
        """One record, or what is left of it."""
        return self._quick[place]

    @property
    def _quick(self) -> list[Any]:
        return self.texts if self.left is None else self.left.texts

    def parse(self, place: int) -> None:
        """Parses one record exactly, or says why it is none."""
        if (flaw := self.block.flaws.get(place)) is not None:
            self.unfit[place] = Unfit(flaw)
            return
        try:
            self.exact[place] = exact(bytes(self.texts[place]))
        except Unfit as error:
            self.unfit[place] = error


def registry_after(endpoint: str, contract: Contract, reading: Reading, partition: Mapping[str, str]) -> Registry:
    """The registry that also knows the records parsed so far. Notes in `reading` which of them do not fit.

    It begins with the registry before the block each time, so that names do not depend on the way to read it.
    """
    records = dict(sorted(reading.exact.items()))
    registry = _bound(endpoint, contract, reading.registry, list(records.values()))
    plan = plan_for(endpoint, contract, registry, partition)
    skip, lists = declared_paths(registry, contract)
    fenced = fences(contract, registry) if contract.fenced else {}
    shape = Shape()
    for place, record in records.items():
        reading.unfit.pop(place, None)
        try:
            check(plan, record)
        except Unfit as error:
            reading.unfit[place] = error
        else:
            learn(shape, taken(record, fenced), skip, lists, root=True)
    return registry.learned(joined(shape, reading.numbers, root=True), {}).settled(endpoint, contract)


def _bound(endpoint: str, contract: Contract, registry: Registry, records: list[Any]) -> Registry:
    """The registry in which columns declared by name alone, and those of the key, have their place."""
    tables: dict[Path, list[Any]] = {(): records}
    for dotted in contract.children:
        path = tuple(dotted.split("."))
        tables[path] = [item for record in records for item in items_at(record, path)]
    return registry.learned(Shape(), bindings(registry, contract, tables)).settled(endpoint, contract)
