"""Parents as parts of a fetch: one chain of pages a parent, and only those that a former fetch did not reach."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from ingest_assets.errors import ConfigError
from ingest_assets.extract.request import Part, Walk, fingerprint, first_request
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Source
from ingest_assets.source.parents import named_fields


def parts(
    source: Source,
    name: str,
    parents: Iterable[Mapping[str, str]],
    positions: Mapping[str, str | None],
    since: str | None,
) -> list[Part]:
    """A part for each parent, given as its columns: each goes on where its own feed ended, or at `since`."""
    endpoint, found = source.endpoints[name], list[Part]()
    if endpoint.parents.batch > 1:
        return batches(source, name, [parent[endpoint.parent_key[0]] for parent in parents])
    columns = {column.from_parent for column in endpoint.columns.values() if column.from_parent is not None}
    for parent in parents:
        key = key_of([parent[field] for field in endpoint.parent_key])
        values = {f"{endpoint.parent}.{field}": parent[field] for field in endpoint.parent_key}
        told = {field: value for field, value in parent.items() if field in columns}
        found.append(Part(key, values, parent=told, position=since or positions.get(key)))
    return found


def batches(source: Source, name: str, values: list[str]) -> list[Part]:
    """A part for as many parents as one request asks for. Raises ConfigError where they could not be told apart."""
    endpoint = source.endpoints[name]
    told, field = endpoint.parents, endpoint.parent_key[0]
    in_text = field in named_fields(endpoint.path, endpoint.params, endpoint.headers).get(endpoint.parent or "", ())
    if in_text and (wrong := [value for value in values if told.separator in value]):
        raise ConfigError(
            f"{source.name}.{name}: parents: {len(wrong)} values of {endpoint.parent}.{field} hold the separator "
            f"{told.separator!r} of a batch: say another, or batch: 1"
        )
    some = [tuple(values[at : at + told.batch]) for at in range(0, len(values), told.batch)]
    named = f"{endpoint.parent}.{field}"
    return [Part(json.dumps(one, ensure_ascii=False), {named: told.separator.join(one)}, batch=one) for one in some]


def key_of(values: list[str]) -> str:
    """What tells a parent from the others: the value that its request names, or the list of them.

    >>> key_of(["17"]), key_of(["acme", "17"])
    ('17', '["acme", "17"]')
    """
    return values[0] if len(values) == 1 else json.dumps(values, ensure_ascii=False)


def positions(ends: Iterable[Any]) -> dict[str, str | None]:
    """Where the feed of each parent ended, by the positions of all fetches in their order."""
    found: dict[str, str | None] = {}
    for end in ends:
        if isinstance(end, Mapping):
            found |= {str(key): position for key, position in end.items() if position is not None}
    return found


def completing(walk: Walk, newest: Snapshot | None, now: datetime) -> Walk:
    """The walk of those parents only that the newest fetch did not reach, where some failed a short while ago.

    What completes another one is itself not completed: after it all parents are asked for again, so that a parent that
    fails each time does not keep the others from being looked at. Nor is one that is as old as half of what a walk may
    be to go on: the next day's fetch is to see the next day.
    """
    if newest is None or newest.manifest.ended is None or newest.manifest.ended.verdict != "incomplete":
        return walk
    told, same = newest.manifest, newest.manifest.fingerprint == fingerprint(walk, first_request(walk))
    if not same or told.completes is not None or now - told.started > walk.source.resume_within / 2:
        return walk
    if not any(end.problem is not None for end in newest.parts):
        return walk
    failed = {end.key for end in newest.parts if end.problem is not None}
    done = {end.under or end.key for end in newest.parts if end.problem is None} - failed
    if walk.endpoint.parents.batch > 1:
        there = {value for key in done for value in json.loads(key)}
        values = [value for part in walk.parts or () for value in part.batch if value not in there]
        return replace(walk, parts=tuple(batches(walk.source, walk.name, values)), completes=newest.fetch)
    left = tuple(part for part in walk.parts or () if part.key not in done)
    return replace(walk, parts=left, completes=newest.fetch)
