"""Partitions that an endpoint lists, as Dagster's dynamic partitions.

Each value that the listing's table has, and each that something was fetched of: an account that is gone keeps its
partitions and its rows, and is not asked for any more.
"""

from collections.abc import Iterable, Mapping

import dagster as dg

from ingest_assets.assets.names import listing_name
from ingest_assets.line import Line
from ingest_assets.source import listed


def add_listed(instance: dg.DagsterInstance, line: Line, endpoint: str) -> dict[str, list[str]]:
    """Make Dagster know the partitions of this endpoint that another one lists; those that are new, by their name.

    Raises what `Line.members` raises.
    """
    added = unlisted(instance, line, endpoint)
    for name, new in added.items():
        if new:
            instance.add_dynamic_partitions(name, new)
    return added


def unlisted(instance: dg.DagsterInstance, line: Line, endpoint: str) -> dict[str, list[str]]:
    """The partitions of this endpoint that another one lists and Dagster does not know, by their name.

    Raises what `Line.members` raises.
    """
    model, members = line.source.endpoints[endpoint], line.members(endpoint)
    dimensions = listed(model)
    kept = line.fitting(endpoint, line.fetches(endpoint)) if dimensions else []
    fetched = [model.slice(fetch.partition).by for fetch in kept]
    new = {}
    for dimension, told in dimensions.items():
        name = listing_name(line.source.name, told)
        values = dict.fromkeys([*members[dimension], *(by[dimension] for by in fetched if dimension in by)])
        known = set(instance.get_dynamic_partitions(name))
        new[name] = [value for value in values if value not in known]
    return new


def add_listed_by(instance: dg.DagsterInstance, line: Line, listing: str) -> dict[str, list[str]]:
    """The same for all endpoints of the source whose partitions this endpoint lists, after it was loaded."""
    names = [
        name
        for name, endpoint in line.source.endpoints.items()
        if any(told.endpoint == listing for told in listed(endpoint).values())
    ]
    return joined(add_listed(instance, line, name) for name in names)


def joined(found: Iterable[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """The new partitions of several endpoints, by their name: those that share a listing may each have some."""
    new: dict[str, dict[str, None]] = {}
    for one in found:
        for name, values in one.items():
            new.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: list(values) for name, values in new.items()}
