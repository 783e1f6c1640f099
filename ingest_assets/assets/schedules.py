"""Schedules: one for each job of a source, delivered stopped. Each asks for what `ingest run` would ask for then."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

from ingest_assets.assets.asks import left_alone
from ingest_assets.assets.jobs import NEWEST, Job, going_on, request
from ingest_assets.assets.members import add_listed
from ingest_assets.assets.plan import Range, Wanted, in_runs, planned
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.unfinished import Going
from ingest_assets.errors import IngestError
from ingest_assets.load.ledger import Known
from ingest_assets.load.patience import held_source
from ingest_assets.source import Source

_WAIT_SECONDS = 30.0


def schedules_of(source: Source, jobs: list[Job]) -> list[dg.ScheduleDefinition]:
    """The source's schedules: each asks for the days that are due, and for feeds and listings at each tick."""
    return [_schedule(source, job, jobs) for job in jobs]


def _schedule(source: Source, job: Job, jobs: list[Job]) -> dg.ScheduleDefinition:
    @dg.schedule(job=job.definition, cron_schedule=source.schedule, name=f"{job.name}_schedule")
    def schedule(
        context: dg.ScheduleEvaluationContext, api: Api, warehouse: Warehouse
    ) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            line = replace(api.line(source, "", warehouse.folder), warehouse_wait_seconds=_WAIT_SECONDS)
            known = line.known("")
            here = {name: known[name] for name in job.endpoints if not known[name].unlisted}
            for name in here:
                add_listed(context.instance, line, name)
        except IngestError as error:
            return dg.SkipReason(str(error))
        if held := held_source(known.values(), datetime.now(UTC)):
            return dg.SkipReason(left_alone(held))
        on_their_way = going_on(context, source, jobs)
        ranges = due_runs(source, here, on_their_way, context.scheduled_execution_time.astimezone(UTC))
        unlisted = [f"{name}: {known[name].unlisted}" for name in job.endpoints if name not in here]
        if not ranges:
            due = f"nothing of {', '.join(here)} is due, or it is asked for already"
            return dg.SkipReason("; ".join([*unlisted, *([due] if here else [])]))
        for problem in unlisted:
            context.log.warning(problem)
        at = context.scheduled_execution_time.isoformat()
        return [request(jobs, wanted, NEWEST, at) for wanted in ranges]

    return schedule


def due_runs(source: Source, known: Mapping[str, Known], on_their_way: Going, now: datetime) -> list[Range]:
    """The runs that bring some endpoints up to date, but for what is asked for already."""
    names, sources = [(source.name, name) for name in known], {source.name: source}
    loaded, members = (lambda name: known[name[1]].fetches), (lambda name: known[name[1]].members)
    keys = planned(sources, names, Wanted(), loaded, now, members, tick=now)
    return in_runs(sources, {n: [key for key in some if key not in on_their_way.of(n[1])] for n, some in keys.items()})
