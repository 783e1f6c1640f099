"""What the parts of an endpoint are called in Dagster."""

import dagster as dg

from ingest_assets.source import Endpoint


def raw_key(source: str, endpoint: str) -> dg.AssetKey:
    """The asset of an endpoint's stored responses."""
    return dg.AssetKey(["raw", source, endpoint])


def table_key(source: str, endpoint: str) -> dg.AssetKey:
    """The asset of an endpoint's table."""
    return dg.AssetKey([source, endpoint])


def partitions_of(endpoint: Endpoint) -> dg.DailyPartitionsDefinition | None:
    """An endpoint's partitions, or None for feeds and listings."""
    if endpoint.partitions is None:
        return None
    return dg.DailyPartitionsDefinition(endpoint.partitions.start.isoformat(), timezone=endpoint.time_zone)
