"""Where a source's endpoints stand: what of them is stored, loaded, waiting, and told to Dagster."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ingest_assets.extract.request import Walk
from ingest_assets.load import ledger, partitioning
from ingest_assets.load.load import LOADABLE, Loader
from ingest_assets.load.partitioning import Kept
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Source, listed

if TYPE_CHECKING:
    from ingest_assets.load.summary import Summary


@dataclass(frozen=True)
class Standing:
    """What snapshots and warehouse say of one source's endpoints; it fetches and loads nothing.

    Where `fetches` may be given, they are those that the warehouse knows of an endpoint, read already.
    """

    source: Source
    data: Path
    run: str = ""
    warehouse_folder: Path | None = None
    warehouse_wait_seconds: float = 120
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _fitting: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, in the data folder unless it has one of its own."""
        return Warehouse(self.warehouse_folder or self.data, wait_seconds=self.warehouse_wait_seconds)

    @cached_property
    def snapshots(self) -> Snapshots:
        """The snapshots of the data folder."""
        return Snapshots(self.data / "raw", now=self.now)

    def label(self, endpoint: str, partition: str | None) -> str:
        """How messages name a partition."""
        return Walk(self.source, endpoint, partition).label

    def undone(self, endpoint: str, fetches: Iterable[ledger.Fetch] | None = None) -> list[Snapshot]:
        """Fetches that were given up and are loaded still: somebody died while undoing them."""
        loaded = {fetch.fetch for fetch in (self.fetches(endpoint) if fetches is None else fetches) if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint)
        return [snapshot for snapshot in _given_up(stored) if snapshot.fetch in loaded]

    def untold_undone(self, endpoint: str, instance: str) -> list[ledger.Fetch]:
        """Undone fetches that a Dagster instance still takes for loaded."""
        from ingest_assets.load import reported

        with self.warehouse.session(f"reading what is undone of {self.source.name}.{endpoint}") as connection:
            return reported.untold_undone(connection, self.source.name, endpoint, instance)

    def told_undone(self, fetches: Iterable[int], instance: str) -> None:
        """Remember that a Dagster instance has been told that these fetches are undone."""
        from ingest_assets.load import reported

        with self.warehouse.session("noting what is reported") as connection:
            reported.told_undone(connection, fetches, instance)

    def fetches(self, endpoint: str) -> list[ledger.Fetch]:
        """What the warehouse knows of an endpoint's fetches, in order."""
        with self.warehouse.session(f"reading the fetches of {self.source.name}.{endpoint}") as connection:
            return ledger.fetches(connection, self.source.name, endpoint)

    def unloaded(self, endpoint: str, fetches: Iterable[ledger.Fetch]) -> list[str | None]:
        """Partitions whose snapshots say otherwise than these fetches: what counts is not loaded, or is undone."""
        loaded = {fetch.fetch for fetch in fetches if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint)
        waiting = dict.fromkeys(s.manifest.partition for s in stored if s.fetch not in loaded)
        undone = {s.manifest.partition for s in _given_up(stored) if s.fetch in loaded}
        kept = self.loader(endpoint).kept
        late = [key for key in waiting if key in undone or any(s.fetch not in loaded for s in kept(key))]
        return [*late, *sorted(undone - set(late), key=str)]

    def members(self, endpoint: str) -> dict[str, list[str]]:
        """The values of those of an endpoint's dimensions that other endpoints list, as their tables have them now.

        ConfigError where a table has no such column, ContractBroken where a value cannot be part of a key.
        """
        from ingest_assets.load import listed as listing

        dimensions = listed(self.source.endpoints[endpoint])
        if not dimensions:
            return {}
        with self.warehouse.session(f"reading what {self.source.name}.{endpoint} is partitioned by") as connection:
            return {name: listing.values(connection, self.source.name, told) for name, told in dimensions.items()}

    def known(self, instance: str) -> dict[str, ledger.Known]:
        """What the warehouse knows of each endpoint, and what it has not told a Dagster instance; makes no warehouse.

        Raises what `members` raises, and StorageFailed where the warehouse is lost.
        """
        from ingest_assets.load import listed as listing
        from ingest_assets.load import reported

        self.warehouse.refuse_lost()
        if not self.warehouse.writer.exists():
            return {name: ledger.Known() for name in self.source.endpoints}
        name, dimensions = self.source.name, {key: listed(one) for key, one in self.source.endpoints.items()}
        with self.warehouse.session(f"reading what is due of {name}") as connection:
            return {
                endpoint: replace(
                    ledger.known(connection, name, endpoint),
                    untold=bool(reported.unreported(connection, name, endpoint, instance)),
                    members={key: listing.values(connection, name, one) for key, one in told.items()},
                )
                for endpoint, told in dimensions.items()
            }

    def kept(self, endpoint: str, fetches: Iterable[ledger.Fetch] | None = None) -> list[Kept]:
        """The fetches that count: those that are loaded, and those that are stored to be loaded."""
        loaded = [f for f in (self.fetches(endpoint) if fetches is None else fetches) if f.loaded]
        known = {fetch.fetch for fetch in loaded}
        waiting = [s.manifest for s in self.snapshots.fetches(self.source.name, endpoint) if s.fetch not in known]
        found = [Kept(f.fetch, f.partition, (f.from_time, f.until_time)) for f in loaded]
        for one in waiting:
            if one.ended and one.ended.verdict in LOADABLE:
                bounds = (one.bounds.from_, one.bounds.until) if one.bounds else (None, None)
                found.append(Kept(one.fetch, one.partition, bounds))
        return sorted(found, key=lambda kept: kept.fetch)

    def ends(
        self, endpoint: str, partition: str | None, fetches: Iterable[ledger.Fetch] | None = None
    ) -> dict[int, Any]:
        """Where the fetches of a feed ended, by their numbers: complete ones, and the parents that others reached."""
        ending = ("complete", "incomplete") if self.source.endpoints[endpoint].parent is not None else ("complete",)
        stored = [s.manifest for s in self.snapshots.fetches(self.source.name, endpoint, partition)]
        ends = {m.fetch: m.ended.position for m in stored if m.ended and m.ended.verdict in ending}
        known = self.fetches(endpoint) if fetches is None else list(fetches)
        undone = {snapshot.fetch for snapshot in self.undone(endpoint, known)}
        told = [f for f in known if f.partition == partition and f.fetch not in undone]
        ends |= {f.fetch: f.told_position for f in told if f.verdict in ending}
        return ends

    def refuse_changed(self, endpoint: str, fetches: Iterable[ledger.Fetch] | None = None) -> None:
        """ConfigError where what is kept is of other partitions than the file says; looked at once."""
        if endpoint not in self._fitting:
            label = f"{self.source.name}.{endpoint}"
            partitioning.refuse(label, self.source.endpoints[endpoint], self.kept(endpoint, fetches))
            self._fitting.add(endpoint)

    def stored(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest stored fetch that counts, or None."""
        kept = self.loader(endpoint).kept(partition)
        return kept[-1] if kept else None

    def newest_loaded(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest stored fetch that counts, where it is loaded; else None."""
        newest = self.stored(endpoint, partition)
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        return newest if newest is not None and newest.fetch in loaded else None

    def summaries(self, endpoint: str, fetches: Collection[int]) -> "dict[int, Summary]":
        """What the warehouse says of loaded fetches, by number."""
        from ingest_assets.load.summary import summaries

        with self.warehouse.session(f"reading about {len(fetches)} fetches of {endpoint}") as connection:
            told = [f for f in ledger.fetches(connection, self.source.name, endpoint) if f.fetch in fetches]
            return summaries(connection, told, self.source.endpoints[endpoint].contract)

    def unreported(self, endpoint: str, instance: str) -> list[ledger.Fetch]:
        """Loads that a Dagster instance has not been told of."""
        from ingest_assets.load import reported

        with self.warehouse.session(f"reading what is not reported of {self.source.name}.{endpoint}") as connection:
            return reported.unreported(connection, self.source.name, endpoint, instance)

    def reported(self, loads: Mapping[int, datetime], instance: str) -> None:
        """Remember that a Dagster instance has been told of these loads: the time of each, by its fetch."""
        from ingest_assets.load import reported

        with self.warehouse.session("noting what is reported") as connection:
            reported.report(connection, loads, instance)

    def loader(self, endpoint: str, held: frozenset[int] = frozenset()) -> Loader:
        """What loads the stored fetches of an endpoint, but for those that are held back."""
        work = Work(self.source.name, endpoint, self.source.endpoints[endpoint])
        return Loader(self.warehouse, self.snapshots, work, self.run, self.now, held)


def _given_up(stored: Iterable[Snapshot]) -> list[Snapshot]:
    return [s for s in stored if s.manifest.ended and s.manifest.ended.verdict == "given_up"]
