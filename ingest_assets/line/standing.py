"""Where a source's endpoints stand: what of them is stored, loaded, waiting, and told to Dagster."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ingest_assets.errors import ConfigError, ContractBroken
from ingest_assets.extract.request import Walk
from ingest_assets.load import ledger, partitioning
from ingest_assets.load.load import LOADABLE, Loader
from ingest_assets.load.partitioning import Kept
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.partitions import Listed
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Source, listed

if TYPE_CHECKING:
    import duckdb

    from ingest_assets.load.summary import Summary


@dataclass(frozen=True)
class Standing:
    """What snapshots and warehouse say of one source's endpoints; it fetches and loads nothing.

    Where `fetches` may be given, they are those that the warehouse knows of an endpoint, read already. `as_of` a time,
    in a warehouse of its own, it is what they said then.
    """

    source: Source
    data: Path
    run: str = ""
    warehouse_folder: Path | None = None
    as_of: datetime | None = None
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
        return Snapshots(self.data / "raw", now=self.now, as_of=self.as_of)

    def label(self, endpoint: str, partition: str | None) -> str:
        """How messages name a partition."""
        return Walk(self.source, endpoint, partition).label

    def undone(self, endpoint: str) -> list[Snapshot]:
        """Fetches that were given up and are loaded still: somebody died while undoing them."""
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        return [s for s in self._given_up(endpoint) if s.fetch in loaded]

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

    def unloaded(
        self, endpoint: str, fetches: Iterable[ledger.Fetch], held: frozenset[int] = frozenset()
    ) -> list[str | None]:
        """Partitions whose snapshots say otherwise than these fetches: what counts is not loaded, or is undone.

        Those that are `held` back are not looked at.
        """
        loaded = {fetch.fetch for fetch in fetches if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint)
        waiting = dict.fromkeys(s.manifest.partition for s in stored if s.fetch not in loaded | held)
        undone = {s.manifest.partition for s in self._given_up(endpoint, held) if s.fetch in loaded}
        kept = self.loader(endpoint, held).kept
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

        StorageFailed where the warehouse is lost.
        """
        from ingest_assets.load import reported

        self.warehouse.refuse_lost()
        if not self.warehouse.writer.exists():
            return {name: ledger.Known() for name in self.source.endpoints}
        name, dimensions = self.source.name, {key: listed(one) for key, one in self.source.endpoints.items()}
        with self.warehouse.session(f"reading what is due of {name}") as connection:
            now = self.now()  # what others did while this waited for them is not of the future
            known = {endpoint: ledger.known(connection, name, endpoint, now) for endpoint in dimensions}
            more = {
                endpoint: {
                    "untold": reported.is_untold(connection, name, endpoint, instance),
                    **self._listed(connection, told),
                }
                for endpoint, told in dimensions.items()
            }
        return {endpoint: replace(known[endpoint](), **more[endpoint]) for endpoint in dimensions}

    def _listed(self, connection: "duckdb.DuckDBPyConnection", dimensions: Mapping[str, Listed]) -> dict[str, Any]:
        """The `members` of an endpoint, or why it is `unlisted`: other endpoints go on, and may mend it."""
        from ingest_assets.load import listed as listing

        try:
            told = {key: listing.values(connection, self.source.name, one) for key, one in dimensions.items()}
        except (ConfigError, ContractBroken) as error:
            return {"unlisted": str(error)}
        return {"members": told}

    def kept(self, endpoint: str) -> list[Kept]:
        """The fetches that count: those that are loaded, and those that are stored to be loaded."""
        loaded = [fetch for fetch in self.fetches(endpoint) if fetch.loaded]
        found = [Kept(fetch.fetch, fetch.partition, (fetch.from_time, fetch.until_time)) for fetch in loaded]
        waiting = self._waiting(endpoint, {fetch.fetch for fetch in loaded})
        return sorted([*found, *waiting], key=lambda kept: kept.fetch)

    def _waiting(self, endpoint: str, loaded: Collection[int]) -> Iterator[Kept]:
        """The fetches that are stored to be loaded."""
        for of in self.snapshots.partitions(self.source.name, endpoint):
            for told in (snapshot.manifest for snapshot in of.besides(loaded)):
                if told.ended and told.ended.verdict in LOADABLE:
                    bounds = (told.bounds.from_, told.bounds.until) if told.bounds else (None, None)
                    yield Kept(told.fetch, told.partition, bounds)

    def _given_up(self, endpoint: str, held: frozenset[int] = frozenset()) -> Iterator[Snapshot]:
        of_each = self.snapshots.partitions(self.source.name, endpoint)
        return (one for of in of_each for one in of.without(held).given_up)

    def ends(self, endpoint: str, partition: str | None, *, refuses: bool = False) -> dict[int, Any]:
        """Where the feed of a partition ended, by the number of its newest complete fetch; nothing before the first.

        Of a feed by parent, where all fetches ended, also what incomplete ones reached of the parents. `refuses` as
        `refuse_changed` does, with one transaction for both.
        """
        looks = refuses and endpoint not in self._fitting
        with self.warehouse.session(f"reading where {self.label(endpoint, partition)} ended") as connection:
            found = self._loaded(connection, endpoint) if looks else None
            ends = self._ends(connection, endpoint, partition)
        if found is not None:
            self._refuse(endpoint, *found)
        return ends

    def _ends(self, connection: "duckdb.DuckDBPyConnection", endpoint: str, partition: str | None) -> dict[int, Any]:
        by_parent, key = self.source.endpoints[endpoint].parent is not None, (self.source.name, endpoint, partition)
        ending, stored = ("complete", "incomplete")[: 1 + by_parent], self.snapshots.of(*key)
        undone = [snapshot.fetch for snapshot in stored.given_up]
        told = ledger.positions(connection, key, ending, undone, newest=not by_parent)
        # How what is not loaded yet ended, only its snapshot tells.
        others = stored.newest_first() if by_parent else stored.since(max(told, default=0) + 1)
        ended = ((s.fetch, s.manifest.ended) for s in others if s.fetch not in told)
        more = ((fetch, end.position) for fetch, end in ended if end is not None and end.verdict in ending)
        return told | dict(more if by_parent else islice(more, 1))

    def refuse_changed(self, endpoint: str) -> None:
        """ConfigError where what is kept is of other partitions than the file says; looked at once."""
        if endpoint not in self._fitting:
            with self.warehouse.session(f"reading the partitions of {self.source.name}.{endpoint}") as connection:
                found = self._loaded(connection, endpoint)
            self._refuse(endpoint, *found)

    def _loaded(self, connection: "duckdb.DuckDBPyConnection", endpoint: str) -> tuple[Sequence[Kept], Collection[int]]:
        """Of the loads of an endpoint the newest of each partition, and the fetches of all of them."""
        key = self.source.name, endpoint
        return partitioning.loaded(connection, *key), ledger.loaded(connection, *key)

    def _refuse(self, endpoint: str, kept: Iterable[Kept], loaded: Collection[int]) -> None:
        model = self.source.endpoints[endpoint]
        if not all(partitioning.fits(model, one) for one in chain(kept, self._waiting(endpoint, loaded))):
            partitioning.refuse(f"{self.source.name}.{endpoint}", model, self.kept(endpoint))
        self._fitting.add(endpoint)

    def fitting(self, endpoint: str, fetches: Iterable[ledger.Fetch]) -> list[ledger.Fetch]:
        """Those of these fetches that are of partitions that the file says now."""
        model = self.source.endpoints[endpoint]
        kept = [(fetch, Kept(fetch.fetch, fetch.partition, (fetch.from_time, fetch.until_time))) for fetch in fetches]
        return [fetch for fetch, one in kept if partitioning.fits(model, one)]

    def stored(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest stored fetch that counts, or None."""
        return self.loader(endpoint).newest(partition)

    def newest_loaded(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest stored fetch that counts, where it is loaded; else None."""
        newest = self.stored(endpoint, partition)
        return newest if newest is not None and self._is_loaded(newest) else None

    def _is_loaded(self, snapshot: Snapshot) -> bool:
        with self.warehouse.session(f"reading about fetch {snapshot.fetch}") as connection:
            return ledger.is_loaded(connection, snapshot.fetch)

    def summaries(self, endpoint: str, fetches: Collection[int]) -> "dict[int, Summary]":
        """What the warehouse says of loaded fetches, by number."""
        from ingest_assets.load.summary import summaries

        with self.warehouse.session(f"reading about {len(fetches)} fetches of {endpoint}") as connection:
            told = ledger.fetches(connection, self.source.name, endpoint, of=fetches)
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
