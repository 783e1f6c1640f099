"""What the parts of an endpoint are called in Dagster, and when Dagster calls them out of date."""

import hashlib
import re

import dagster as dg

from ingest_assets.errors import ConfigError
from ingest_assets.partitions import Listed
from ingest_assets.periods import Periods
from ingest_assets.source import Endpoint, Source

# The parts of an endpoint that decide what is asked for; the rest says what is made of the answers.
_ASKED = {
    "path", "base_url", "method", "params", "headers", "body", "body_as", "decoder", "records", "paginator",
    "window", "feed", "time_zone",
}  # fmt: skip
_ASKED_OF_SOME = {"job", "cut_lists", "parents", "count"}

_PARTS_OF_NAMES = re.compile(r"_(listings|hours|days|weeks|months|by|partitions)(_|$)")


def raw_key(source: str, endpoint: str) -> dg.AssetKey:
    """The asset of an endpoint's stored responses."""
    return dg.AssetKey(["raw", source, endpoint])


def table_key(source: str, endpoint: str) -> dg.AssetKey:
    """The asset of an endpoint's table."""
    return dg.AssetKey([source, endpoint])


def step_name(source: str, endpoint: str) -> str:
    """What the step of an endpoint is called, unlike that of any other.

    Where a name holds the `__` that joins them, as in `a__b` + `c` and `a` + `b__c`, a hash tells them apart.
    """
    joined = f"{source}__{endpoint}"
    if "__" not in source and "__" not in endpoint:
        return joined
    return f"{joined}__{_told_apart(source, endpoint)}"


def job_name(source: str, what: str) -> str:
    """What a job or sensor of a source is called, unlike that of any other, and unlike a step.

    Where the source is named as another one's job begins, as `shop_days` beside `shop`, a hash tells them apart; so it
    does where the name holds the `__` of steps.
    """
    joined = f"{source}_{what}"
    is_plain = "__" not in joined and not _PARTS_OF_NAMES.search(source)
    return joined if is_plain else f"{joined}_{_told_apart(source, what)}"


def _told_apart(source: str, of_it: str) -> str:
    return hashlib.sha256(f"{source}/{of_it}".encode()).hexdigest()[:6]


def raw_version(source: Source, endpoint: Endpoint) -> str:
    """Sixteen hex digits that change where something else is asked for: the raw asset's code version."""
    text = f"{source.base_url} {source.headers} {endpoint.model_dump_json(include=_ASKED)}"
    # Beside the rest, so that versions without these are those that they were.
    of_some = [
        endpoint.answer.member or "",
        endpoint.model_dump_json(include=_ASKED_OF_SOME, exclude_defaults=True),
        source.model_dump_json(include={"settings"}, exclude_defaults=True),
    ]
    text += "".join(told for told in of_some if told != "{}")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def versions(source: Source, name: str) -> dict[dg.AssetKey, str]:
    """The code versions of an endpoint's two assets; ConfigError where the source has no such endpoint."""
    endpoint = source.endpoints.get(name)
    if endpoint is None:
        raise ConfigError(
            f"api: sources: {source.name}.yaml has no endpoint {name!r} there; load Dagster with that file"
        )
    return {
        raw_key(source.name, name): raw_version(source, endpoint),
        table_key(source.name, name): endpoint.contract.version,
    }


def partitions_of(source: str, endpoint: Endpoint) -> dg.PartitionsDefinition[str] | None:
    """The partitions of an endpoint of a source; None where it is asked as a whole."""
    told, periods = endpoint.partitions, endpoint.periods
    if told is None:
        return None
    dimensions: dict[str, dg.PartitionsDefinition[str]] = {
        name: dg.DynamicPartitionsDefinition(name=listing_name(source, values))
        if isinstance(values, Listed)
        else dg.StaticPartitionsDefinition(list(values))
        for name, values in told.by.items()
    }
    if periods is not None:
        dimensions[periods.every] = time_partitions(periods, running=told.open)
    if len(dimensions) == 1:
        return next(iter(dimensions.values()))
    return dg.MultiPartitionsDefinition(dimensions)


def listing_name(source: str, told: Listed) -> str:
    """What Dagster calls the partitions that another endpoint lists: the same for all who use them."""
    return f"{source}.{told.endpoint}.{told.field}"


def time_partitions(periods: Periods, *, running: bool) -> dg.TimeWindowPartitionsDefinition:
    """Dagster's partitions of these periods; `running` adds the one that is not over."""
    ahead = int(running)
    match periods.every:
        case "hour":
            return dg.HourlyPartitionsDefinition(periods.first, timezone=periods.zone, end_offset=ahead)
        case "day":
            return dg.DailyPartitionsDefinition(periods.first, timezone=periods.zone, end_offset=ahead)
        case "week":
            return dg.WeeklyPartitionsDefinition(periods.first, timezone=periods.zone, end_offset=ahead, day_offset=1)
        case "month":
            return dg.MonthlyPartitionsDefinition(periods.first, timezone=periods.zone, end_offset=ahead)


def dimension_tags(endpoint: Endpoint, partition: str | None) -> dict[str, str]:
    """The tags by which Dagster knows each part of a partition's key, where it has two."""
    told = endpoint.partitions
    if told is None or partition is None or len(told.dimensions) < 2:
        return {}
    return {
        f"dagster/partition/{name}": value for name, value in zip(told.dimensions, partition.split("|"), strict=True)
    }
