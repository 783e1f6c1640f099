"""What has to fit together between the endpoints of a source; each rule yields where it is broken, and how."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingest_assets.http.rates import Allowed, PointLimit
from ingest_assets.source.changes import SeenByFeed
from ingest_assets.source.endpoint import Endpoint, listed
from ingest_assets.source.endpoint_rules import header_problems, url_problems
from ingest_assets.source.job_rules import named_in, requests_of
from ingest_assets.source.model import BUILT_IN, NAME, NO_NAME, PLACEHOLDER, Problem, values_of
from ingest_assets.source.response_rules import source_response_problems

if TYPE_CHECKING:  # a source is checked by these rules as it is made
    from ingest_assets.source.source import Source


_SPACES = "What is meant to be sent as it stands, such as GraphQL, takes spaces: { id }"
RESERVED_NAMES = {"pg_catalog", "information_schema", "main", "temp", "system", "_ingest"}


def problems(source: "Source") -> Iterator[Problem]:
    """All that is broken in a source, beside what its endpoints know themselves."""
    yield from _name_problems(source)
    yield from _source_problems(source)
    yield from _bucket_problems(source)
    yield from _placeholder_problems(source)


def _name_problems(source: "Source") -> Iterator[Problem]:
    if source.name in RESERVED_NAMES:
        yield (), f"{source.name!r} is a schema of the database's own: rename the file"
    elif not NAME.fullmatch(source.name):
        yield (), f"the file's name {source.name!r} {NO_NAME}"
    for part in ("endpoints", "settings", "buckets"):
        for name in getattr(source, part):
            if not NAME.fullmatch(name):
                yield (part, name), f"{name!r} {NO_NAME}"
    for name in sorted(BUILT_IN & set(source.settings)):
        yield ("settings", name), f"{{{name}}} is a part of the partition: name the setting otherwise"
    for name, other in itertools.permutations(source.endpoints, 2):
        if name.startswith(f"{other}__"):
            yield (
                ("endpoints", name),
                f"a table {name!r} would also hold a list of endpoint {other!r}: rename one of them",
            )


def _source_problems(source: "Source") -> Iterator[Problem]:
    yield from url_problems(source.base_url)
    yield from header_problems(source.headers)
    if not source.endpoints:
        yield ("endpoints",), "a source has at least one endpoint"
    for name, endpoint in source.endpoints.items():
        changes = endpoint.changes
        if isinstance(changes, SeenByFeed) and (changes.feed == name or changes.feed not in source.endpoints):
            others = ", ".join(other for other in source.endpoints if other != name)
            yield (
                ("endpoints", name, "changes", "feed"),
                f"{changes.feed!r} is not another endpoint of this source; there are {others or 'none'}",
            )
    yield from _listed_problems(source)
    yield from _parent_problems(source)
    yield from source_response_problems(source)
    yield from _reference_problems(source)


def _reference_problems(source: "Source") -> Iterator[Problem]:
    for name, endpoint in source.endpoints.items():
        tables: dict[tuple[str, ...], Any] = {("columns",): endpoint.columns}
        tables |= {("children", path, "columns"): table.columns for path, table in endpoint.children.items()}
        for place, columns in tables.items():
            for column, declared in columns.items():
                table = (declared.references or "").partition(".")[0].partition("__")[0]
                if declared.references is not None and table not in source.endpoints:
                    there = ", ".join(source.endpoints)
                    told = f"{table!r} is not an endpoint of this source; there are {there}"
                    yield ("endpoints", name, *place, column, "references"), told


def _bucket_problems(source: "Source") -> Iterator[Problem]:
    for name, limits in source.buckets.items():
        if not limits:
            yield ("buckets", name), "expected at least one limit, such as {requests: 30, per: PT1M}"
        if not any(name in endpoint.bucket for endpoint in source.endpoints.values()):
            yield ("buckets", name), f"no endpoint counts in it: say `bucket: {name}` at those that do"
    for name, endpoint in source.endpoints.items():
        known = ", ".join(source.buckets) or "none"
        strange = [one for one in endpoint.bucket if one not in source.buckets]
        for bucket in strange:
            yield ("endpoints", name, "bucket"), f"{bucket!r} is not one of the source's buckets; there are {known}"
        for bucket in sorted({one for one in endpoint.bucket if endpoint.bucket.count(one) > 1}):
            yield ("endpoints", name, "bucket"), f"{bucket!r} stands twice"
        if not strange:
            yield from _cost_problems(source, name, endpoint)


def _cost_problems(source: "Source", name: str, endpoint: Endpoint) -> Iterator[Problem]:
    limits: list[Allowed] = [*source.rate_limit, *endpoint.rate_limit]
    limits += [limit for bucket in endpoint.bucket for limit in source.buckets[bucket]]
    points = [limit.points for limit in limits if isinstance(limit, PointLimit)]
    if "cost" in endpoint.model_fields_set and not points:
        yield (
            ("endpoints", name, "cost"),
            "a cost counts in limits of points, and none holds here: write such as {points: 900, per: PT1M}",
        )
    for most in points:
        if endpoint.points > most:
            yield ("endpoints", name, "cost"), f"a request of {endpoint.points} points fits into no limit of {most}"


def _listed_problems(source: "Source") -> Iterator[Problem]:
    for name, endpoint in source.endpoints.items():
        for dimension, told in listed(endpoint).items():
            place = ("endpoints", name, "partitions", "by", dimension, "endpoint")
            if told.endpoint not in source.endpoints or told.endpoint == name:
                others = ", ".join(other for other in source.endpoints if other != name)
                yield place, f"{told.endpoint!r} is not another endpoint of this source; there are {others or 'none'}"
            elif name in listings(source, told.endpoint):
                yield place, f"{told.endpoint!r} is itself listed by {name!r}: one of them has to come first"


def _needed(endpoint: Endpoint) -> set[str]:
    """The endpoints whose tables say what is to be asked for of this one."""
    return {one.endpoint for one in listed(endpoint).values()} | set(endpoint.named_parents)


def _parent_problems(source: "Source") -> Iterator[Problem]:
    for name, endpoint in source.endpoints.items():
        for parent, fields in endpoint.named_parents.items():
            place, field = ("endpoints", name, "path"), min(fields)
            if parent not in source.endpoints or parent == name:
                others = ", ".join(other for other in source.endpoints if other != name) or "none"
                yield (
                    place,
                    f"{{{parent}.{field}}}: {parent!r} is not another endpoint of this source; there are {others}",
                )
            elif name in listings(source, parent):
                yield (
                    place,
                    f"{{{parent}.{field}}}: {parent!r} is itself asked for by {name!r}: one of them comes first",
                )
            else:
                yield from _shared_problems(name, endpoint, parent, source.endpoints[parent])


def _shared_problems(name: str, endpoint: Endpoint, parent: str, model: Endpoint) -> Iterator[Problem]:
    """Parents of one account must not be asked for with the key of another."""
    told = {column.from_partition for column in model.columns.values()}
    for dimension in model.partitions.by if model.partitions else ():
        mine = endpoint.partitions is not None and dimension in endpoint.partitions.by
        if mine and dimension not in told:
            yield (
                ("endpoints", parent, "columns"),
                (
                    f"the parents of {name!r} are told apart by {dimension!r}: give {parent!r} a column, such as "
                    f"{dimension}: {{type: varchar, from_partition: {dimension}}}"
                ),
            )


def listings(source: "Source", name: str) -> set[str]:
    """All endpoints that have to be loaded before an endpoint's partitions, or its parents, are known."""
    found, new = set[str](), {name}
    while new:
        new = {other for n in new if n in source.endpoints for other in _needed(source.endpoints[n])}
        new -= found
        found |= new
    return found


