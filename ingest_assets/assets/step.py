"""What a run does with the selected partitions of one endpoint: fetch and load each before the next one begins.

    for some partitions at a time, under their locks
        raw selected      what this run has fetched already, or a stored fetch that is not loaded, or one that
                          began since a schedule or sensor asked for this run, or a new fetch
        table selected    load what is stored; without raw: replay it
        report            an event an asset and partition
    then                  the reader's copy, and one output an asset for what depends on it

A range that dies on its fourth day leaves three days done; one day that the API refuses leaves the others. What is
skipped or loaded is decided from the snapshots and the warehouse, never from what Dagster knows.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import NoReturn

import dagster as dg

from ingest_assets.assets.gathered import MATERIALIZED, gathered
from ingest_assets.assets.groups import Size
from ingest_assets.assets.jobs import asked_for
from ingest_assets.assets.members import add_listed_by
from ingest_assets.assets.reconcile import Known, Reconciler
from ingest_assets.assets.report import Reporter, identity
from ingest_assets.durations import clock
from ingest_assets.errors import (
    ConfigError,
    ContractBroken,
    IngestError,
    Locked,
    NotBefore,
    RequestFailed,
    StorageFailed,
    TransientFailure,
    WalkIncomplete,
)
from ingest_assets.line import Line
from ingest_assets.raw.snapshots import Snapshot

# An output of this metadata counts as produced and adds no event: each partition has reported for itself.
NO_EVENTS = {"__source_asset_observation__": True}
_LONGEST_RETRY_SECONDS = 7200
_MOST_RETRIES = 3
_NAMED = 10
_REFUSED_IN_A_ROW = 3


def going_on(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """The id of the run whose work a run goes on with: itself, or the first of those that failed before it.

    What is executed again after a success is meant to be fetched again.
    """
    while run.parent_run_id and (former := instance.get_run_by_id(run.parent_run_id)):
        if former.is_success:
            break
        run = former
    return run.run_id


@dataclass
class Step:
    """One endpoint's step in one run."""

    context: dg.AssetExecutionContext
    line: Line
    endpoint: str
    report: Reporter
    since: datetime | None = None
    _told: set[tuple[object, ...]] = field(default_factory=set)
    _known: Known = field(default_factory=dict)
    _others_loaded: bool = False
    _failures: list[IngestError] = field(default_factory=list)
    _stops: tuple[str | None, IngestError] | None = None
    _refused: int = 0

    def outputs(self) -> Iterator[dg.Output[None]]:
        """Does the work, then yields one output a selected asset, upstream first.

        Raises dg.Failure, with what happened and what to do, where a partition could not be done: what cannot get
        better stops the range, what concerns one partition lets the others go on. dg.RetryRequested where the API asks
        for a pause again and again. A pause that is too long to wait for ends the run: it would hold its slot.
        """
        self._told = self._told_before()
        try:
            reconciler = self._reconciler
            self._known |= reconciler.reconcile(reconciler.untold() - self._resumed())
            failures = self._work()
            if self.report.table in self.context.selected_asset_keys:
                self._list()
            if self._others_loaded:
                # But for those that failed: what is there of them is shown by the next start, the failure now.
                failed = set(self._partitions()) - self._known.keys()
                self._known |= reconciler.reconcile(reconciler.untold() - failed)
        except IngestError as error:
            self.line.watcher.failed(self.line.label(self.endpoint, None), error)
            self._stop([error])
        finally:
            self._publish()
        if failures:
            raise _failure(failures, "the other partitions are done")
        for key in self._selected():
            name = self.context.assets_def.get_output_name_for_asset_key(key)
            yield dg.Output(None, output_name=name, metadata=NO_EVENTS)

    def _list(self) -> None:
        """Tell Dagster the partitions of other endpoints that this one's table lists."""
        for name, new in add_listed_by(self.context.instance, self.line, self.endpoint).items():
            if new:
                self.context.log.info(f"{len(new)} new partitions {name}: {', '.join(new[:_NAMED])}")  # noqa: G004 -- Dagster's log shows the text

    def _work(self) -> list[IngestError]:
        """All partitions, some at a time; the failures that concern one partition only.

        Those that another process holds come last, and are waited for: it may be done by then, and the others are.
        """
        locked = self._all(self._partitions(), wait=False)
        if self._stops is None:
            locked = self._all(list(locked), wait=True)
        for partition, error in locked.items():
            self._write_down(partition, error, stops=False)
            self._failed_alone(partition, error)
        if self._stops is not None:
            # Only now: what was fetched before it is loaded since, and a load forgives the failures before it.
            self._write_down(*self._stops, stops=True)
            self._stop([*self._failures, self._stops[1]])
        return self._failures

    def _all(self, partitions: Sequence[str | None], *, wait: bool) -> dict[str | None, Locked]:
        """Deal with these partitions, some at a time; those that another process holds, and who does.

        Of several that are held, only one is waited for in vain.
        """
        left, size, locked = list(partitions), Size(), dict[str | None, Locked]()
        while left and self._stops is None:
            with size.measured(), contextlib.ExitStack() as locks:
                try:
                    held = self._held(left[: size.now], locks, wait=wait and not locked)
                except Locked as error:
                    locked[left[0]], done = error, 1
                else:
                    done = self._some(held, size)
            left = left[max(done, 1) :]  # a first one that could not even be looked at has failed, and is dealt with
        return locked

    def _held(self, partitions: Sequence[str | None], locks: contextlib.ExitStack, *, wait: bool) -> list[str | None]:
        """Hold the locks of these partitions, up to one that is not free; Locked where that is the first.

        Who holds locks waits for none: of two runs that did, each might wait for the other.
        """
        held: list[str | None] = []
        for partition in partitions:
            at_once = {} if wait and not held else {"wait_seconds": 0.0}
            try:
                locks.enter_context(self.line.partition(self.endpoint, partition, **at_once))
            except Locked:
                if not held:
                    raise
                break
            held.append(partition)
        return held

    def _some(self, partitions: Sequence[str | None], size: Size) -> int:
        """Fetch and load partitions whose locks are held; how many of them were dealt with."""
        if self.report.raw not in self.context.selected_asset_keys:
            self._load(partitions)
            return len(partitions)
        got: dict[str | None, Snapshot | None] = {}
        try:
            self._fetch(partitions, got, size)
        finally:
            # Also of a run that is interrupted: what it has fetched is loaded, and told.
            self._finish({partition: snapshot for partition, snapshot in got.items() if snapshot is not None})
        return len(got)

    def _fetch(self, partitions: Sequence[str | None], got: dict[str | None, Snapshot | None], size: Size) -> None:
        """Put into `got` what is stored of each partition, fetched if need be, as long as that takes moments.

        Of one that could not be fetched it is None.
        """
        stored = self._stored(partitions)
        try:
            with self._numbered([partition for partition, snapshot in stored.items() if snapshot is None]):
                for partition, snapshot in stored.items():
                    if self._stops is not None or (got and size.is_used_up(got.values())):
                        return
                    got[partition] = snapshot or self._fetched(partition)
        except (Locked, StorageFailed, ConfigError) as error:
            self._failed(partitions[0], error)

    def _fetched(self, partition: str | None) -> Snapshot | None:
        loads = self.report.table in self.context.selected_asset_keys
        try:
            snapshot = self.line.fetch(self.endpoint, partition, self.since, loads=loads)
        except IngestError as error:
            self._failed(partition, error)
            return None
        self._refused = 0
        return snapshot

    def _numbered(self, partitions: Sequence[str | None]) -> contextlib.AbstractContextManager[None]:
        return self.line.numbering(self.endpoint, partitions) if len(partitions) > 1 else contextlib.nullcontext()

    def _failed(self, partition: str | None, error: IngestError) -> None:
        """Note a failure: of one partition, or one that stops the range."""
        self._refused += self._is_of_what_was_asked(error)
        stops = not self._is_of_one(error)
        if stops and self._stops is None:
            self.line.watcher.failed(self.line.label(self.endpoint, partition), error)
            self._stops = partition, error
            return
        self._write_down(partition, error, stops=stops)
        self._failed_alone(partition, error)

    def _is_of_one(self, error: IngestError) -> bool:
        """Whether a failure is a matter of one partition; so is a refusal, until several in a row are refused."""
        if isinstance(error, WalkIncomplete | ContractBroken):
            return True
        return self._is_of_what_was_asked(error) and self._refused < _REFUSED_IN_A_ROW

    def _is_of_what_was_asked(self, error: IngestError) -> bool:
        """Whether a refusal may be of this day or account, and not of who asks: a 403 is of an account, if of any."""
        from ingest_assets.extract.failures import concerns_one

        told = self.line.source.endpoints[self.endpoint].partitions
        if told is None or len(self._partitions()) == 1:
            return False
        if not isinstance(error, RequestFailed) or not concerns_one(error):
            return False
        return error.status != HTTPStatus.FORBIDDEN or bool(told.by)

    def _failed_alone(self, partition: str | None, error: IngestError) -> None:
        """Note a failure that leaves the other partitions."""
        self.line.watcher.failed(self.line.label(self.endpoint, partition), error)
        self._failures.append(error)
        # The message says it all; a traceback would hide it.
        self.context.log.error(str(error))

    def _write_down(self, partition: str | None, error: IngestError, *, stops: bool) -> None:
        """So that sensors leave it alone for a while. Where the warehouse itself fails, it is told in the log only."""
        if isinstance(error, StorageFailed) or (stops and isinstance(error, Locked)):
            return
        try:
            self.line.failed(self.endpoint, partition, error, stops=stops)
        except (Locked, StorageFailed) as another:
            self.context.log.warning("The failure is not written down: %s", another)

    def _selected(self) -> list[dg.AssetKey]:
        return [key for key in (self.report.raw, self.report.table) if key in self.context.selected_asset_keys]

    def _partitions(self) -> Sequence[str | None]:
        # A run over days may hold feeds and listings too: its days are none of theirs.
        if self.line.source.endpoints[self.endpoint].partitions is None:
            return [None]
        return [str(key) for key in self.context.partition_keys]

    @property
    def _reconciler(self) -> Reconciler:
        return Reconciler(self.report, self.context.log)

    def _resumed(self) -> set[str | None]:
        """Partitions that this run will report as its own: fetched by the run that it goes on with."""
        if self.report.table not in self.context.selected_asset_keys:
            return set()
        untold = self.line.unreported(self.endpoint, self.report.instance_id)
        done = {fetch.partition for fetch in untold if fetch.run == self.line.run}
        return done.intersection(self._partitions())

    def _told_before(self) -> set[tuple[object, ...]]:
        """What earlier tries of this run have shown: a retried step starts again at its first partition."""
        if not self.context.retry_number:
            return set()
        run = self.context.run.run_id
        logs = self.context.instance.all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return {identity(log.asset_materialization) for log in logs if log.asset_materialization}

    def _stored(self, partitions: Sequence[str | None]) -> dict[str | None, Snapshot | None]:
        """What is fetched already of partitions, by this run or since it was asked for, or waits to be loaded.

        None where a fetch is due.
        """
        stored: dict[str | None, Snapshot | None] = {}
        for partition in partitions:
            try:
                stored[partition] = self._there(partition)
            except IngestError as error:
                if not stored:  # else its turn comes after those before it
                    self._failed(partition, error)
                break
        return stored

    def _there(self, partition: str | None) -> Snapshot | None:
        done = self.line.done(self.endpoint, partition, whatever_age=self.context.retry_number > 0)
        if done is None and self.report.table in self.context.selected_asset_keys:
            done = self.line.pending(self.endpoint, partition)
        if done is None and (asked := asked_for(self.context.run)):
            return self.line.loaded_since(self.endpoint, partition, asked)
        return done

    def _finish(self, fetched: Mapping[str | None, Snapshot]) -> None:
        """Tell of what was fetched, and load it."""
        with gathered(self.report.instance, MATERIALIZED):
            for snapshot in fetched.values():
                self._tell(self.report.fetched(snapshot))
        if self.report.table in self.context.selected_asset_keys:
            self._load(list(fetched))

    def _load(self, partitions: Sequence[str | None]) -> None:
        """Load what is stored of partitions, and tell of it; without raw, replay it."""
        try:
            newest = self._newest(partitions)
            loaded = self._loaded(newest)
            self._tell_loaded([newest[partition] for partition in loaded])
        except IngestError as error:
            self._failed(partitions[0], error)

    def _newest(self, partitions: Sequence[str | None]) -> dict[str | None, Snapshot]:
        newest = {}
        for partition in partitions:
            found = self.line.stored(self.endpoint, partition)
            if found is not None:
                newest[partition] = found
                continue
            label, raw = self.line.label(self.endpoint, partition), self.report.raw.to_user_string()
            self._failed(partition, WalkIncomplete(f"{label}: nothing is stored to load; materialize {raw} too"))
        return newest

    def _loaded(self, newest: Mapping[str | None, Snapshot]) -> list[str | None]:
        """Load partitions, or replay them; those of them that are loaded."""
        replays, loaded = self._replays(newest), list[str | None]()
        for partition, found in self.line.load_together(self.endpoint, replays) if replays else ():
            if isinstance(found, IngestError):
                self._failed(partition, found)
                if self._stops is not None:
                    break
                continue
            self._others_loaded |= any(load.partition != partition for load in found)
            loaded.append(partition)
        return loaded

    def _replays(self, newest: Mapping[str | None, Snapshot]) -> dict[str | None, bool]:
        """Which partitions are to be replayed: without raw, all that this run has not replayed yet."""
        if self.report.raw in self.context.selected_asset_keys:
            return dict.fromkeys(newest, False)
        done = self.line.replayed(self.endpoint, newest.values())
        return {partition: snapshot.fetch not in done for partition, snapshot in newest.items()}

    def _tell_loaded(self, newest: Sequence[Snapshot]) -> None:
        """Tell of loads: first of those fetches that were not told, since what is told of a load points to them."""
        if not newest:
            return
        told = self.line.summaries(self.endpoint, [snapshot.fetch for snapshot in newest])
        with gathered(self.report.instance, MATERIALIZED):
            for event, snapshot in [(self.report.fetched(snapshot), snapshot) for snapshot in newest]:
                if identity(event) not in self._told and not self.report.knows_fetch(snapshot):
                    self._tell(event)
        sources = self.report.sources([snapshot.manifest.partition for snapshot in newest])
        with gathered(self.report.instance, MATERIALIZED):
            for snapshot in newest:
                load, partition = told[snapshot.fetch], snapshot.manifest.partition
                self._tell(self.report.loaded(snapshot, load, sources.get(partition)))
                if load.fetch.loaded is not None:
                    self._known[partition] = load.fetch.loaded
        for snapshot in newest:
            self.line.watcher.loaded(self.line.label(self.endpoint, snapshot.manifest.partition))

    def _tell(self, event: dg.AssetMaterialization) -> None:
        if identity(event) not in self._told:
            self.context.log_event(event)
            self._told.add(identity(event))

    def _publish(self) -> None:
        try:
            self._reconciler.note(self._known)
            self.line.publish(paced=True)
        except (Locked, StorageFailed) as error:
            self.context.log.warning("The tables are loaded; the reader's copy is still the former one: %s", error)
            if isinstance(error, StorageFailed):  # who holds the lock publishes, or the next run does
                self.line.watcher.failed(self.line.label(self.endpoint, None), error)

    def _stop(self, failures: Sequence[IngestError]) -> NoReturn:
        error = failures[-1]
        seconds = error.wait_seconds if isinstance(error, TransientFailure) else None
        if seconds and seconds <= _LONGEST_RETRY_SECONDS and not isinstance(error, NotBefore):
            self.context.log.warning("%s. Goes on in %.0f s; what is done stays done", error, seconds)
            raise dg.RetryRequested(max_retries=_MOST_RETRIES, seconds_to_wait=seconds) from error
        raise _failure(failures, "partitions before it are done") from error


def _failure(errors: Sequence[IngestError], done: str) -> dg.Failure:
    """What people see: every error, and what of the run stands."""
    lines, again = "\n".join(str(error) for error in errors), "run again for the rest"
    if isinstance(errors[-1], NotBefore):
        done, again = f"{done}, those after it were not asked for", f"run again after {clock(errors[-1].until)}"
    may_pass = all(isinstance(error, TransientFailure) and not isinstance(error, NotBefore) for error in errors)
    return dg.Failure(f"{lines}\n({done}; {again})", allow_retries=may_pass)
