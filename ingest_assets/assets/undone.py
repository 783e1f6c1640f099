"""Tells Dagster what was undone: events cannot be taken back, so new ones say what counts now.

Where an earlier fetch of the partition counts again, it is told once more, and is the newest that Dagster knows. Where
none is left, a run that never worked is written down as failed, with the reason: it makes Dagster show the partition as
failed until it is fetched again. (Only a whole asset can be wiped, with the history of all its partitions.)
"""

from dataclasses import dataclass

import dagster as dg

from ingest_assets.assets.project import definitions
from ingest_assets.assets.report import Reporter
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.load.ledger import Fetch


@dataclass(frozen=True)
class Undone:
    """Tells Dagster what is undone of one endpoint; what then counts of the table is left to `Reconciler`."""

    report: Reporter

    def tell(self) -> None:
        """Tell all that is undone and untold."""
        line, instance = self.report.line, self.report.instance_id
        # Of partitions of an earlier file nothing is told, as of their loads.
        untold = line.fitting(self.report.endpoint, line.untold_undone(self.report.endpoint, instance))
        for fetch in {fetch.partition: fetch for fetch in untold}.values():
            self._tell(fetch)
        if untold:
            line.told_undone((fetch.fetch for fetch in untold), instance)

    def _tell(self, undone: Fetch) -> None:
        line, endpoint = self.report.line, self.report.endpoint
        newest = line.stored(endpoint, undone.partition)
        loaded = {fetch.fetch for fetch in line.fetches(endpoint) if fetch.loaded}
        if newest is not None:
            self.report.instance.report_runless_asset_event(self.report.fetched(newest))
        if newest is None or newest.fetch not in loaded:
            self._fail(undone, [self.report.table] if newest else [self.report.raw, self.report.table])

    def _fail(self, undone: Fetch, keys: list[dg.AssetKey]) -> None:
        instance, data = self.report.instance, str(self.report.line.data)
        known = definitions([self.report.line.source], Api(data=data), Warehouse(data=data))
        job = known.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
        tags = {"dagster/partition": undone.partition} if undone.partition else {}
        run = instance.create_run_for_job(job, tags=tags, asset_selection=frozenset(keys))
        label = self.report.line.label(undone.endpoint, undone.partition)
        instance.report_run_failed(run, f"{label}: fetch {undone.fetch} is {undone.reason}; nothing else is kept of it")
