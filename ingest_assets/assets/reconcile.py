"""What the warehouse has and Dagster does not know: a process died between the two, a table was built anew, or
Dagster's own database is a new one."""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from ingest_assets.assets.gathered import MATERIALIZED, gathered
from ingest_assets.assets.report import Reporter
from ingest_assets.errors import Locked, StorageFailed
from ingest_assets.load.ledger import Fetch
from ingest_assets.raw.snapshots import Snapshot

Known = dict[str | None, datetime]
Show = Callable[[int, int], None]
_AT_ONCE = 50  # partitions whose locks are held, and that are read from the warehouse in one go


@dataclass(frozen=True)
class Reconciler:
    """Tells Dagster what the warehouse has of one endpoint: the warehouse is right, and Dagster follows."""

    report: Reporter
    log: dg.DagsterLogManager | logging.Logger

    def untold(self) -> set[str | None]:
        """Partitions of which Dagster was not told the newest load."""
        return {fetch.partition for fetch in self._untold()}

    def unknown(self) -> set[str | None]:
        """Those, and the loaded ones of which Dagster shows nothing, whatever it was told: its events were wiped."""
        line, endpoint = self.report.line, self.report.endpoint
        loaded = {f.partition for f in line.fitting(endpoint, line.fetches(endpoint)) if f.loaded is not None}
        shown = self.report.shown_of(self.report.raw) & self.report.shown_of(self.report.table)
        return self.untold() | (loaded - shown)

    def catch_up(self, *, thorough: bool = False, most: int | None = None, show: Show = lambda *_: None) -> int:
        """Tell of up to `most` partitions of which Dagster does not know the newest load, and remember it; how many.

        `thorough` looks at what Dagster shows too, and not only at what it was told: events may have been wiped.
        `show` is given how many are told, and how many there are to tell, after some of them.
        """
        wanted = sorted(self.unknown() if thorough else self.untold(), key=lambda partition: partition or "")
        wanted, done = wanted[:most], 0
        for some in _batches(wanted):
            known = self.reconcile(some)
            self.note(known)
            done += len(known)
            show(done, len(wanted))
        return done

    def reconcile(self, partitions: Collection[str | None]) -> Known:
        """Tell Dagster the newest load of each of these partitions, but for what it knows already.

        The events belong to no run: what they tell happened in another one. A partition that another process holds is
        left to it. Returns when each partition's newest load was made that Dagster knows now.
        """
        known: Known = {}
        for some in _batches(list(partitions)):
            with self._held(some) as free:
                known |= self._told(self._newest(free)) if free else {}
        return known

    def note(self, known: Known) -> None:
        """Remember that Dagster knows these loads, and those of the same partitions before them."""
        told = {
            fetch.fetch: fetch.loaded
            for fetch in self._untold()
            if fetch.loaded and fetch.partition in known and fetch.loaded <= known[fetch.partition]
        }
        if told:
            self.report.line.reported(told, self.report.instance_id)

    def _untold(self) -> list[Fetch]:
        """Of partitions of an earlier file nothing is told: Dagster has others by now."""
        line, endpoint = self.report.line, self.report.endpoint
        return line.fitting(endpoint, line.unreported(endpoint, self.report.instance_id))

    @contextlib.contextmanager
    def _held(self, partitions: Sequence[str | None]) -> Iterator[list[str | None]]:
        """Hold the locks of those partitions that are free; a process that holds one lives, and reports for itself."""
        with contextlib.ExitStack() as locks:
            free = []
            for partition in partitions:
                with contextlib.suppress(Locked):
                    locks.enter_context(self.report.line.partition(self.report.endpoint, partition, wait_seconds=0))
                    free.append(partition)
            yield free

    def _newest(self, partitions: Collection[str | None]) -> list[Fetch]:
        """The newest load of each; read under their locks, since a process may have reported in between."""
        loaded = [f for f in self.report.line.fetches(self.report.endpoint) if f.loaded is not None]
        newest = {fetch.partition: fetch for fetch in loaded}
        return [newest[partition] for partition in partitions if partition in newest]

    def _told(self, fetches: Sequence[Fetch]) -> Known:
        """Tell of these fetches and loads. All fetches first: what is told of a load points to its fetch's event."""
        summaries = self.report.line.summaries(self.report.endpoint, {fetch.fetch for fetch in fetches})
        readable = self._readable(fetches)
        stored = {number: snapshot for number, (snapshot, _) in readable.items()}
        shown = self.report.shown_of(self.report.raw)
        with gathered(self.report.instance, MATERIALIZED):
            for snapshot, fetched in readable.values():
                if fetched.partition not in shown or not self.report.knows_fetch(snapshot):
                    self.report.instance.report_runless_asset_event(fetched)
        shown = self.report.shown_of(self.report.table)
        sources = self.report.sources([snapshot.manifest.partition for snapshot in stored.values()]) if stored else {}
        with gathered(self.report.instance, MATERIALIZED):
            for number, snapshot in stored.items():
                loaded = self.report.loaded(snapshot, summaries[number], sources.get(snapshot.manifest.partition))
                if loaded.partition not in shown or not self.report.knows_load(loaded):
                    self.report.instance.report_runless_asset_event(loaded)
        return {fetch.partition: fetch.loaded for fetch in fetches if fetch.fetch in stored and fetch.loaded}

    def _readable(self, fetches: Sequence[Fetch]) -> Mapping[int, tuple[Snapshot, dg.AssetMaterialization]]:
        """Their snapshots, each with its event, by number; what is damaged of them keeps nothing from being done."""
        found = {}
        for fetch in fetches:
            try:
                place = (fetch.source, fetch.endpoint, fetch.partition, fetch.fetch)
                snapshot = self.report.line.snapshots.find(*place)
                found[fetch.fetch] = snapshot, self.report.fetched(snapshot)
            except StorageFailed as error:
                self.log.warning("Dagster is not told what the warehouse has of %s: %s", fetch.partition or "it", error)
        return found


def _batches(partitions: Sequence[str | None]) -> Iterator[Sequence[str | None]]:
    for start in range(0, len(partitions), _AT_ONCE):
        yield partitions[start : start + _AT_ONCE]
