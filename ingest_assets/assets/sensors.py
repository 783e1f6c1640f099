"""Sensors of a source, delivered stopped.

<source>_sensor             asks for what is missing, settled since or in a look-back, from now back to the first
                            partition; tells Dagster what the warehouse has and it does not know
<source>_partitions_sensor  where an endpoint lists what others are partitioned by: adds what is new in its table
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import get_latest_completed_cron_tick

from ingest_assets.assets.asks import Asked, asks
from ingest_assets.assets.jobs import HISTORY, NEWEST, Job, going_on, request
from ingest_assets.assets.members import add_listed, joined, unlisted
from ingest_assets.assets.names import job_name, versions
from ingest_assets.assets.processes import bury
from ingest_assets.assets.reconcile import Reconciler
from ingest_assets.assets.report import Reporter, instance_id
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.unfinished import Going
from ingest_assets.errors import IngestError
from ingest_assets.line import Line
from ingest_assets.load.ledger import Known
from ingest_assets.source import Source, listed

_EVERY_SECONDS = 60
_WAIT_SECONDS = 5.0
_KNOWS_ALL = "Dagster knows all that is listed"
_MOST_TOLD = 200  # partitions a tick: Dagster gives a tick a minute, and each of them takes it some 20 ms


def sensors_of(source: Source, jobs: list[Job]) -> list[dg.SensorDefinition]:
    """The source's sensors."""
    lists = any(listed(endpoint) for endpoint in source.endpoints.values())
    return [_asking(source, jobs), *([_listing(source)] if lists else [])]


def _asking(source: Source, jobs: list[Job]) -> dg.SensorDefinition:

    @dg.sensor(
        name=job_name(source.name, "sensor"),
        jobs=[job.definition for job in jobs],
        minimum_interval_seconds=_EVERY_SECONDS,
        description=f"Asks for what is missing of {source.name} or may have changed, newest first",
    )
    def sensor(
        context: dg.SensorEvaluationContext, api: Api, warehouse: Warehouse
    ) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            asked = _asked(context, _line(source, api, warehouse), jobs)
        except IngestError as error:
            return dg.SkipReason(f"nothing is asked for: {error}")
        if not asked.ranges:
            return dg.SkipReason("; ".join(asked.notes) or "nothing is due: all partitions are complete")
        for note in asked.notes:
            context.log.info(note)
        return [request(jobs, one, NEWEST if one in asked.newest else HISTORY) for one in asked.ranges]

    return sensor


def _listing(source: Source) -> dg.SensorDefinition:
    @dg.sensor(
        name=job_name(source.name, "partitions_sensor"),
        minimum_interval_seconds=_EVERY_SECONDS,
        description=f"Adds the partitions that endpoints of {source.name} list, as their tables grow",
    )
    def sensor(context: dg.SensorEvaluationContext, api: Api, warehouse: Warehouse) -> dg.SensorResult | dg.SkipReason:
        try:
            line = _line(source, api, warehouse)
            known = line.known("")
            new = joined(unlisted(context.instance, line, name) for name, one in known.items() if one.members)
        except IngestError as error:
            return dg.SkipReason(f"nothing is added: {error}")
        requests = [dg.AddDynamicPartitionsRequest(name, values) for name, values in new.items() if values]
        if requests:
            return dg.SensorResult(dynamic_partitions_requests=requests)
        return dg.SkipReason("; ".join(one.unlisted for one in known.values() if one.unlisted) or _KNOWS_ALL)

    return sensor


def _line(source: Source, api: Api, warehouse: Warehouse) -> Line:
    return replace(api.line(source, "", warehouse.folder), warehouse_wait_seconds=_WAIT_SECONDS)


def _asked(context: dg.SensorEvaluationContext, line: Line, jobs: list[Job]) -> Asked:
    instance, now = context.instance, datetime.now(UTC)
    known = line.known(instance_id(instance))
    for name in [name for name, one in known.items() if one.members]:
        add_listed(instance, line, name)  # a run of a partition that Dagster does not know would fail
    bury(instance, line.data)
    if line.source.publish:  # the last run may have left its loads to whoever comes when it is time
        line.publish(paced=True)
    on_their_way = going_on(context, line.source, jobs)
    told = _tell(line, known, on_their_way, instance)
    tick = get_latest_completed_cron_tick(line.source.schedule, now, "UTC")
    asked = asks(line.source, known, on_their_way, now, tick)
    return replace(asked, notes=(*told, *asked.notes))


def _tell(line: Line, known: dict[str, Known], on_their_way: Going, instance: dg.DagsterInstance) -> list[str]:
    """Tell Dagster what it does not know of endpoints at which no run works: that one tells for itself."""
    notes, room = list[str](), _MOST_TOLD
    for name, one in known.items():
        if one.untold and room and not on_their_way.of(name):
            report = Reporter(line, name, versions(line.source, name), instance)
            told = Reconciler(report, logging.getLogger(__name__)).catch_up(most=room)
            room -= told
            notes += [f"{name}: Dagster was told of {told:,} partitions that it did not know"] if told else []
    return notes
