"""The line of one source: fetch a partition, load a partition, one process a partition.

    API ──► extract ──► snapshot ──► normalize ──► load ──► warehouse

Without Dagster, so that it can be used as a library; `ingest_assets.assets` calls nothing else to move data.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from ingest_assets import catalog
from ingest_assets.errors import ConfigError, IngestError, Locked, NotBefore
from ingest_assets.extract import children
from ingest_assets.extract.peek import Peek, peek
from ingest_assets.extract.pull import Progress, Puller
from ingest_assets.extract.request import Walk
from ingest_assets.http.auth import Auth, Exchanged, Rotated
from ingest_assets.http.auth.exchanged import Ask, Token
from ingest_assets.http.breaker import Breaker
from ingest_assets.http.client import Client
from ingest_assets.http.exchange import Exchange
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import origin
from ingest_assets.http.rates import Allowed, Cost, PointLimit
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.rotation import Credential, Rotation
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.tokens import TokenFile
from ingest_assets.http.trace import Asked, TraceLog
from ingest_assets.http.traffic import Wait
from ingest_assets.http.transport import Timeouts, session
from ingest_assets.load import ledger, partitioning
from ingest_assets.load import listed as listing
from ingest_assets.load.erase import Eraser
from ingest_assets.load.load import LOADABLE, Loaded, Loader
from ingest_assets.load.partitioning import Kept
from ingest_assets.load.stage import Work
from ingest_assets.load.summary import Summary, summaries
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.locks import held
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.paths import encoded
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Source, listed

_PARTITION_WAIT_SECONDS = 30
_AT_ONCE = 30  # fetches that are staged together when many wait


@dataclass(frozen=True)
class Pace:
    """How fast and how patiently an API is asked; of those that wait for a limit, the higher priority goes first."""

    share: float = 1.0
    max_wait: timedelta = timedelta(minutes=15)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    retry_seconds: float = 600.0
    priority: int = 0


class Watcher(Protocol):
    """Is told how a line gets on."""

    def page(self, progress: Progress) -> None:
        """A page was stored, or a walk goes on from stored ones."""

    def wait(self, label: str, wait: Wait) -> None:
        """A wait begins."""

    def loaded(self, label: str) -> None:
        """A partition is in the warehouse."""

    def failed(self, label: str, error: IngestError) -> None:
        """A partition could not be fetched or loaded."""


class Unwatched:
    """Nobody looks."""

    def page(self, progress: Progress) -> None:
        """See `Watcher`."""

    def wait(self, label: str, wait: Wait) -> None:
        """See `Watcher`."""

    def loaded(self, label: str) -> None:
        """See `Watcher`."""

    def failed(self, label: str, error: IngestError) -> None:
        """See `Watcher`."""


def limits_folder() -> Path:
    """Where the grants of rate limits are kept: one folder a user, for all projects on the machine (XDG)."""
    return Path(os.environ.get("INGEST_LIMITS") or _state_folder() / "limits")


def tokens_folder() -> Path:
    """Where tokens are kept that secrets were exchanged for: beside the limits, never among data."""
    return Path(os.environ.get("INGEST_TOKENS") or _state_folder() / "tokens")


def _state_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "ingest_assets"


def trace_file(data: Path, source: str) -> Path:
    """Where the last requests of a source are kept."""
    return data / "trace" / f"{source}.jsonl"


@dataclass(frozen=True)
class Line:
    """One source's endpoints, to be fetched and loaded in one run. Settings are looked up when they are needed."""

    source: Source
    data: Path
    secrets: Secrets = field(default_factory=Secrets)
    run: str = ""
    pace: Pace = field(default_factory=Pace)
    warehouse_folder: Path | None = None
    warehouse_wait_seconds: float = 120
    watcher: Watcher = field(default_factory=Unwatched)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _fitting: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @cached_property
    def settled(self) -> Source:
        """The source with its settings in place."""
        return catalog.settled(self.source)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, in the data folder unless it has one of its own."""
        return Warehouse(self.warehouse_folder or self.data, wait_seconds=self.warehouse_wait_seconds)

    @cached_property
    def snapshots(self) -> Snapshots:
        """The snapshots of the data folder."""
        return Snapshots(self.data / "raw", now=self.now)

    @property
    def archive(self) -> Path:
        """Where snapshots go that were given up as a whole."""
        return self.data / "archive"

    @contextlib.contextmanager
    def partition(
        self, endpoint: str, partition: str | None, *, wait_seconds: float = _PARTITION_WAIT_SECONDS
    ) -> Iterator[None]:
        """Hold a partition's lock: its fetches and loads are one after another, over all processes."""
        file = self.data / "locks" / self.source.name / endpoint / f"{encoded(partition)}.lock"
        with held(file, f"run {self.run}, {self.label(endpoint, partition)}", wait_seconds):
            yield

    def label(self, endpoint: str, partition: str | None) -> str:
        """How messages name a partition."""
        return Walk(self.source, endpoint, partition).label

    def fetch(self, endpoint: str, partition: str | None, since: datetime | None = None) -> Snapshot:
        """Walk a partition to its end, or what is left of an unfinished walk; inside the partition's lock.

        `since` moves a feed to begin at that time. Raises what `Puller.fetch` raises; a fetch that failed for good
        stands in the warehouse with its reason.
        """
        self.refuse_changed(endpoint)
        walk = self._walk(endpoint, partition, since)
        client = partial(self._client, endpoint, self._traced(endpoint, partition))
        on_wait = partial(self.watcher.wait, walk.label)
        begin, show = self._begin, self.watcher.page
        try:
            with client(time.sleep, on_wait) as own:
                return Puller(own, self.snapshots, begin, self.run, show, self.now, client, on_wait).fetch(walk)
        finally:
            self._write_down(endpoint, partition)

    def peek(self, endpoint: str, partition: str | None) -> Peek:
        """The first page of a partition, of its first parent; nothing is written. It asks an API that is down, too."""
        walk = Walk(self.settled, endpoint, partition)
        if walk.endpoint.parent is not None:
            parts = self._walk(endpoint, partition).parts
            if not parts:
                raise ConfigError(f"{walk.label}: it has no parents to ask for: {walk.endpoint.parent} lists none")
            walk = replace(walk, parts=parts).of(parts[0])
        with self._client(
            endpoint, lambda _: None, time.sleep, partial(self.watcher.wait, walk.label), insists=True
        ) as client:
            return peek(client, walk)

    def load(self, endpoint: str, partition: str | None, *, replay: bool = False) -> list[Loaded]:
        """Load what is stored and not loaded; `replay` goes through all kept fetches again. Sends no request.

        ConfigError where what is kept is of other partitions than the file says.
        """
        self.refuse_changed(endpoint)
        return self._loader(endpoint).load(partition, replay=replay)

    def undo(self, endpoint: str, fetches: Sequence[Snapshot], reason: str) -> list[Loaded]:
        """Give stored fetches up for good, and bring the tables to where they would be without them.

        The caller holds the locks of their partitions. From the first write on, whatever loads such a partition
        leaves them out: what a crash leaves undone, the next load does.
        """
        for snapshot in sorted(fetches, key=lambda one: -one.fetch):
            self.snapshots.give_up(snapshot, reason)
        partitions = dict.fromkeys(snapshot.manifest.partition for snapshot in fetches)
        loads = [load for partition in partitions for load in self.load(endpoint, partition)]
        with self.warehouse.session(f"noting what is undone of {self.source.name}.{endpoint}") as connection:
            for snapshot in fetches:
                ledger.ended(connection, Snapshot(snapshot.folder).manifest)
        return loads

    def undone(self, endpoint: str) -> list[Snapshot]:
        """Fetches that were given up and are loaded still: somebody died while undoing them."""
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint)
        return [snapshot for snapshot in _given_up(stored) if snapshot.fetch in loaded]

    def untold_undone(self, endpoint: str, instance: str) -> list[ledger.Fetch]:
        """Undone fetches that a Dagster instance still takes for loaded."""
        with self.warehouse.session(f"reading what is undone of {self.source.name}.{endpoint}") as connection:
            return ledger.untold_undone(connection, self.source.name, endpoint, instance)

    def told_undone(self, fetches: Iterable[int], instance: str) -> None:
        """Remember that a Dagster instance has been told that these fetches are undone."""
        with self.warehouse.session("noting what is reported") as connection:
            ledger.told_undone(connection, fetches, instance)

    def catch_up(self, endpoint: str, partition: str | None) -> Iterator[Loaded]:
        """Load what is stored and not loaded, some fetches at a time and in their order, as they once came.

        So the account of each fetch and the lineage of each row are those of a table that was loaded as it grew, also
        of a table that keeps the newest fetch only.
        """
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        stored = self.snapshots.fetches(self.source.name, endpoint, partition)
        waiting = [s.fetch for s in stored if s.fetch not in loaded]
        step = _AT_ONCE if self.source.endpoints[endpoint].contract.write == "merge" else 1
        for done in range(step, len(waiting) + step, step) if waiting else [0]:
            yield from self._loader(endpoint, frozenset(waiting[done:])).load(partition)

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

    def eraser(self, endpoint: str) -> Eraser:
        """What finds and erases a key of an endpoint; it waits for who works on a partition, or raises Locked."""
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
        loaded = {fetch.fetch for fetch in self.fetches(endpoint) if fetch.loaded}
        return newest if newest.fetch not in loaded else None

    def is_replayed(self, endpoint: str, newest: Snapshot) -> bool:
        """Whether a partition needs no replay: its newest fetch was loaded by this very run, under this contract."""
        told = next((fetch for fetch in self.fetches(endpoint) if fetch.fetch == newest.fetch), None)
        if told is None or told.loaded is None or not self.run:
            return False
        return (told.loaded_run, told.contract) == (self.run, self.source.endpoints[endpoint].contract.version)

    def _is_young(self, snapshot: Snapshot) -> bool:
        return self.now() - snapshot.manifest.started <= self.source.resume_within

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
        kept = self._loader(endpoint).kept
        late = [key for key in waiting if key in undone or any(s.fetch not in loaded for s in kept(key))]
        return [*late, *sorted(undone - set(late), key=str)]

    def members(self, endpoint: str) -> dict[str, list[str]]:
        """The values of those of an endpoint's dimensions that other endpoints list, as their tables have them now.

        ConfigError where a table has no such column, ContractBroken where a value cannot be part of a key.
        """
        dimensions = listed(self.source.endpoints[endpoint])
        if not dimensions:
            return {}
        with self.warehouse.session(f"reading what {self.source.name}.{endpoint} is partitioned by") as connection:
            return {name: listing.values(connection, self.source.name, told) for name, told in dimensions.items()}

    def known(self, instance: str) -> dict[str, ledger.Known]:
        """What the warehouse knows of each endpoint, and what it has not told a Dagster instance; makes no warehouse.

        Raises what `members` raises, and StorageFailed where the warehouse is lost.
        """
        self.warehouse.refuse_lost()
        if not self.warehouse.writer.exists():
            return {name: ledger.Known() for name in self.source.endpoints}
        name, dimensions = self.source.name, {key: listed(one) for key, one in self.source.endpoints.items()}
        with self.warehouse.session(f"reading what is due of {name}") as connection:
            return {
                endpoint: replace(
                    ledger.known(connection, name, endpoint, instance),
                    members={key: listing.values(connection, name, one) for key, one in told.items()},
                )
                for endpoint, told in dimensions.items()
            }

    def failed(self, endpoint: str, partition: str | None, error: IngestError, *, stops: bool) -> None:
        """Write down that a partition could not be fetched or loaded; `stops` where others would fare no better."""
        key = (self.source.name, endpoint, partition)
        with self.warehouse.session(f"noting a failure of {self.label(endpoint, partition)}") as connection:
            wait = (error.until, error.everywhere) if isinstance(error, NotBefore) else (None, False)
            ledger.failed(connection, key, self.run, ledger.Failure(partition, self.now(), str(error), stops, *wait))

    def kept(self, endpoint: str) -> list[Kept]:
        """The fetches that count: those that are loaded, and those that are stored to be loaded."""
        loaded = [f for f in self.fetches(endpoint) if f.loaded]
        known = {fetch.fetch for fetch in loaded}
        waiting = [s.manifest for s in self.snapshots.fetches(self.source.name, endpoint) if s.fetch not in known]
        found = [Kept(f.fetch, f.partition, (f.from_time, f.until_time)) for f in loaded]
        for one in waiting:
            if one.ended and one.ended.verdict in LOADABLE:
                bounds = (one.bounds.from_, one.bounds.until) if one.bounds else (None, None)
                found.append(Kept(one.fetch, one.partition, bounds))
        return sorted(found, key=lambda kept: kept.fetch)

    def refuse_changed(self, endpoint: str) -> None:
        """ConfigError where what is kept is of other partitions than the file says; looked at once."""
        if endpoint not in self._fitting:
            label = f"{self.source.name}.{endpoint}"
            partitioning.refuse(label, self.source.endpoints[endpoint], self.kept(endpoint))
            self._fitting.add(endpoint)

    def abandon(self, endpoint: str) -> Path | None:
        """Give up all that is kept of an endpoint: its tables go, its snapshots to the archive; where they are then.

        The caller holds the locks of its partitions.
        """
        name = self.source.name
        with self.warehouse.session(f"giving up {name}.{endpoint}") as connection:
            known = ledger.registry(connection, name, endpoint)
            tables = list(Registry.from_json(known[2]).names.values()) if known else []
            partitioning.abandon(connection, name, endpoint, tables)
        return self.snapshots.archive(name, endpoint, self.archive)

    def stored(self, endpoint: str, partition: str | None) -> Snapshot | None:
        """The newest stored fetch that counts, or None."""
        kept = self._loader(endpoint).kept(partition)
        return kept[-1] if kept else None

    def summaries(self, endpoint: str, fetches: Collection[int]) -> dict[int, Summary]:
        """What the warehouse says of loaded fetches, by number."""
        with self.warehouse.session(f"reading about {len(fetches)} fetches of {endpoint}") as connection:
            told = [f for f in ledger.fetches(connection, self.source.name, endpoint) if f.fetch in fetches]
            return summaries(connection, told, self.source.endpoints[endpoint].contract)

    def unreported(self, endpoint: str, instance: str) -> list[ledger.Fetch]:
        """Loads that a Dagster instance has not been told of."""
        with self.warehouse.session(f"reading what is not reported of {self.source.name}.{endpoint}") as connection:
            return ledger.unreported(connection, self.source.name, endpoint, instance)

    def reported(self, loads: Mapping[int, datetime], instance: str) -> None:
        """Remember that a Dagster instance has been told of these loads: the time of each, by its fetch."""
        with self.warehouse.session("noting what is reported") as connection:
            ledger.report(connection, loads, instance)

    def publish(self) -> None:
        """Bring the reader's copy up to date."""
        self.warehouse.publish()

    def _loader(self, endpoint: str, held: frozenset[int] = frozenset()) -> Loader:
        work = Work(self.source.name, endpoint, self.source.endpoints[endpoint])
        return Loader(self.warehouse, self.snapshots, work, self.run, self.now, held)

    def _begin(self, walk: Walk) -> tuple[int, datetime]:
        key = (walk.source.name, walk.name, walk.partition)
        with self.warehouse.session(f"beginning to fetch {walk.label}") as connection:
            whose = ledger.identify(connection, walk.source.name, origin(walk.source.base_url), walk.source.account)
            self.snapshots.notes.note_account(walk.source.name, *whose)
            fetch, started = ledger.begin(
                connection, key, walk.bounds, self.run, self.now(), above=self.snapshots.last_number()
            )
            self.snapshots.issued(fetch)
        return fetch, started

    def _write_down(self, endpoint: str, partition: str | None) -> None:
        """The end of failed fetches into the ledger, so that `status` can tell; of good ones, their load does it."""
        stored = self.snapshots.fetches(self.source.name, endpoint, partition)
        if stored and (end := stored[-1].manifest.ended) and end.verdict not in LOADABLE:
            with self.warehouse.session(f"noting a failed fetch of {self.source.name}.{endpoint}") as connection:
                ledger.ended(connection, stored[-1].manifest)

    def _walk(self, endpoint: str, partition: str | None, since: datetime | None = None) -> Walk:
        """What is to be fetched of a partition: of a feed from where it ended, of children those of each parent."""
        model, name = self.source.endpoints[endpoint], f"{self.source.name}.{endpoint}"
        if since is not None and model.feed is not None and model.feed.cursor is not None:
            raise ConfigError(f"{name}: --since needs a feed that goes on by time, not by cursor")
        after = since.isoformat() if since is not None and model.feed is not None else None
        ends = self._ends(endpoint, partition) if model.feed is not None else {}
        if model.parent is None:
            return Walk(self.settled, endpoint, partition, after or (ends[max(ends)] if ends else None))
        with self.warehouse.session(f"reading the parents of {name}") as connection:
            found = listing.parents(connection, self.source, endpoint, model.slice(partition).by)
        positions = children.positions(ends[fetch] for fetch in sorted(ends))
        parts = children.parts(self.settled, endpoint, found, positions, after)
        walk = Walk(self.settled, endpoint, partition, parts=tuple(parts))
        return walk if after else children.completing(walk, self.stored(endpoint, partition), self.now())

    def _ends(self, endpoint: str, partition: str | None) -> dict[int, Any]:
        """Where the fetches of a feed ended, by their numbers: complete ones, and the parents that others reached."""
        ending = ("complete", "incomplete") if self.source.endpoints[endpoint].parent is not None else ("complete",)
        stored = [s.manifest for s in self.snapshots.fetches(self.source.name, endpoint, partition)]
        ends = {m.fetch: m.ended.position for m in stored if m.ended and m.ended.verdict in ending}
        undone = {snapshot.fetch for snapshot in self.undone(endpoint)}
        told = [f for f in self.fetches(endpoint) if f.partition == partition and f.fetch not in undone]
        ends |= {f.fetch: f.told_position for f in told if f.verdict in ending}
        return ends

    def _traced(self, endpoint: str, partition: str | None) -> Callable[[Asked], None]:
        log = TraceLog(trace_file(self.data, self.source.name))
        return lambda asked: log.add(asked, endpoint=endpoint, partition=partition, run=self.run)

    def _client(
        self,
        endpoint: str,
        on_asked: Callable[[Asked], None],
        sleep: Callable[[float], None],
        on_wait: Callable[[Wait], None],
        *,
        insists: bool = False,
    ) -> Client:
        model = self.settled.endpoints[endpoint]
        base = model.base_url or self.settled.base_url
        auth = model.auth or self.settled.auth
        credential = auth.credential_id(self.secrets)
        return Client(
            base,
            auth,
            self.secrets,
            self._limiters(endpoint, base, credential, sleep),
            rotation=self._rotation(auth, endpoint, base, sleep),
            tls=self.settled.tls,
            cost=model.cost.told if isinstance(model.cost, Cost) else None,
            connect_timeout_seconds=self.pace.connect_timeout_seconds,
            read_timeout_seconds=self.pace.read_timeout_seconds,
            retry=RetryPolicy(seconds=self.pace.retry_seconds),
            error_message=self.settled.error_message,
            max_body_bytes=model.answer.max_mb << 20,
            max_ratio=model.answer.max_ratio,
            member=model.answer.member,
            responses=(*model.responses, *self.settled.responses),
            breaker=None if insists else self._breaker(base, sleep),
            on_wait=on_wait,
            on_asked=on_asked,
            sleep=sleep,
            tokens=tokens_folder(),
            token_limiter=self._token_limiter(auth, base, credential, sleep),
        )

    def down(self) -> list[str]:
        """The origins of the source that count as down: since when, why, and until when nothing is asked of them."""
        bases = [endpoint.base_url or self.settled.base_url for endpoint in self.settled.endpoints.values()]
        breakers = [self._breaker(base, time.sleep) for base in {origin(base): base for base in bases}.values()]
        found = [(breaker.origin, breaker.state()) for breaker in breakers]
        return [f"{where} is {down.told(time.time())}" for where, down in found if down is not None and down.is_open]

    def _breaker(self, base: str, sleep: Callable[[float], None]) -> Breaker:
        return Breaker(limits_folder(), self.source.name, origin(base), self.source.breaker, sleep=sleep)

    def grant(self, auth: Exchanged, given: Callable[[Ask], Token]) -> None:
        """Keep a token that a person has granted; `given` gets it by asking the token's server."""
        times = Timeouts(self.pace.connect_timeout_seconds, self.pace.read_timeout_seconds)
        file = TokenFile(tokens_folder(), auth.token_key(self.secrets))
        with contextlib.closing(session(self.settled.tls)) as pool:
            Exchange(auth, self.secrets, file, None, pool, times, lambda _seconds, _why: None).grant(given)

    def _rotation(self, auth: Auth, endpoint: str, base: str, sleep: Callable[[float], None]) -> Rotation | None:
        """The credentials that take turns, where there are several, each with limits of its own."""
        if not isinstance(auth, Rotated):
            return None
        named = [(one, one.credential_id(self.secrets)) for one in auth.each]
        return Rotation([Credential(one, self._limiters(endpoint, base, key, sleep)) for one, key in named])

    def _token_limiter(self, auth: Auth, base: str, credential: str, sleep: Callable[[float], None]) -> Limiter | None:
        """A token's request counts like any other where it goes to the API itself; elsewhere only 429s hold it back."""
        if not isinstance(auth, Exchanged):
            return None
        of_the_api = origin(auth.exchange_url()) in {origin(base), origin(self.settled.base_url)}
        limits = self.settled.rate_limit if of_the_api else ()
        return self._limiter(auth.exchange_url(), credential, "", limits, sleep)

    def _limiters(self, endpoint: str, base: str, credential: str, sleep: Callable[[float], None]) -> list[Limiter]:
        """The narrowest first; the last one is that of all requests of the source, and learns from answers."""
        model, limits = self.settled.endpoints[endpoint], self.settled.rate_limit
        named = [(f"bucket {name}", self.settled.buckets[name]) for name in model.bucket]
        narrow = [(name, found) for name, found in [(endpoint, model.rate_limit), *named] if found]
        return [self._limiter(base, credential, *bucket, sleep, endpoint) for bucket in [*narrow, ("", limits)]]

    def _limiter(
        self,
        url: str,
        credential: str,
        bucket: str,
        limits: Sequence[Allowed],
        sleep: Callable[[float], None],
        endpoint: str | None = None,
    ) -> Limiter:
        model = self.settled.endpoints[endpoint] if endpoint is not None else None
        in_points = any(isinstance(limit, PointLimit) for limit in limits)
        return Limiter(
            limits_folder(),
            f"{origin(url)} {credential} {bucket}",
            limits,
            points=model.points if model is not None else 1,
            corrected=in_points and model is not None and isinstance(model.cost, Cost),
            endpoint=endpoint or "",
            learns=endpoint is not None and not bucket and self.settled.learn,
            share=self.pace.share,
            priority=self.pace.priority,
            max_wait_seconds=self.pace.max_wait.total_seconds(),
            sleep=sleep,
        )


def _is_open(snapshot: Snapshot) -> bool:
    """Whether its period went on after the fetch began: there may be more by now."""
    return snapshot.manifest.ended is not None and snapshot.manifest.ended.verdict == "open"


def data_version(snapshot: Snapshot) -> str:
    """A hash of a fetch's stored responses: the same where the API told the same."""
    text = "\n".join(entry.sha256 for entry in snapshot.pages)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _given_up(stored: Iterable[Snapshot]) -> list[Snapshot]:
    return [s for s in stored if s.manifest.ended and s.manifest.ended.verdict == "given_up"]
