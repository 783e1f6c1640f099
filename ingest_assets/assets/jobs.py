"""What schedules and sensors launch: a job for each source and partitions definition, and runs of parts of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ingest_assets.assets.names import job_name, partitions_of, raw_key, table_key
from ingest_assets.assets.plan import Range
from ingest_assets.assets.unfinished import Going, going
from ingest_assets.source import Endpoint, Source

NEWEST, HISTORY = 10, -10
"""What is newest goes before backfills, which Dagster starts with 0, and what sensors ask of the past after them: in
Dagster's queue, and where runs wait for the same limit of an API."""
_PRIORITY = "dagster/priority"
_ASKED = "ingest/asked"
_IS_HISTORY = "ingest/history"  # so many runs of it at most, by dagster.yaml


@dataclass(frozen=True)
class Job:
    """Endpoints that one run can hold: Dagster refuses two partitions definitions in a job."""

    definition: Any  # what Dagster does not say is the type of a job that is not resolved yet
    endpoints: tuple[str, ...]

    @property
    def name(self) -> str:
        """What Dagster calls it."""
        return str(self.definition.name)


def jobs_of(source: Source) -> list[Job]:
    """The source's jobs, in the order of the file."""
    return [_job(source, kind, endpoints) for kind, endpoints in _groups(source)]


def request(jobs: list[Job], wanted: Range, priority: int, tick: str | None = None) -> dg.RunRequest:
    """The run that materializes a range; of runs that wait, those of higher priority go first.

    Schedules name the `tick`, which becomes a part of the run's key: a daemon that dies within one asks once for each
    range. Sensors have no key: what they ask for again after it failed would be asked for by the same one.
    """
    source, endpoint = wanted.endpoints[0]
    job = next(job for job in jobs if endpoint in job.endpoints)
    keys = [kind(source, name) for _, name in wanted.endpoints for kind in (raw_key, table_key)]
    tags = {_PRIORITY: str(priority), _ASKED: datetime.now(UTC).isoformat()} | days(wanted)
    tags |= {_IS_HISTORY: "true"} if priority == HISTORY else {}
    # By what it asks for, and not by its number: a daemon that comes again counts without what is on its way.
    key = None if tick is None else f"{tick} {endpoint} {wanted.first or ''}".rstrip()
    return dg.RunRequest(run_key=key, job_name=job.name, asset_selection=keys, tags=tags)


def asked_for(run: dg.DagsterRun) -> datetime | None:
    """When a schedule or a sensor asked for a run; what a person executes again is meant to be fetched again."""
    told = run.tags.get(_ASKED)
    return datetime.fromisoformat(told) if told and not run.parent_run_id else None


def newest_first() -> dict[str, str]:
    """The tag of a run that fetches what is newest."""
    return {_PRIORITY: str(NEWEST)}


def priority_of(tags: Mapping[str, str]) -> int:
    """The priority of a run, as Dagster's queue reads it.

    >>> priority_of({"dagster/priority": "10"}), priority_of({}), priority_of({"dagster/priority": "high"})
    (10, 0, 0)
    """
    try:
        return int(tags.get(_PRIORITY, "0"))
    except ValueError:
        return 0


def going_on(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext, source: Source, jobs: list[Job]
) -> Going:
    """What has been asked for already of a source, and is not done."""
    definitions = {
        table_key(source.name, name): partitions_of(source.name, one) for name, one in source.endpoints.items()
    }
    graph = context.repository_def.asset_graph if context.repository_def else None
    return going(context.instance, graph, definitions, {job.name: job.endpoints for job in jobs})


def days(wanted: Range) -> dict[str, str]:
    """The tags of one run over many partitions, each fetched and loaded before the next."""
    if wanted.first is None or wanted.last is None:
        return {}
    return {
        "dagster/asset_partition_range_start": wanted.first,
        "dagster/asset_partition_range_end": wanted.last,
    }


def _groups(source: Source) -> Iterator[tuple[str, tuple[str, ...]]]:
    members: dict[dg.PartitionsDefinition[str] | None, list[str]] = defaultdict(list)
    for name, endpoint in source.endpoints.items():
        members[partitions_of(source.name, endpoint)].append(name)
    kinds = [_kind(source.endpoints[names[0]]) for names in members.values()]
    for names in members.values():
        kind = _kind(source.endpoints[names[0]])
        yield kind if kinds.count(kind) == 1 else f"{kind}_{names[0]}", tuple(names)


def _kind(endpoint: Endpoint) -> str:
    told = endpoint.partitions
    if told is None:
        return "listings_and_feeds"
    return "_".join([*([f"{told.every}s"] if told.every else []), *(f"by_{name}" for name in sorted(told.by))])


def _job(source: Source, kind: str, endpoints: tuple[str, ...]) -> Job:
    keys = [key(source.name, name) for name in endpoints for key in (raw_key, table_key)]
    definition = dg.define_asset_job(
        job_name(source.name, kind),
        selection=dg.AssetSelection.assets(*keys),
        description=f"{', '.join(endpoints)} of {source.name}",
    )
    return Job(definition, endpoints)
