"""What is to be loaded: what is pending, what a replay goes through, and when a table is built anew.

    pending   the fetches of a partition that are not loaded yet, in their order, on top of what is there
    replay    all kept fetches of a partition, after its rows were taken out
    rebuild   all kept fetches of the endpoint into new tables, which then take the place of the old ones

A replay is enough where a key lives in one partition and no column changes its type; else it is a rebuild. So it is
where a fetch was undone: names and shapes are learned anew then.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import duckdb
from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.load import ledger
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.raw.stored import Stored

LOADABLE = ("complete", "open", "incomplete")
WHOLE = ("complete", "open")
"""Verdicts of walks that reached their end."""


class NeedsRebuild(Exception):
    """A column has to change in a way that only a rebuild gives exactly."""


def lost(work: Work, fetch: int) -> StorageFailed:
    """The error for a load that would take out rows whose stored pages are missing."""
    return StorageFailed(
        f"{work.label}: the stored pages of fetch {fetch} are missing, and rows of the table came from them; the "
        "table is left as it is. Restore the folder from a backup, or fetch the partition again"
    )


class Known(Struct, frozen=True):
    """What the warehouse says of an endpoint at one moment."""

    version: int
    layout: str | None
    registry: Registry
    loaded: tuple[ledger.Load, ...]

    def loaded_of(self, partition: str | None) -> list[ledger.Load]:
        """The loads of one partition, in order of their fetches."""
        return [load for load in self.loaded if load.partition == partition]


def current(connection: duckdb.DuckDBPyConnection, snapshots: Snapshots, work: Work) -> Known:
    """What the warehouse, attached as `w`, says of an endpoint now."""
    row = ledger.registry(connection, work.source, work.endpoint)
    loaded = ledger.loads(connection, work.source, work.endpoint)
    if row is None:
        # Names that were settled once stay, also where the warehouse that knew them is lost.
        noted = snapshots.notes.registry(work.source, work.endpoint)
        return Known(0, None, Registry.from_json(noted) if noted else Registry.empty(), loaded)
    version, layout, text = row
    return Known(version, layout, Registry.from_json(text), loaded)


class Plan(Struct, frozen=True):
    """What to load. `partitions` are what the load is about; a rebuild is about all.

    `forget` are the fetches whose rows are taken out first, `missing` loaded ones that are not stored any more,
    `undone` loaded ones that were given up since: what only they taught of names and shapes goes with them. `again` are
    loaded ones that are to be loaded anew by a later load.
    """

    partitions: tuple[str | None, ...]
    snapshots: tuple[Snapshot, ...]
    forget: tuple[int, ...] = ()
    rebuild: bool = False
    missing: tuple[ledger.Load, ...] = ()
    undone: tuple[int, ...] = ()
    again: tuple[int, ...] = ()

    @property
    def stored_bytes(self) -> int:
        """About how much the load will write."""
        return sum(s.manifest.ended.bytes for s in self.snapshots if s.manifest.ended)

    @property
    def given_up(self) -> int | None:
        """A missing fetch that is newer than all that is left of its partition; None where there is none."""
        newest = {s.manifest.partition: s.fetch for s in self.snapshots}
        return next((f.fetch for f in self.missing if f.fetch > newest.get(f.partition, 0)), None)

    def without(self, refused: int, known: Known) -> "Plan | None":
        """The same up to a refused fetch of its partition; None where that is nothing, or less than is loaded.

        What is loaded goes where it was, before a newer fetch of the partition came that is undone.
        """
        (partition,) = {s.manifest.partition for s in self.snapshots if s.fetch == refused}
        out = {s.fetch for s in self.snapshots if s.manifest.partition == partition and s.fetch >= refused}
        loaded = [load.fetch for load in known.loaded_of(partition) if load.fetch >= refused]
        again, rest = tuple(out.intersection(loaded)), tuple(s for s in self.snapshots if s.fetch not in out)
        is_as_before = any(fetch in self.undone for fetch in loaded)
        if not is_as_before and (again or not rest):
            return None
        return replace(self, snapshots=rest, again=self.again + again)

    def beside(self, other: "Plan") -> "Plan":
        """Both at once: of other partitions each, none of them a rebuild or with fetches that are missing."""
        return replace(
            self,
            partitions=self.partitions + other.partitions,
            snapshots=self.snapshots + other.snapshots,
            forget=self.forget + other.forget,
        )


class Planner(Struct, frozen=True):
    """Plans the loads of one endpoint from what is stored, but for fetches `held` back, and what is loaded."""

    snapshots: Snapshots
    work: Work
    held: frozenset[int] = frozenset()

    def kept(self, partition: str | None) -> list[Snapshot]:
        """The stored fetches of a partition that count, in order; of a replaced table, the newest whole one."""
        kept = self._counting(self._of(partition))
        return list(islice(kept, 1)) if self.work.contract.replaces else [*kept][::-1]

    def newest(self, partition: str | None) -> Snapshot | None:
        """The newest of them; None where there is none."""
        return next(self._counting(self._of(partition)), None)

    def plan(self, known: Known, partition: str | None, *, replay: bool, rebuild: bool) -> Plan:
        """What brings a partition up to date; `replay` and `rebuild` ask for more than is needed for that."""
        contract, stored = self.work.contract, self._of(partition)
        mine = {load.fetch: load for load in known.loaded_of(partition)}
        pending = self._pending(stored, mine)
        late = [s for s in pending if s.fetch < max(mine, default=0)]
        moved = known.layout is not None and known.layout != contract.layout
        if contract.replaces:
            pending = [s for s in pending if s not in late]
        # Where newest_by does not say which version is newer, the order of fetches does.
        by_order = contract.newest_by is None and contract.write != "append"
        anew = replay or self._is_stale(stored, mine) or bool(late and by_order and pending)
        undone = self._undone(known, [stored])
        if not (anew or rebuild or moved or undone):
            return Plan((partition,), tuple(pending))
        if undone or moved or rebuild or self.work.model.partitions is None or contract.newest_by is not None:
            return self._everything(known, partition)
        kept, missing = tuple(self.kept(partition)), self._missing(known, [partition])
        return Plan((partition,), kept, forget=tuple(mine), missing=missing)

    def _of(self, partition: str | None) -> Stored:
        return self.snapshots.of(self.work.source, self.work.endpoint, partition).without(self.held)

    def _counts(self, snapshot: Snapshot) -> bool:
        end, verdicts = snapshot.manifest.ended, WHOLE if self.work.contract.replaces else LOADABLE
        return end is not None and end.verdict in verdicts

    def _counting(self, stored: Stored) -> Iterator[Snapshot]:
        """Those that count, the newest first; each is looked at when it is asked for."""
        return filter(self._counts, stored.newest_first())

    def _pending(self, stored: Stored, mine: Collection[int]) -> list[Snapshot]:
        """What counts and is not loaded, in order."""
        if self.work.contract.replaces:
            return [s for s in islice(self._counting(stored), 1) if s.fetch not in mine]
        return [s for s in stored.besides(mine) if self._counts(s)]

    def _undone(self, known: Known, stored: Iterable[Stored]) -> tuple[int, ...]:
        """The fetches that are loaded, and were given up since."""
        given_up = {s.fetch for of in stored for s in of.given_up}
        return tuple(load.fetch for load in known.loaded if load.fetch in given_up) if given_up else ()

    def _is_stale(self, stored: Stored, mine: Mapping[int, ledger.Load]) -> bool:
        """Whether the partition was loaded under another contract, as its newest load tells."""
        if not mine:
            return False
        counting = islice(self._counting(stored), 1) if self.work.contract.replaces else self._loaded(stored, mine)
        newest = next((s.fetch for s in counting if s.fetch in mine), max(mine))
        return mine[newest].contract != self.work.contract.version

    def _loaded(self, stored: Stored, mine: Collection[int]) -> Iterator[Snapshot]:
        """Those that count and are loaded, the newest first."""
        return (s for s in stored.newest_first() if s.fetch in mine and self._counts(s))

    def _everything(self, known: Known, partition: str | None) -> Plan:
        partitions = list(dict.fromkeys([*(load.partition for load in known.loaded), partition]))
        kept = sorted((s for key in partitions for s in self.kept(key)), key=lambda s: s.fetch)
        missing, undone = self._missing(known, partitions), self._undone(known, map(self._of, partitions))
        return Plan((partition,), tuple(kept), rebuild=True, missing=missing, undone=undone)

    def _missing(self, known: Known, partitions: Sequence[str | None]) -> tuple[ledger.Load, ...]:
        """The loads whose pages are not stored any more; those that are undone are not among them."""
        stored = {s.fetch for partition in partitions for s in self._stored(partition)}
        stored |= set(self._undone(known, map(self._of, partitions)))
        return tuple(load for load in known.loaded if load.partition in partitions and load.fetch not in stored)

    def _stored(self, partition: str | None) -> Iterator[Snapshot]:
        found = self._of(partition).newest_first()
        return (s for s in found if s.manifest.ended and s.manifest.ended.verdict in LOADABLE)
