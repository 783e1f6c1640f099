"""Which partitions runs and backfills are at work on, or will be: queued, starting, running.

Asked of the Dagster instance. What is to be fetched is never decided from it, only whether it has been asked for
already: that is known to nobody else, for a run that is queued has left no trace in the warehouse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster_shared.check import CheckError
from dagster_shared.error import DagsterError

_PARTITION, _FIRST, _LAST = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)


@dataclass(frozen=True)
class Going:
    """The partitions that are at work or in the queue, by endpoint, None without partitions; and in how many runs."""

    partitions: Mapping[str, frozenset[str | None]] = field(default_factory=dict)
    runs: int = 0

    def of(self, endpoint: str) -> frozenset[str | None]:
        """Those of one endpoint."""
        return self.partitions.get(endpoint, frozenset())


def going(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any] | None,
    definitions: Mapping[dg.AssetKey, dg.PartitionsDefinition[str] | None],
    jobs: Mapping[str, Sequence[str]],
) -> Going:
    """What is going on with a source's endpoints.

    `definitions` are the partitions of their tables, whose keys end with the endpoint's name; `jobs` the endpoints of
    each job. `graph` is of all assets that Dagster knows: backfills that have not begun tell their partitions by it.
    """
    found: dict[str, set[str | None]] = {key.path[-1]: set() for key in definitions}
    runs = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        selected = [key for key in definitions if _selects(run, key, jobs)]
        for key in selected:
            found[key.path[-1]] |= _partitions(instance, definitions[key], run.tags)
        runs += bool(selected)
    if graph is not None:
        for key in (key for key, definition in definitions.items() if definition is not None):
            found[key.path[-1]] |= _requested(instance, graph, key)
    return Going({name: frozenset(partitions) for name, partitions in found.items()}, runs)


def _selects(run: dg.DagsterRun, key: dg.AssetKey, jobs: Mapping[str, Sequence[str]]) -> bool:
    """Whether a run makes an asset; one that says nothing of its assets makes all of its job."""
    if run.asset_selection is not None:
        return key in run.asset_selection
    return key.path[-1] in jobs.get(run.job_name, ())


def _requested(instance: dg.DagsterInstance, graph: BaseAssetGraph[Any], key: dg.AssetKey) -> set[str]:
    """The partitions of backfills that somebody asked for and that are not done."""
    found: set[str] = set()
    for backfill in instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        if backfill.is_asset_backfill and key in (backfill.asset_selection or ()):
            subset = backfill.get_asset_backfill_data(graph).get_target_partitions_subset(key)
            found |= set(subset.get_partition_keys())
    return found


def _partitions(
    instance: dg.DagsterInstance, definition: dg.PartitionsDefinition[str] | None, tags: Mapping[str, str]
) -> set[str | None]:
    """The partitions of a run, by its tags; a run over days may hold a feed too, which has none of them."""
    if definition is None:
        return {None}
    first, last = tags.get(_FIRST, tags.get(_PARTITION)), tags.get(_LAST, tags.get(_PARTITION))
    if first is None or last is None:
        return set()
    try:
        with partition_loading_context(dynamic_partitions_store=instance):
            return set(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))
    except (DagsterError, CheckError, ValueError):
        return {first, last}  # the file has other partitions now
