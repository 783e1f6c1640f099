"""What is looked at in all partitions of a table, as Dagster's asset checks: see `ingest_assets.load.health`.

Dagster shows a check's newest evaluation, whichever partition it was for. So none of these looks at one partition.
They read the reader's copy, and are steps of their own: they can be run without the assets. Where a source publishes
that copy at a pace of its own, one more looks whether it does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

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
        wanted = sorted(key.name for key in context.selected_asset_check_keys)
        if "published" in wanted:
            wanted.remove("published")
            found = published(DuckDB(warehouse.folder), (source.name, name), source.publish, datetime.now(UTC))
            yield _result("published", table, found)
        try:
            with warehouse.reading() as connection:
                at = Looked(connection, source.name, name, endpoint, datetime.now(UTC))
                yield from [_result(check, table, look(check, at)) for check in wanted]
        except StorageFailed as error:
            yield from [_result(check, table, Found(str(error))) for check in wanted]

    return checks


def _result(check: str, table: dg.AssetKey, found: Found) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check,
        asset_key=table,
        passed=not found.problem,
        severity=dg.AssetCheckSeverity.ERROR if found.serious else dg.AssetCheckSeverity.WARN,
        description=found.problem or None,
        metadata=dict(found.told),
    )
