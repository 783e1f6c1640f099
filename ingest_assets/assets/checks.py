"""What is looked at in all partitions of a table, as Dagster's asset checks: see `ingest_assets.load.health`.

Dagster shows a check's newest evaluation, whichever partition it was for. So none of these looks at one partition.
They read the reader's copy, and are steps of their own: they can be run without the assets. Where a source publishes
that copy at a pace of its own, one more looks whether it does.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ingest_assets.assets.names import step_name, table_key
from ingest_assets.assets.resources import Warehouse
from ingest_assets.errors import StorageFailed
from ingest_assets.load.health import look, looks
from ingest_assets.load.looked import Found, Looked
from ingest_assets.load.published import published
from ingest_assets.load.warehouse import Warehouse as DuckDB
from ingest_assets.source import Source


def checks_of(source: Source) -> list[dg.AssetChecksDefinition]:
    """The checks of each endpoint's table."""
    return [_checks_of(source, name) for name in source.endpoints]


def _checks_of(source: Source, name: str) -> dg.AssetChecksDefinition:
    endpoint, table = source.endpoints[name], table_key(source.name, name)
    asked = {**looks(endpoint), **({"published": published} if source.publish else {})}
    specs = [dg.AssetCheckSpec(check, asset=table, description=f.__doc__) for check, f in asked.items()]

    @dg.multi_asset_check(name=f"{step_name(source.name, name)}__checks", specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.name for key in context.selected_asset_check_keys}
        for check, found in _found(source, name, warehouse, wanted).items():
            yield dg.AssetCheckResult(check_name=check, asset_key=table, **_told(found))

    return checks


def tell_planned(context: dg.AssetExecutionContext, source: Source, name: str, warehouse: Warehouse) -> None:
    """Tell what the checks find that this run was to make of a table, by the step that makes the table.

    For one that fails: Dagster makes no check after it, though it may have loaded all partitions but one.
    """
    table, planned = table_key(source.name, name), dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    records = context.instance.get_records_for_run(context.run.run_id, of_type=planned).records
    events = [record.event_log_entry.get_dagster_event().asset_check_planned_data for record in records]
    wanted = {event.check_name for event in events if event.asset_key == table}
    for check, found in _found(source, name, warehouse, wanted).items():
        context.log_event(dg.AssetCheckEvaluation(check_name=check, asset_key=table, **_told(found)))


def _found(source: Source, name: str, warehouse: Warehouse, wanted: Collection[str]) -> dict[str, Found]:
    """What those checks find that are wanted."""
    at_rows, found = sorted({*wanted} - {"published"}), dict[str, Found]()
    if "published" in wanted:
        folder, key = DuckDB(warehouse.folder), (source.name, name)
        found["published"] = published(folder, key, source.publish, datetime.now(UTC))
    try:
        with warehouse.reading() as connection:
            at = Looked(connection, source.name, name, source.endpoints[name], datetime.now(UTC))
            return found | {check: look(check, at) for check in at_rows}
    except StorageFailed as error:
        return found | dict.fromkeys(at_rows, Found(str(error)))


def _told(found: Found) -> dict[str, Any]:
    return {
        "passed": not found.problem,
        "severity": dg.AssetCheckSeverity.ERROR if found.serious else dg.AssetCheckSeverity.WARN,
        "description": found.problem or None,
        "metadata": dict(found.told),
    }
