"""A source's endpoints as Dagster assets: two each, made by one step of which either may be selected."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
from pydantic import Field

from ingest_assets.assets.checks import tell_planned
from ingest_assets.assets.columns import declared_schema
from ingest_assets.assets.jobs import priority_of
from ingest_assets.assets.names import partitions_of, raw_key, step_name, table_key, versions
from ingest_assets.assets.progress import Watchers
from ingest_assets.assets.report import Reporter
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.step import Step, going_on
from ingest_assets.errors import ConfigError
from ingest_assets.source import Endpoint, SeenByFeed, Source

_LEAST = timedelta(minutes=1)  # Dagster refuses a shorter one; the check of our own takes what the file says


class StepConfig(dg.Config):
    """What a run may be told at launch."""

    since: str = Field(default="", description="feeds only: begin again at this date (2026-01-31) or time, ISO 8601")

    @property
    def moment(self) -> datetime | None:
        """The time it names; a date is its UTC midnight."""
        if not self.since:
            return None
        try:
            if len(self.since) == len("2026-01-31"):
                return datetime.combine(date.fromisoformat(self.since), time(), UTC)
            told = datetime.fromisoformat(self.since)
        except ValueError:
            raise dg.Failure(
                f"since: {self.since!r} is no date or time; expected such as 2026-01-31", allow_retries=False
            ) from None
        return told if told.tzinfo else told.replace(tzinfo=UTC)


def assets_of(source: Source) -> list[dg.AssetsDefinition]:
    """One step an endpoint, in the order of the file."""
    return [_step_of(source, name) for name in source.endpoints]


def _step_of(source: Source, name: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=step_name(source.name, name),
        specs=_specs(source, name),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def step(
        context: dg.AssetExecutionContext, config: StepConfig, api: Api, warehouse: Warehouse
    ) -> Iterator[dg.Output[None]]:
        run, watchers = going_on(context.run, context.instance), Watchers.here(context.log.info)
        try:
            line = api.line(source, run, warehouse.folder, watchers, priority=priority_of(context.run.tags))
            report = Reporter(line, name, versions(line.source, name), context.instance)
        except ConfigError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        try:
            yield from Step(context, line, name, report, config.moment).outputs()
        except (dg.Failure, dg.RetryRequested):  # also a try that may be the last one
            tell_planned(context, source, name, warehouse)
            raise

    return step


def _specs(source: Source, name: str) -> list[dg.AssetSpec]:
    endpoint, partitions = source.endpoints[name], partitions_of(source.name, source.endpoints[name])
    raw, table = raw_key(source.name, name), table_key(source.name, name)
    code, fresh = versions(source, name), endpoint.fresh_within
    return [
        dg.AssetSpec(
            raw,
            deps=_parents(source, endpoint),
            description=f"What the API answered, as it came: {endpoint.method} {endpoint.path}",
            group_name=source.name,
            kinds={"api"},
            code_version=code[raw],
            partitions_def=partitions,
            skippable=True,
            # On the raw asset: a replay of the table says nothing about when the API was asked.
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=max(fresh, _LEAST)) if fresh else None,
        ),
        dg.AssetSpec(
            table,
            deps=[raw],
            description=_description(source, endpoint),
            group_name=source.name,
            kinds={"duckdb"},
            code_version=code[table],
            partitions_def=partitions,
            skippable=True,
            metadata={
                "dagster/table_name": f"{source.name}.{name}",
                "write": endpoint.write,
                **({"dagster/column_schema": declared_schema(endpoint)} if endpoint.columns else {}),
            },
        ),
    ]


def _parents(source: Source, endpoint: Endpoint) -> list[dg.AssetDep]:
    """The table of the endpoint whose records say what is asked for: all of its partitions."""
    if endpoint.parent is None:
        return []
    everything = dg.AllPartitionMapping() if source.endpoints[endpoint.parent].partitions is not None else None
    return [dg.AssetDep(table_key(source.name, endpoint.parent), partition_mapping=everything)]


def _description(source: Source, endpoint: Endpoint) -> str:
    text = endpoint.description or f"Records of {source.name}{endpoint.path}"
    match endpoint.changes:
        case SeenByFeed(feed=feed):
            return f"{text}. What changes after its {_period(endpoint)} is told by the feed {feed!r}."
        case "unseen" | None if endpoint.window:
            return f"{text}. What changes after its {_period(endpoint)} is not seen."
        case _:
            return f"{text}."


def _period(endpoint: Endpoint) -> str:
    return (endpoint.partitions and endpoint.partitions.every) or "day"
