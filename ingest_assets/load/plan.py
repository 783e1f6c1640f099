"""What is to be loaded: what is pending, what a replay goes through, and when a table is built anew.

    pending   the fetches of a partition that are not loaded yet, in their order, on top of what is there
    replay    all kept fetches of a partition, after its rows were taken out
    rebuild   all kept fetches of the endpoint into new tables, which then take the place of the old ones

A replay is enough where a key lives in one partition and no column changes its type; else it is a rebuild. So it is
where a fetch was undone: names and shapes are learned anew then.
"""

from collections.abc import Mapping, Sequence

import duckdb
from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.load import ledger
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot, Snapshots

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
    fetches: tuple[ledger.Fetch, ...]

    @property
    def loaded(self) -> list[ledger.Fetch]:
        """The fetches that are loaded, in order."""
        return [fetch for fetch in self.fetches if fetch.loaded]

    def loaded_of(self, partition: str | None) -> list[ledger.Fetch]:
        """Those of one partition."""
        return [fetch for fetch in self.loaded if fetch.partition == partition]


def current(connection: duckdb.DuckDBPyConnection, snapshots: Snapshots, work: Work) -> Known:
    """What the warehouse, attached as `w`, says of an endpoint now."""
    row = ledger.registry(connection, work.source, work.endpoint)
    fetches = tuple(ledger.fetches(connection, work.source, work.endpoint))
    if row is None:
        # Names that were settled once stay, also where the warehouse that knew them is lost.
        noted = snapshots.notes.registry(work.source, work.endpoint)
        return Known(0, None, Registry.from_json(noted) if noted else Registry.empty(), fetches)
    version, layout, text = row
    return Known(version, layout, Registry.from_json(text), fetches)


class Plan(Struct, frozen=True):
    """What to load. `partitions` are what the load is about; a rebuild is about all.

    `forget` are the fetches whose rows are taken out first, `missing` loaded ones that are not stored any more,
    `undone` loaded ones that were given up since: what only they taught of names and shapes goes with them.
    """

    partitions: tuple[str | None, ...]
    snapshots: tuple[Snapshot, ...]
    forget: tuple[int, ...] = ()
    rebuild: bool = False
    missing: tuple[ledger.Fetch, ...] = ()
    undone: tuple[int, ...] = ()

    @property
    def stored_bytes(self) -> int:
        """About how much the load will write."""
        return sum(s.manifest.ended.bytes for s in self.snapshots if s.manifest.ended)

    @property
    def given_up(self) -> int | None:
        """A missing fetch that is newer than all that is left of its partition; None where there is none."""
        newest = {s.manifest.partition: s.fetch for s in self.snapshots}
        return next((f.fetch for f in self.missing if f.fetch > newest.get(f.partition, 0)), None)

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
        stored = self._stored(partition)
        if not self.work.contract.replaces:
            return stored
        return [s for s in stored if s.manifest.ended and s.manifest.ended.verdict in WHOLE][-1:]

    def plan(self, known: Known, partition: str | None, *, replay: bool, rebuild: bool) -> Plan:
        """What brings a partition up to date; `replay` and `rebuild` ask for more than is needed for that."""
        contract, stored = self.work.contract, self.kept(partition)
        mine = {fetch.fetch: fetch for fetch in known.loaded_of(partition)}
        pending = [s for s in stored if s.fetch not in mine]
        late = [s for s in pending if s.fetch < max(mine, default=0)]
        moved = known.layout is not None and known.layout != contract.layout
        if contract.replaces:
            pending = [s for s in pending if s not in late]
        # Where newest_by does not say which version is newer, the order of fetches does.
        by_order = contract.newest_by is None and contract.write != "append"
        anew = replay or self._is_stale(stored, mine) or bool(late and by_order and pending)
        undone = self.undone(known, [partition])
        if not (anew or rebuild or moved or undone):
            return Plan((partition,), tuple(pending))
        if undone or moved or rebuild or self.work.model.partitions is None or contract.newest_by is not None:
            return self._everything(known, partition)
        return Plan((partition,), tuple(stored), forget=tuple(mine), missing=self._missing(known, [partition]))

    def undone(self, known: Known, partitions: Sequence[str | None]) -> tuple[int, ...]:
        """The fetches that are loaded, and were given up since."""
        stored = [s for partition in partitions for s in self._of(partition)]
        given_up = {s.fetch for s in stored if s.manifest.ended and s.manifest.ended.verdict == "given_up"}
        return tuple(fetch.fetch for fetch in known.loaded if fetch.fetch in given_up)

    def _stored(self, partition: str | None) -> list[Snapshot]:
        stored = [s for s in self._of(partition) if s.fetch not in self.held]
        return [s for s in stored if s.manifest.ended and s.manifest.ended.verdict in LOADABLE]

    def _of(self, partition: str | None) -> list[Snapshot]:
        return self.snapshots.fetches(self.work.source, self.work.endpoint, partition)

    def _is_stale(self, stored: Sequence[Snapshot], mine: Mapping[int, ledger.Fetch]) -> bool:
        """Whether the partition was loaded under another contract, as its newest load tells."""
        loads = [mine[s.fetch] for s in stored if s.fetch in mine] or list(mine.values())
        return bool(loads) and loads[-1].contract != self.work.contract.version

    def _everything(self, known: Known, partition: str | None) -> Plan:
        partitions = list(dict.fromkeys([*(fetch.partition for fetch in known.loaded), partition]))
        kept = sorted((s for key in partitions for s in self.kept(key)), key=lambda s: s.fetch)
        missing, undone = self._missing(known, partitions), self.undone(known, partitions)
        return Plan((partition,), tuple(kept), rebuild=True, missing=missing, undone=undone)

    def _missing(self, known: Known, partitions: Sequence[str | None]) -> tuple[ledger.Fetch, ...]:
        stored = {s.fetch for partition in partitions for s in self._stored(partition)}
        stored |= set(self.undone(known, partitions))
        return tuple(f for f in known.loaded if f.partition in partitions and f.fetch not in stored)
