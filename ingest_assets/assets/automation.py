"""Schedules: one for each source and partitions definition, delivered stopped."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._utils.schedules import reverse_cron_string_iterator

from ingest_assets.assets.names import partitions_of, raw_key, table_key
from ingest_assets.assets.resources import Warehouse
from ingest_assets.load.due import combinations, last_closed, running
from ingest_assets.source import Endpoint, Lookback, Source

# Ahead of backfills, which Dagster starts with 0: last night's data is waited for.
_PRIORITY = {"dagster/priority": "10"}


@dataclass(frozen=True)
class _Group:
    """Endpoints that one run can hold: Dagster refuses two partitions definitions in a job."""

    name: str
    partitions: dg.PartitionsDefinition[str] | None
    endpoints: tuple[str, ...]
    lookback: timedelta


def schedules_of(source: Source, warehouse: Warehouse) -> list[dg.ScheduleDefinition]:
    """The source's schedules: partitioned endpoints ask for what has ended since the last tick, or may have changed.

    Accounts that an endpoint lists are those that its table in the warehouse has at the tick.
    """
    return [_schedule(source, group, warehouse) for group in _groups(source)]


def _groups(source: Source) -> Iterator[_Group]:
    members: dict[tuple[dg.PartitionsDefinition[str] | None, timedelta], list[str]] = defaultdict(list)
    for name, endpoint in source.endpoints.items():
        members[partitions_of(source.name, endpoint), _lookback(endpoint)].append(name)
    kinds = [_kind(source.endpoints[names[0]]) for names in members.values()]
    for (partitions, lookback), names in members.items():
        kind = _kind(source.endpoints[names[0]])
        yield _Group(kind if kinds.count(kind) == 1 else f"{kind}_{names[0]}", partitions, tuple(names), lookback)


def _kind(endpoint: Endpoint) -> str:
    told = endpoint.partitions
    if told is None:
        return "listings_and_feeds"
    return "_".join([*([f"{told.every}s"] if told.every else []), *(f"by_{name}" for name in sorted(told.by))])


def _lookback(endpoint: Endpoint) -> timedelta:
    return endpoint.changes.lookback if isinstance(endpoint.changes, Lookback) else timedelta(0)


def _schedule(source: Source, group: _Group, warehouse: Warehouse) -> dg.ScheduleDefinition:
    keys = [key(source.name, name) for name in group.endpoints for key in (raw_key, table_key)]
    job = dg.define_asset_job(
        f"{source.name}_{group.name}",
        selection=dg.AssetSelection.assets(*keys),
        description=f"{', '.join(group.endpoints)} of {source.name}",
    )

    @dg.schedule(job=job, cron_schedule=source.schedule, name=f"{source.name}_{group.name}_schedule")
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        endpoint = source.endpoints[group.endpoints[0]]
        if endpoint.partitions is None:
            return [dg.RunRequest(tags=_PRIORITY)]
        periods = _periods(source, endpoint, group.lookback, context.scheduled_execution_time)
        if not periods:
            return dg.SkipReason(f"no {endpoint.partitions.every} of {job.name} is over yet")
        members = warehouse.members(source, group.endpoints[0])
        keys = [[endpoint.partitions.key(end, by) for end in periods] for by in combinations(endpoint, members)]
        if not keys:
            return dg.SkipReason(f"{job.name}: what it is partitioned by is not listed yet")
        tick = context.scheduled_execution_time.isoformat()
        return [dg.RunRequest(f"{tick} {one[0]}", tags=_PRIORITY | _range(one[0], one[-1])) for one in keys]

    return schedule


def _periods(source: Source, endpoint: Endpoint, lookback: timedelta, now: datetime) -> Sequence[str | None]:
    """The first and the last period to ask for, the same where it is one; None alone without periods."""
    periods, newest = endpoint.periods, last_closed(endpoint, now)
    if periods is None:
        return [None]
    ahead = running(endpoint, now)[-1:]
    if newest is None:
        return ahead
    before = last_closed(endpoint, next(reverse_cron_string_iterator(now.timestamp() - 1, source.schedule, "UTC")))
    since = periods.next(before) if before else periods.first
    # A begun period of looking back counts: it is looked at once more after it can have changed for the last time.
    back = periods.key(periods.bounds(newest)[0].astimezone(UTC) - lookback)
    return [max(periods.first, min(since, back, newest)), *(ahead or [newest])]


def _range(first: str, last: str) -> dict[str, str]:
    """One run over many partitions, each fetched and loaded before the next."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
