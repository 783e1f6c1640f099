"""What a run does with the selected partitions of one endpoint: fetch and load each before the next one begins.

    for each partition, under its lock
        raw selected      what this run has fetched already, or a stored fetch that is not loaded, or a new fetch
        table selected    load what is stored; without raw: replay it
        report            an event an asset and partition, at once
    then                  the reader's copy, and one output an asset for what depends on it

A range that dies on its fourth day leaves three days done. What is skipped or loaded is decided from the snapshots
and the warehouse, never from what Dagster knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

import dagster as dg

from ingest_assets.assets.report import FETCH_TAG, Reporter
from ingest_assets.errors import ContractBroken, IngestError, Locked, StorageFailed, TransientFailure, WalkIncomplete
from ingest_assets.line import Line

# An output of this metadata counts as produced and adds no event: each partition has reported for itself.
NO_EVENTS = {"__source_asset_observation__": True}
_LONGEST_RETRY_SECONDS = 7200
_MOST_RETRIES = 3


@dataclass
class Step:
    """One endpoint's step in one run."""

    context: dg.AssetExecutionContext
    line: Line
    endpoint: str
    report: Reporter
    since: datetime | None = None
    _loads: list[tuple[int, datetime]] = field(default_factory=list)
    _reported: set[tuple[dg.AssetKey, str | None]] = field(default_factory=set)

    def outputs(self) -> Iterator[dg.Output[None]]:
        """Does the work, then yields one output a selected asset, upstream first.

        Raises dg.Failure, with what happened and what to do, where a partition could not be done: what cannot get
        better stops the range, what concerns one partition lets the others go on. dg.RetryRequested where the API asks
        for a pause that is too long to wait in a request.
        """
        self._reported = self._already_reported()
        try:
            self._reconcile()
            failures = self._work()
        finally:
            self._publish()
        if failures:
            raise _failure(failures, "the other partitions are done")
        for key in self._selected():
            name = self.context.assets_def.get_output_name_for_asset_key(key)
            yield dg.Output(None, output_name=name, metadata=NO_EVENTS)

    def _work(self) -> list[IngestError]:
        """Each partition in turn; the failures that concern one partition only."""
        failures: list[IngestError] = []
        for partition in self._partitions():
            try:
                self._partition(partition)
            except IngestError as error:
                failures.append(error)
                self.line.watcher.failed(self.line.label(self.endpoint, partition), error)
                if not isinstance(error, WalkIncomplete | ContractBroken):
                    self._stop(failures)
                # The message says it all; a traceback would hide it.
                self.context.log.error(str(error))  # noqa: TRY400
        return failures

    def _selected(self) -> list[dg.AssetKey]:
        return [key for key in (self.report.raw, self.report.table) if key in self.context.selected_asset_keys]

    def _partitions(self) -> Sequence[str | None]:
        one_or_more = self.context.has_partition_key or self.context.has_partition_key_range
        return list(self.context.partition_keys) if one_or_more else [None]

    def _already_reported(self) -> set[tuple[dg.AssetKey, str | None]]:
        """What earlier tries of this run have shown: a retried step starts again at its first partition."""
        if not self.context.retry_number:
            return set()
        logs = self.context.instance.all_logs(self.context.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        events = [log.dagster_event for log in logs if log.dagster_event]
        return {(event.asset_key, event.partition) for event in events if event.asset_key}

    def _partition(self, partition: str | None) -> None:
        raw, table = (key in self.context.selected_asset_keys for key in (self.report.raw, self.report.table))
        with self.line.partition(self.endpoint, partition):
            if raw:
                snapshot = self.line.done(self.endpoint, partition)
                if snapshot is None and table:
                    snapshot = self.line.pending(self.endpoint, partition)
                if snapshot is None:
                    snapshot = self.line.fetch(self.endpoint, partition, self.since)
                self._tell(self.report.fetched(snapshot))
            if table:
                self._load(partition, replay=not raw)

    def _load(self, partition: str | None, *, replay: bool) -> None:
        newest = self.line.stored(self.endpoint, partition)
        if newest is None:
            raise WalkIncomplete(
                f"{self.line.label(self.endpoint, partition)}: nothing is stored to load; materialize "
                f"{self.report.raw.to_user_string()} too"
            )
        replay = replay and self.line.pending(self.endpoint, partition) is None
        loads = self.line.load(self.endpoint, partition, replay=replay)
        told = {(load.partition, load.fetch) for load in loads} | {(partition, newest.fetch)}
        for other in dict.fromkeys(key for key, _ in sorted(told, key=lambda load: load[1])):
            self._tell_load(other, max(fetch for key, fetch in told if key == other))
        self.line.watcher.loaded(self.line.label(self.endpoint, partition))

    def _tell_load(self, partition: str | None, fetch: int) -> None:
        snapshot = self.line.snapshots.find(self.line.source.name, self.endpoint, partition, fetch)
        told = self.line.summary(self.endpoint, fetch)
        self._tell(self.report.loaded(snapshot, told))
        if told.fetch.loaded is not None:
            self._loads.append((fetch, told.fetch.loaded))

    def _tell(self, event: dg.AssetMaterialization) -> None:
        if (event.asset_key, event.partition) not in self._reported:
            self.context.log_event(event)
            self._reported.add((event.asset_key, event.partition))

    def _reconcile(self) -> None:
        """Tell Dagster of loads whose process died before it could: the warehouse is right, and Dagster follows."""
        for fetch in self.line.unreported(self.endpoint):
            if self._knows(fetch.partition, fetch.fetch):
                continue
            try:
                with self.line.partition(self.endpoint, fetch.partition, wait_seconds=0):
                    snapshot = self.line.snapshots.find(fetch.source, fetch.endpoint, fetch.partition, fetch.fetch)
                    told = self.line.summary(self.endpoint, fetch.fetch)
                    self.context.instance.report_runless_asset_event(self.report.fetched(snapshot))
                    # Made after the raw event is stored: it points to it.
                    self.context.instance.report_runless_asset_event(self.report.loaded(snapshot, told))
            except Locked:
                continue  # its process lives, and reports for itself
            except StorageFailed as error:
                self.context.log.warning("Dagster is not told of fetch %s: %s", fetch.fetch, error)
                continue
            if fetch.loaded is not None:
                self._loads.append((fetch.fetch, fetch.loaded))

    def _knows(self, partition: str | None, fetch: int) -> bool:
        """Whether Dagster was told of this load: the process may have died between that and its note of it."""
        where = dg.AssetRecordsFilter(self.report.table, asset_partitions=None if partition is None else [partition])
        found = self.context.instance.fetch_materializations(where, limit=1).records
        return any((record.event_log_entry.tags or {}).get(FETCH_TAG) == str(fetch) for record in found)

    def _publish(self) -> None:
        try:
            if self._loads:
                self.line.reported(self._loads)
            self.line.publish()
        except (Locked, StorageFailed) as error:
            self.context.log.warning("The tables are loaded; the reader's copy is still the former one: %s", error)

    def _stop(self, failures: Sequence[IngestError]) -> NoReturn:
        error = failures[-1]
        if isinstance(error, TransientFailure) and error.wait_seconds and error.wait_seconds <= _LONGEST_RETRY_SECONDS:
            self.context.log.warning("%s. Goes on in %.0f s; what is done stays done", error, error.wait_seconds)
            raise dg.RetryRequested(max_retries=_MOST_RETRIES, seconds_to_wait=error.wait_seconds) from error
        raise _failure(failures, "partitions before it are done") from error


def _failure(errors: Sequence[IngestError], done: str) -> dg.Failure:
    """What people see: every error, and what of the run stands."""
    lines = "\n".join(str(error) for error in errors)
    again = all(isinstance(error, TransientFailure) for error in errors)
    return dg.Failure(f"{lines}\n({done}; run again for the rest)", allow_retries=again)
