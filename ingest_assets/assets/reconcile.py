"""What the warehouse has and Dagster was not told of: a process died between the two, or a table was built anew."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from ingest_assets.assets.report import Reporter
from ingest_assets.errors import Locked, StorageFailed
from ingest_assets.load.ledger import Fetch

Known = dict[str | None, datetime]


@dataclass(frozen=True)
class Reconciler:
    """Tells Dagster what the warehouse has of one endpoint: the warehouse is right, and Dagster follows."""

    report: Reporter
    log: dg.DagsterLogManager | logging.Logger

    def reconcile(self, reporting: Collection[str | None] = ()) -> Known:
        """Tell the newest load of each partition that Dagster does not know, but for those that report for themselves.

        The events belong to no run: what they tell happened in another one. Returns when each partition's newest
        load was made that Dagster knows now.
        """
        untold = {fetch.partition for fetch in self._untold()}
        found = {partition: self._settled(partition) for partition in untold.difference(reporting)}
        return {partition: loaded for partition, loaded in found.items() if loaded is not None}

    def note(self, known: Known) -> None:
        """Remember that Dagster knows these loads, and those of the same partitions before them."""
        told = [
            (fetch.fetch, fetch.loaded)
            for fetch in self._untold()
            if fetch.loaded and fetch.partition in known and fetch.loaded <= known[fetch.partition]
        ]
        if told:
            self.report.line.reported(told)

    def _untold(self) -> list[Fetch]:
        return self.report.line.unreported(self.report.endpoint)

    def _settled(self, partition: str | None) -> datetime | None:
        try:
            with self.report.line.partition(self.report.endpoint, partition, wait_seconds=0):
                # Read again under the lock: its process may have reported in between.
                newest = [fetch for fetch in self._untold() if fetch.partition == partition][-1:]
                for fetch in newest:
                    self._tell(fetch)
                return newest[0].loaded if newest else None
        except Locked:
            return None  # its process lives, and reports for itself
        except StorageFailed as error:
            self.log.warning("Dagster is not told what the warehouse has of %s: %s", partition or "it", error)
            return None

    def _tell(self, fetch: Fetch) -> None:
        line, report = self.report.line, self.report
        snapshot = line.snapshots.find(fetch.source, fetch.endpoint, fetch.partition, fetch.fetch)
        if not report.knows_fetch(snapshot):
            report.instance.report_runless_asset_event(report.fetched(snapshot))
        # Made after the raw event is stored: it points to it.
        loaded = report.loaded(snapshot, line.summary(report.endpoint, fetch.fetch))
        if not report.knows_load(loaded):
            report.instance.report_runless_asset_event(loaded)
