"""All that Dagster knows of some sources: assets, checks, schedules and sensors, bound to the resources they share."""

from collections.abc import Iterable

import dagster as dg

from ingest_assets.assets.checks import checks_of
from ingest_assets.assets.factory import assets_of
from ingest_assets.assets.jobs import jobs_of
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.schedules import schedules_of
from ingest_assets.assets.sensors import sensors_of
from ingest_assets.source import Source


def definitions(sources: Iterable[Source], api: Api, warehouse: Warehouse) -> dg.Definitions:
    """All that Dagster needs to know of these sources, bound to these resources.

    Runs use one process: a step that starts another would spend more on imports than on a day's records.
    """
    every = list(sources)
    jobs = {source.name: jobs_of(source) for source in every}
    return dg.Definitions(
        assets=[asset for source in every for asset in assets_of(source)],
        asset_checks=[check for source in every for check in checks_of(source)],
        schedules=[schedule for source in every for schedule in schedules_of(source, jobs[source.name])],
        sensors=[sensor for source in every for sensor in sensors_of(source, jobs[source.name])],
        resources={"api": api, "warehouse": warehouse},
        executor=dg.in_process_executor,
    )
