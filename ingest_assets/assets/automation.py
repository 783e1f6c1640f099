"""Schedules: one for each source and partitions definition, delivered stopped."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from ingest_assets.assets.names import partitions_of, raw_key, table_key
from ingest_assets.source import Endpoint, Lookback, Source

# Ahead of backfills, which Dagster starts with 0: last night's data is waited for.
_PRIORITY = {"dagster/priority": "10"}


@dataclass(frozen=True)
class _Group:
    """Endpoints that one run can hold: Dagster refuses two partitions definitions in a job."""

    name: str
    partitions: dg.DailyPartitionsDefinition | None
    endpoints: tuple[str, ...]
    lookback: timedelta


def schedules_of(source: Source) -> list[dg.ScheduleDefinition]:
    """The source's schedules: partitioned endpoints ask for the newest closed day and those that may have changed."""
    return [_schedule(source, group) for group in _groups(source)]


def _groups(source: Source) -> Iterator[_Group]:
    members: dict[tuple[dg.DailyPartitionsDefinition | None, timedelta], list[str]] = defaultdict(list)
    for name, endpoint in source.endpoints.items():
        members[partitions_of(endpoint), _lookback(endpoint)].append(name)
    for (partitions, lookback), names in members.items():
        kind = "listings_and_feeds" if partitions is None else "days"
        alone = sum(known is not None for known, _ in members) < 2 or partitions is None
        yield _Group(kind if alone else f"days_{names[0]}", partitions, tuple(names), lookback)


def _lookback(endpoint: Endpoint) -> timedelta:
    return endpoint.changes.lookback if isinstance(endpoint.changes, Lookback) else timedelta(0)


def _schedule(source: Source, group: _Group) -> dg.ScheduleDefinition:
    keys = [key(source.name, name) for name in group.endpoints for key in (raw_key, table_key)]
    job = dg.define_asset_job(
        f"{source.name}_{group.name}",
        selection=dg.AssetSelection.assets(*keys),
        description=f"{', '.join(group.endpoints)} of {source.name}",
    )

    @dg.schedule(job=job, cron_schedule=source.schedule, name=f"{source.name}_{group.name}_schedule")
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if group.partitions is None:
            return dg.RunRequest(tags=_PRIORITY)
        days = group.partitions.get_partition_keys(current_time=context.scheduled_execution_time)
        if not days:
            return dg.SkipReason(f"no day of {job.name} is over yet")
        # A begun day of looking back counts: a day is looked at once more after it can have changed for the last time.
        back = math.ceil(group.lookback / timedelta(days=1))
        return dg.RunRequest(tags=_PRIORITY | _range(days[-1 - min(back, len(days) - 1)], days[-1]))

    return schedule


def _range(first: str, last: str) -> dict[str, str]:
    """One run over many partitions, each fetched and loaded before the next."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
