"""Fetch and load of one partition under its lock, and what gives up or erases what is kept of it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ingest_assets import catalog
from ingest_assets.errors import ConfigError, ContractBroken, IngestError, Locked, NotBefore, StorageFailed, TooManyGone
from ingest_assets.extract.request import Walk
from ingest_assets.http.page import origin
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.trace import Asked, TraceLog
from ingest_assets.line.folders import partition_lock, trace_file
from ingest_assets.line.helped import Helped, Shown
from ingest_assets.line.pace import Pace
from ingest_assets.line.standing import Standing
from ingest_assets.line.watcher import Unwatched, Watcher
from ingest_assets.load import ledger, owners, partitioning
from ingest_assets.load.load import LOADABLE, Loaded, TeachesMore
from ingest_assets.load.work import Work
from ingest_assets.locks import held
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Source

if TYPE_CHECKING:
    from ingest_assets.extract.peek import Peek
    from ingest_assets.line.clients import Clients
    from ingest_assets.load.erase import Eraser
    from ingest_assets.load.helper import Helper
    from ingest_assets.load.meanwhile import Meanwhile

_PARTITION_WAIT_SECONDS = 30
_AT_ONCE = 30  # fetches that are staged together when many wait


@dataclass(frozen=True)
class Line(Standing):
    """One source's endpoints, to be fetched and loaded in one run. Settings are looked up when they are needed."""

    secrets: Secrets = field(default_factory=Secrets)
    pace: Pace = field(default_factory=Pace)
    watcher: Watcher = field(default_factory=Unwatched)
    helped: Helped = field(default_factory=Helped, init=False, repr=False, compare=False)
    _numbers: dict[tuple[str, str | None], tuple[int, datetime]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def settled(self) -> Source:
        """The source with its settings in place."""
        return catalog.settled(self.source)

    @cached_property
    def clients(self) -> "Clients":
        """What asks its API."""
        from ingest_assets.line.clients import Clients

        return Clients(self.settled, self.secrets, self.pace)

    @property
    def archive(self) -> Path:
        """Where snapshots go that were given up as a whole."""
        return self.data / "archive"

    @contextlib.contextmanager
    def partition(
        self, endpoint: str, partition: str | None, *, wait_seconds: float = _PARTITION_WAIT_SECONDS
    ) -> Iterator[None]:
        """Hold a partition's lock: its fetches and loads are one after another, over all processes."""
        file = partition_lock(self.data, self.source.name, endpoint, partition)
        with held(file, f"run {self.run}, {self.label(endpoint, partition)}", wait_seconds):
            try:
                yield
            finally:
                self.helped.close()

    def fetch(
        self, endpoint: str, partition: str | None, since: datetime | None = None, *, loads: bool = True
    ) -> Snapshot:
        """Walk a partition to its end, or what is left of an unfinished walk; inside the partition's lock.

        `since` moves a feed to begin at that time, also one that goes on by a cursor. Where a load follows (`loads`), a
        large walk's rows are made while it goes on. Raises what `Puller.fetch` raises; a fetch that failed for good
        stands in the warehouse with its reason.
        """
        with self._helped(endpoint, partition) if loads else contextlib.nullcontext(self.watcher.page) as show:
            self.warehouse.start()  # while what asks is imported
            return self._walked(endpoint, partition, since, show)

    def _walked(self, endpoint: str, partition: str | None, since: datetime | None, show: Shown) -> Snapshot:
        from ingest_assets.extract.pull import Puller

        ends = None
        if self.source.endpoints[endpoint].feed is not None:
            ends = self.ends(endpoint, partition, refuses=True)
        else:
            self.refuse_changed(endpoint)
        walk = self._walk(endpoint, partition, since, ends)
        client = partial(self.clients.client, endpoint, self._traced(endpoint, partition))
        on_wait = partial(self.watcher.wait, walk.label)
        begin, newest = self._begin, partial(self.newest_loaded, endpoint, partition)
        try:
            with client(time.sleep, on_wait) as own:
                control = self.clients.control(endpoint, own, client)
                puller = Puller(own, self.snapshots, begin, self.run, show, self.now, client, on_wait, control, newest)
                return puller.fetch(walk)
        finally:
            self._write_down(endpoint, partition)

    def peek(self, endpoint: str, partition: str | None) -> "Peek":
        """The first page of a partition, of its first parent; nothing is written. It asks an API that is down, too."""
        from ingest_assets.extract.peek import peek

        walk = Walk(self.settled, endpoint, partition)
        if walk.endpoint.parent is not None:
            parts = self._walk(endpoint, partition).parts
            if not parts:
                raise ConfigError(f"{walk.label}: it has no parents to ask for: {walk.endpoint.parent} lists none")
            walk = replace(walk, parts=parts).of(parts[0])
        made = partial(self.clients.client, endpoint, lambda _: None, insists=True)
        with made(time.sleep, partial(self.watcher.wait, walk.label)) as client:
            return peek(client, walk, self.clients.control(endpoint, client, made))

    def load(self, endpoint: str, partition: str | None, *, replay: bool = False) -> list[Loaded]:
        """Load what is stored and not loaded; `replay` goes through all kept fetches again. Sends no request.

        ConfigError where what is kept is of other partitions than the file says.
        """
        self.refuse_changed(endpoint)
        return replace(self.loader(endpoint), meanwhile=self.helped.meanwhile).load(partition, replay=replay)

    def _helped(self, endpoint: str, partition: str | None) -> contextlib.AbstractContextManager[Shown]:
        """Inside, a large walk's rows are made while it goes on."""
        stored, begin = partial(self._walked_before, endpoint, partition), partial(self._helper, endpoint, partition)
        make = partial(self._meanwhile, endpoint, partition)
        return self.helped.walking(endpoint, self.watcher.page, stored, begin, make)

    def _walked_before(self, endpoint: str, partition: str | None) -> int | None:
        """The bytes of any stored walk of a partition, or of one of the endpoint's others; None where there is none."""
        stored = self.snapshots.some(self.source.name, endpoint, partition)
        if stored is None:
            return None
        with contextlib.suppress(StorageFailed):  # whoever needs that one says what is damaged
            if stored.manifest.ended is not None:
                return stored.manifest.ended.bytes
        return 0

    def _helper(self, endpoint: str, partition: str | None) -> "Helper":
        """A second process; Locked where no core is free for it."""
        from ingest_assets.load.helper import Helper

        return Helper(self.warehouse.locks, self.label(endpoint, partition))

    def _meanwhile(self, endpoint: str, partition: str | None, helper: "Helper") -> "Meanwhile":
        """What makes rows of the walk that goes on, by this process."""
        from ingest_assets.load.meanwhile import Meanwhile

        name = self.source.name
        walked = next(self.snapshots.of(name, endpoint, partition).newest_first())
        noted = self.snapshots.notes.registry(name, endpoint)
        registry = Registry.from_json(noted) if noted else Registry.empty()
        work = Work(name, endpoint, self.source.endpoints[endpoint])
        return Meanwhile(helper, walked, work, registry, self.warehouse.staging)

    def load_together(
        self, endpoint: str, partitions: Mapping[str | None, bool]
    ) -> Iterator[tuple[str | None, list[Loaded] | IngestError]]:
        """See `Loader.load_together`; raises what `load` raises before it loads anything."""
        self.refuse_changed(endpoint)
        yield from replace(self.loader(endpoint), meanwhile=self.helped.meanwhile).load_together(partitions)

    def accept(self, endpoint: str, fetch: int) -> list[Loaded]:
        """Let a stored fetch delete all that it did not bring, and load it; under its partition's lock.

        ConfigError where the endpoint sweeps nothing, has no such complete fetch, or has a newer one of its partition:
        that tells what is gone, and where the older one is loaded it would delete in a rebuild only.
        """
        from ingest_assets.load.sweep import superseding

        label, stored = f"{self.source.name}.{endpoint}", self.snapshots.fetches(self.source.name, endpoint)
        if self.source.endpoints[endpoint].sweep is None:
            raise ConfigError(f"{label}: its file says no `sweep`, so that no fetch deletes what it does not bring")
        found = next((s for s in stored if s.fetch == fetch), None)
        if found is None or found.manifest.ended is None or found.manifest.ended.verdict != "complete":
            raise ConfigError(f"{label}: no complete fetch {fetch} is stored")
        with self.partition(endpoint, found.manifest.partition):
            newer = superseding(self.snapshots.of(self.source.name, endpoint, found.manifest.partition), fetch)
            if newer is not None and fetch not in self.snapshots.notes.accepted(self.source.name, endpoint):
                raise ConfigError(
                    f"{label}: fetch {fetch} deletes nothing any more: fetch {newer} is newer and complete, and tells "
                    "what is gone"
                )
            self.snapshots.notes.accept(self.source.name, endpoint, fetch)
            return self.load(endpoint, found.manifest.partition)

    def undo(self, endpoint: str, fetches: Sequence[Snapshot], reason: str) -> list[Loaded]:
        """Give stored fetches up for good, and bring the tables to where they would be without them.

        The caller holds the locks of their partitions. From the first write on, whatever loads such a partition
        leaves them out: what a crash leaves undone, the next load does.
        """
        for snapshot in sorted(fetches, key=lambda one: -one.fetch):
            self.snapshots.give_up(snapshot, reason)
        partitions = dict.fromkeys(snapshot.manifest.partition for snapshot in fetches)
        loads = [load for partition in partitions for load in self._without_undone(endpoint, partition)]
        with self.warehouse.session(f"noting what is undone of {self.source.name}.{endpoint}") as connection:
            for snapshot in fetches:
                ledger.ended(connection, Snapshot(snapshot.folder).manifest)
        return loads

    def _without_undone(self, endpoint: str, partition: str | None) -> list[Loaded]:
        try:
            return self.load(endpoint, partition)
        except TooManyGone:
            if self.undone(endpoint):
                raise
            return []  # an earlier fetch is refused again, as it was before: the next load says so

    def catch_up(self, endpoint: str, partition: str | None, held: frozenset[int] = frozenset()) -> Iterator[Loaded]:
        """Load what is stored and not loaded, but for fetches `held` back, some at a time and as they once came.

        So the account of each fetch and the lineage of each row are those of a table that was loaded as it grew, also
        of a table that keeps the newest fetch only. There, what is noted of names and shapes tells which of the others
        were never loaded so: what only these would teach is not learned.
        """
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint, partition)
        waiting = [s.fetch for s in stored if s.fetch not in loaded | held]
        replaces = self.source.endpoints[endpoint].contract.replaces
        step = 1 if replaces else _AT_ONCE
        noted = self.snapshots.notes.registry(self.source.name, endpoint) if replaces else None
        known = Registry.from_json(noted) if noted else None
        for done in range(step, len(waiting) + step, step) if waiting else [0]:
            is_last = done >= len(waiting)
            loader = replace(self.loader(endpoint, held.union(waiting[done:])), beyond=None if is_last else known)
            try:
                yield from loader.load(partition)
            except (ContractBroken, TeachesMore):
                if not replaces:  # those before it are loaded, as they were
                    yield from self._one_by_one(endpoint, partition, held, waiting, done - step)
                elif is_last:  # else a newer one takes its place, as it did at first
                    raise

    def _one_by_one(
        self, endpoint: str, partition: str | None, held: frozenset[int], waiting: Sequence[int], begin: int
    ) -> Iterator[Loaded]:
        for done in range(begin + 1, min(begin + _AT_ONCE, len(waiting)) + 1):
            yield from self.loader(endpoint, held.union(waiting[done:])).load(partition)

    def sweep(self) -> bool:
        """Remove what dead processes left of their staging; False, and nothing done, where somebody works."""
        before = time.time()
        try:
            for lock in (self.data / "locks").glob("*/*/*.lock"):
                with held(lock, "sweeping the staging folder", 0):
                    pass
        except Locked:
            return False
        # What somebody stages who began since then is younger.
        for file in self.warehouse.staging.glob("*"):
            if file.is_file() and file.stat().st_mtime < before:
                file.unlink(missing_ok=True)
        return True

    def eraser(self, endpoint: str) -> "Eraser":
        """What finds and erases a key of an endpoint; it waits for who works on a partition, or raises Locked."""
        from ingest_assets.load.erase import Eraser

        work = Work(self.source.name, endpoint, self.source.endpoints[endpoint])
        return Eraser(
            self.warehouse, self.snapshots, work, lambda partition: self.partition(endpoint, partition), self.archive
        )

    def done(self, endpoint: str, partition: str | None, *, whatever_age: bool = False) -> Snapshot | None:
        """What this very run has fetched already, young enough to stand for a new fetch.

        A step that is retried starts again at its first partition; where that is the case, age is no matter.
        """
        newest = self.stored(endpoint, partition)
        if newest is None or not self.run or newest.manifest.run != self.run:
            return None
        return newest if whatever_age or self._is_young(newest) else None

    def pending(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest fetch, where it is finished, not loaded, and young enough to stand for a new one."""
        newest = self.stored(endpoint, partition)
        if newest is None or not self._is_young(newest) or _is_open(newest):
            return None
        return None if self._is_loaded(newest) else newest

    def loaded_since(self, endpoint: str, partition: str | None, asked: datetime) -> Snapshot | None:
        """The newest fetch, where it began after this time, missed nothing and is loaded: another run asked as well."""
        newest = self.stored(endpoint, partition)
        if newest is None or newest.manifest.ended is None or newest.manifest.ended.verdict == "incomplete":
            return None
        # What is of the future a clock told that was ahead.
        is_since = asked < newest.manifest.started <= self.now()
        return newest if is_since and self._is_loaded(newest) else None

    def replayed(self, endpoint: str, newest: Iterable[Snapshot]) -> set[int]:
        """Those of partitions' newest fetches that this very run has loaded under this contract: no need to replay."""
        if not self.run:
            return set()
        mine = (self.run, self.source.endpoints[endpoint].contract.version)
        with self.warehouse.session(f"reading what is replayed of {self.source.name}.{endpoint}") as connection:
            told = ledger.fetches(connection, self.source.name, endpoint, of=[snapshot.fetch for snapshot in newest])
        return {fetch.fetch for fetch in told if fetch.loaded and (fetch.loaded_run, fetch.contract) == mine}

    def _is_young(self, snapshot: Snapshot) -> bool:
        return self.now() - snapshot.manifest.started <= self.source.resume_within

    def failed(self, endpoint: str, partition: str | None, error: IngestError, *, stops: bool) -> None:
        """Write down that a partition could not be fetched or loaded; `stops` where others would fare no better."""
        key = (self.source.name, endpoint, partition)
        refused = self.snapshots.of(*key).newest if isinstance(error, ContractBroken) else None
        with self.warehouse.session(f"noting a failure of {self.label(endpoint, partition)}") as connection:
            if refused is not None and refused.manifest.ended:
                ledger.ended(connection, refused.manifest)  # by its load it would be; else it looks like one that died
            wait = (error.until, error.everywhere) if isinstance(error, NotBefore) else (None, False)
            ledger.failed(connection, key, self.run, ledger.Failure(partition, self.now(), str(error), stops, *wait))

    def abandon(self, endpoint: str) -> Path | None:
        """Give up all that is kept of an endpoint: its tables go, its snapshots to the archive; where they are then.

        The caller holds the locks of its partitions.
        """
        name = self.source.name
        with self.warehouse.session(f"giving up {name}.{endpoint}") as connection:
            known = ledger.registry(connection, name, endpoint)
            tables = list(Registry.from_json(known[2]).names.values()) if known else []
            partitioning.abandon(connection, name, endpoint, tables)
            self.snapshots.notes.note_drift(name, endpoint, [])
        return self.snapshots.archive(name, endpoint, self.archive)

    def publish(self, *, paced: bool = False) -> None:
        """Bring the reader's copy up to date; `paced`, unless it is younger than the file says."""
        self.warehouse.publish(self.source.publish if paced else timedelta(0))

    @contextlib.contextmanager
    def numbering(self, endpoint: str, partitions: Sequence[str | None]) -> Iterator[None]:
        """Inside, new fetches of these partitions have their numbers already, issued in one transaction.

        Under the locks of all of them, and for moments: a fetch counts as begun when it got its number. Numbers that
        nothing came of are taken back. An unfinished fetch has its number, and goes on.
        """
        newest = {key: self.snapshots.of(self.source.name, endpoint, key).newest for key in partitions}
        new = [key for key, one in newest.items() if one is None or one.manifest.ended]
        self._numbers.update({(endpoint, key): told for key, told in self._issued(endpoint, new).items()})
        try:
            yield
        finally:
            unused = [number for number, _ in self._numbers.values()]
            self._numbers.clear()
            if unused:
                with self.warehouse.session("taking back numbers of fetches") as connection:
                    ledger.never_begun(connection, unused)

    def _begin(self, walk: Walk) -> tuple[int, datetime]:
        numbered = self._numbers.pop((walk.name, walk.partition), None)
        return numbered or self._issued(walk.name, [walk.partition])[walk.partition]

    def _issued(self, endpoint: str, partitions: Sequence[str | None]) -> dict[str | None, tuple[int, datetime]]:
        source = self.settled
        bounds = {partition: source.endpoints[endpoint].bounds(partition) for partition in partitions}
        if not bounds:
            return {}
        with self.warehouse.session(f"beginning to fetch {self.label(endpoint, partitions[0])}") as connection:
            whose = owners.identify(connection, source.name, origin(source.base_url), source.account)
            self.snapshots.notes.note_account(source.name, *whose)
            above = self.snapshots.last_number()
            begun = ledger.begin(connection, (source.name, endpoint), bounds, self.run, self.now(), above)
            self.snapshots.issued(max(number for number, _ in begun.values()))
        return begun

    def _write_down(self, endpoint: str, partition: str | None) -> None:
        """The end of failed fetches into the ledger, so that `status` can tell; of good ones, their load does it."""
        newest = self.snapshots.of(self.source.name, endpoint, partition).newest
        if newest is not None and (end := newest.manifest.ended) and end.verdict not in LOADABLE:
            with self.warehouse.session(f"noting a failed fetch of {self.source.name}.{endpoint}") as connection:
                ledger.ended(connection, newest.manifest)

    def _walk(
        self,
        endpoint: str,
        partition: str | None,
        since: datetime | None = None,
        ends: Mapping[int, Any] | None = None,
    ) -> Walk:
        """What is to be fetched of a partition: of a feed from where it `ends`, of children those of each parent."""
        model, source, after = self.source.endpoints[endpoint], self.settled, None
        moved = since if model.feed is not None else None
        if moved is not None and model.feed is not None and model.feed.cursor is not None:
            source, ends = source.beginning(endpoint, moved), {}
        elif moved is not None:
            after = moved.isoformat()
        if ends is None:
            ends = self.ends(endpoint, partition) if model.feed is not None else {}
        if model.parent is None:
            return Walk(source, endpoint, partition, after or (ends[max(ends)] if ends else None))
        from ingest_assets.extract import children
        from ingest_assets.load import listed as listing

        with self.warehouse.session(f"reading the parents of {self.source.name}.{endpoint}") as connection:
            found = listing.parents(connection, self.source, endpoint, model.slice(partition).by)
        positions = children.positions(ends[fetch] for fetch in sorted(ends))
        parts = children.parts(source, endpoint, found, positions, after)
        walk = Walk(source, endpoint, partition, after, parts=tuple(parts))
        return walk if moved else children.completing(walk, self.stored(endpoint, partition), self.now())

    def _traced(self, endpoint: str, partition: str | None) -> Callable[[Asked], None]:
        log = TraceLog(trace_file(self.data, self.source.name))
        return lambda asked: log.add(asked, endpoint=endpoint, partition=partition, run=self.run)


def _is_open(snapshot: Snapshot) -> bool:
    """Whether its period went on after the fetch began: there may be more by now."""
    return snapshot.manifest.ended is not None and snapshot.manifest.ended.verdict == "open"