def _placeholder_problems(source: "Source") -> Iterator[Problem]:
    """A placeholder that nothing replaces would be sent as it stands."""
    everywhere = set(source.settings)
    yield from _unknown(values_of(source, "base_url", "account", "headers", "tls"), everywhere)
    yield from _unknown(values_of(source, "auth"), everywhere | source.auth.placeholders)
    for name, endpoint in source.endpoints.items():
        inside: tuple[str, ...] = ("endpoints", name)
        known = everywhere | endpoint.placeholders
        made = known | endpoint.job_placeholders
        strange = list(_unknown(values_of(endpoint, "path"), made | endpoint.paginator.segments, inside))
        strange += _unknown(values_of(endpoint, "params", "headers"), made, inside)
        yield from strange or _unsent(endpoint, inside)
        if endpoint.auth is not None:
            yield from _unknown(values_of(endpoint, "auth"), everywhere | endpoint.auth.placeholders, inside)
        if endpoint.count is not None:
            counted = values_of(endpoint.count, "path", "params", "headers", "body")
            yield from _unknown(counted, known, (*inside, "count"))
        yield from _job_problems(endpoint, known, inside)
        for place, message in _unknown(values_of(endpoint, "body"), made, inside):
            yield place, f"{message}. {_SPACES}"
        # An account that an API lists must not decide where credentials go.
        yield from _unknown(values_of(endpoint, "base_url"), everywhere, inside)
        if endpoint.job is not None:
            yield from _unknown(values_of(endpoint.job, "base_url"), everywhere, (*inside, "job"))
        for clash in sorted(everywhere & set(endpoint.partitions.by if endpoint.partitions else ())):
            yield (*inside, "partitions", "by", clash), f"{{{clash}}} is a setting of this source: rename one of them"


def _job_problems(endpoint: Endpoint, known: set[str], inside: tuple[str, ...]) -> Iterator[Problem]:
    """Placeholders of what makes a job, and of what looks at it: its own number is known to the latter only."""
    if endpoint.job is None:
        return
    for name, told in requests_of(endpoint.job).items():
        there = known | ({"job.id"} if name in ("status", "cancel") else set())
        sent = values_of(told, "path", "params", "headers", "body", "where")
        for place, message in _unknown(sent, there, (*inside, "job", name)):
            yield place, f"{message}. {_SPACES}" if "body" in place else message
        yield from header_problems(told.headers, (*inside, "job", name, "headers"))


def _unsent(endpoint: Endpoint, inside: tuple[str, ...]) -> Iterator[Problem]:
    """A dimension that is sent nowhere would give all accounts the same answer."""
    sent = set(PLACEHOLDER.findall(str(values_of(endpoint, "path", "params", "headers", "body"))))
    sent |= named_in(endpoint.job.create) if endpoint.job is not None else set()
    for name in endpoint.partitions.by if endpoint.partitions else ():
        if name not in sent:
            told = f"{{{name}}} is sent nowhere, so each would get the same answer: write it in path, params or body"
            yield (*inside, "partitions", "by", name), told


def _unknown(value: Any, known: set[str], path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unknown(inner, known, (*path, key))
    if isinstance(value, str):
        for found in dict.fromkeys(PLACEHOLDER.findall(value)):
            if found not in known:
                told = ", ".join(f"{{{name}}}" for name in sorted(known)) or "nothing"
                yield path, f"{{{found}}} is replaced by nothing; known here: {told}"
