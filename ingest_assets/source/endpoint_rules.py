"""What has to fit together within one endpoint; each rule yields where it is broken, and what is wrong there."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ingest_assets.http.validators import CONDITIONS
from ingest_assets.partitions import NO_KEY_PART, Listed, is_key_part, types_of
from ingest_assets.periods import EVERY, even_hours, fixed_offset
from ingest_assets.source.column_rules import column_problems
from ingest_assets.source.job_rules import job_problems, named_in
from ingest_assets.source.model import BUILT_IN, NAME, NO_NAME, PLACEHOLDER, Problem, values_of
from ingest_assets.source.parent_rules import parent_problems
from ingest_assets.source.response_rules import response_problems
from ingest_assets.source.unchanged_rules import unchanged_problems
from ingest_assets.source.write_rules import write_problems

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint


_TELLS_HOURS = ("%H", "%I", "%X", "%c", "%T")
_CREDENTIAL_HEADERS = {"authorization", "proxy-authorization", "cookie"}


def problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken in an endpoint."""
    yield from _shape_problems(endpoint)
    yield from _partition_problems(endpoint)
    yield from _bound_problems(endpoint)
    yield from _piece_problems(endpoint)
    yield from _overlap_problems(endpoint)
    yield from _cap_problems(endpoint)
    yield from _position_problems(endpoint)
    yield from _stop_problems(endpoint)
    yield from write_problems(endpoint)
    yield from _request_problems(endpoint)
    yield from _count_problems(endpoint)
    yield from parent_problems(endpoint)
    yield from response_problems(endpoint)
    yield from unchanged_problems(endpoint)
    yield from column_problems(endpoint)
    yield from job_problems(endpoint)


def _shape_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window = endpoint.window is not None
    periods = endpoint.partitions is not None and endpoint.partitions.every is not None
    if window and endpoint.feed:
        yield ("feed",), "an endpoint is a window, a feed or a listing; this one says both window and feed"
    elif periods and not window:
        yield (
            ("partitions",),
            "time partitions need a window: without one, a backfill would store today's list as the past",
        )
    elif window and not periods:
        yield ("window",), "a window needs partitions, such as {every: day, start: 2026-01-01}"
    if endpoint.changes is not None and not window:
        yield ("changes",), "changes says what a window misses, and this endpoint has no window"


def _partition_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    told = endpoint.partitions
    if told is None:
        yield from _from_partition_problems(endpoint, ())
        return
    if not told.dimensions and told.start is None:
        yield ("partitions",), "expected every and start, such as {every: day, start: 2026-01-01}, or by, or both"
    if (told.every is None) != (told.start is None):
        given, missing = ("every", "start") if told.every else ("start", "every")
        yield ("partitions", given), f"{given} needs {missing} beside it, such as {{every: day, start: 2026-01-01}}"
    for field in ("open", "settle"):
        if told.every is None and getattr(told, field):
            yield ("partitions", field), f"{field} is about periods: it needs every and start"
    if told.settle < timedelta(0):
        yield ("partitions", "settle"), "expected a duration such as PT2H, not one that lies before the end"
    if len(told.dimensions) > 2:
        found = ", ".join(told.dimensions)
        yield ("partitions", "by"), f"Dagster's partitions have two dimensions at most; these are {found}"
    yield from _by_problems(told.by)
    yield from _hour_problems(endpoint)
    yield from _from_partition_problems(endpoint, told.dimensions)


def _by_problems(by: Mapping[str, tuple[str, ...] | Listed]) -> Iterator[Problem]:
    for name, values in by.items():
        place = ("partitions", "by", name)
        if name in BUILT_IN or name in EVERY:
            yield place, f"{name!r} is a word of the file's own: name the dimension otherwise, such as account"
        elif not NAME.fullmatch(name):
            yield place, f"{name!r} {NO_NAME}"
        if isinstance(values, Listed):
            continue
        if not values:
            yield place, "expected at least one value"
        for twice in sorted({value for value in values if values.count(value) > 1}):
            yield place, f"{twice!r} stands twice"
        for wrong in [value for value in values if not is_key_part(value)]:
            yield place, f"{wrong!r} {NO_KEY_PART}"


def _hour_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """Hours have to be told apart: by Dagster, and by whoever reads a bound."""
    periods, window = endpoint.periods, endpoint.window
    if periods is None or window is None or periods.every != "hour":
        return
    if not even_hours(periods.zone, periods.start):
        yield (
            ("partitions", "every"),
            f"the clock of {periods.zone} moves by half an hour: use time_zone: UTC for hours",
        )
    if window.format in ("iso", "unix", "unix_ms"):
        return
    if not any(part in window.format for part in _TELLS_HOURS):
        yield ("window", "format"), f"a bound written as {window.format!r} tells no hour, and partitions are hours"
    elif not fixed_offset(periods.zone, periods.start) and not any(p in window.format for p in ("%z", "%:z")):
        yield (
            ("window", "format"),
            f"an hour comes twice a year in {periods.zone}: its bounds need an offset (%z), or time_zone: UTC",
        )


def _from_partition_problems(endpoint: "Endpoint", dimensions: tuple[str, ...]) -> Iterator[Problem]:
    for name, column in endpoint.columns.items():
        if column.from_partition is not None and column.from_partition not in dimensions:
            known = ", ".join(dimensions) or "no partitions"
            yield (
                ("columns", name, "from_partition"),
                f"{column.from_partition!r} is no dimension of the partitions; there are {known}",
            )
        elif column.from_partition is not None and column.type not in types_of(column.from_partition):
            yield (
                ("columns", name, "type"),
                f"a column of {column.from_partition!r} is {' or '.join(types_of(column.from_partition))}",
            )
    for path, table in endpoint.children.items():
        for name, column in table.columns.items():
            if column.from_partition is not None:
                yield ("children", path, "columns", name), "from_partition is for columns of the endpoint's own table"


def _bound_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """A bound that is sent nowhere would fetch everything each time."""
    asked = set(PLACEHOLDER.findall(str(values_of(endpoint, "path", "params", "headers", "body"))))
    asked |= named_in(endpoint.job.create) if endpoint.job is not None else set()
    bounds: list[tuple[str, str, str | None]] = []
    if endpoint.window is not None:
        bounds += [("window", "from", endpoint.window.from_), ("window", "until", endpoint.window.until)]
        bounds = [] if endpoint.window.stop_at is not None else bounds
    if endpoint.feed is not None:
        bounds += [("feed", "from", endpoint.feed.from_)]
    for part, name, parameter in bounds:
        if parameter is None and name not in asked & endpoint.placeholders:
            yield (
                (part,),
                f"{name!r} is missing: name the parameter of this bound, or write {{{name}}} in path, params or body",
            )


def _piece_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window = endpoint.window
    if window is not None and window.pieces > 1 and window.position is not None and not endpoint.primary_key:
        told = "what is of the very moment between two pieces comes twice: that takes a primary_key to be told"
        yield ("window", "pieces"), told


def _overlap_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    if endpoint.paginator.overlaps_by is not None and not endpoint.primary_key:
        told = "the record that is asked for again comes twice: that takes a primary_key to be told"
        yield ("paginator", "overlap"), told


def _cap_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window = endpoint.window
    if window is None or window.cap is None:
        return
    if not endpoint.primary_key:
        told = "what was read before a window is cut comes again: that takes a primary_key to be told"
        yield ("window", "cap"), told
    if window.stop_at is not None:
        yield (
            ("window", "cap"),
            "a window is cut by its bounds, and stop_at is for collections that take no lower bound",
        )
    if endpoint.paginator.type == "none":
        yield ("window", "cap"), "a cap is reached from page to page: name a paginator"


def _position_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window = endpoint.window
    if window is None or window.position is None:
        return
    place, column = ("window", "position"), endpoint.columns.get(window.position)
    if not window.inclusive:
        yield place, "position is for inclusive: true: other bounds leave nothing to be told apart"
    elif not _tells_seconds(window.format):
        yield place, f"position is for bounds that tell seconds, and format {window.format} tells none"
    if column is None or column.type != "timestamptz":
        yield place, f"position {window.position!r} is not a column of type timestamptz: declare it"


def _stop_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window = endpoint.window
    if window is None or window.stop_at is None:
        return
    place, column = ("window", "stop_at"), endpoint.columns.get(window.stop_at)
    if column is None or column.type != "timestamptz" or not column.required:
        told = f"{window.stop_at!r} is not a column of type timestamptz, required: true: declare it, so that no record "
        yield place, told + "without a time is taken for one of each partition"
    if "{from}" in str(values_of(endpoint, "path", "params", "body")) or window.from_ is not None:
        yield place, "stop_at is for collections that take no lower bound, and this one is asked with `from`"
    if window.position is not None or window.pieces > 1:
        yield place, "position and pieces are for windows that are asked for by both bounds: leave them out"
    if endpoint.paginator.type == "none":
        yield place, "stop_at ends a walk from page to page: name a paginator"


def _tells_seconds(form: str) -> bool:
    return form in ("iso", "unix", "unix_ms") or any(part in form for part in ("%S", "%T", "%s"))


def _request_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    if endpoint.base_url is not None:
        yield from url_problems(endpoint.base_url)
    yield from header_problems(endpoint.headers)
    if "://" in endpoint.path:
        yield ("path",), "a path is added to base_url: leave scheme and host out, or say base_url: here, too"
    if "max_empty_pages" in endpoint.model_fields_set and endpoint.empty_page == "fail":
        yield (
            ("max_empty_pages",),
            "max_empty_pages is for empty_page: continue; here the first empty page is a failure",
        )
    yield from _paginator_problems(endpoint)
    if (refused := endpoint.decoder.refused(endpoint.records)) is not None:
        yield ("records",), refused.removeprefix("records: ")
    if endpoint.body is not None and endpoint.method == "GET":
        yield ("body",), "a body is sent with method: POST, and this is GET"
    if endpoint.body_as == "form":
        yield from _form_problems(endpoint.body or {})


def _paginator_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """What the paginator puts into requests has one value, and somewhere to stand."""
    body = endpoint.body or {} if endpoint.method == "POST" else {}
    given = [("params", name, name) for name in endpoint.params] + [("body", name, name) for name in body]
    given += [("headers", name, name.lower()) for name in endpoint.headers]
    for target in endpoint.paginator.sets:
        own = {"params": (target.name, target.query), "body": (target.name, target.body)}
        own["headers"] = (target.header and target.header.lower(), None)
        for part, name, written in given:
            if written in own[part]:
                told = f"{name!r} is set by the paginator, page by page: leave it out here; `first:` says the first"
                yield (part, name), told
    for name in sorted(endpoint.paginator.segments - set(PLACEHOLDER.findall(endpoint.path))):
        yield ("paginator",), f"it fills {{{name}}} in the path, and the path holds none: such as /things/{{{name}}}"


def _count_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """A count of something else would fail good walks, or pass bad ones."""
    count = endpoint.count
    if count is None:
        return
    if endpoint.total is not None:
        yield ("count",), "total and count both say how many records there are: leave one of them out"
    if endpoint.feed is not None and endpoint.feed.cursor is not None:
        yield ("count",), "a feed that goes on by a cursor has no bounds that could be counted between"
    if "://" in count.path:
        yield ("count", "path"), "a path is added to base_url: leave scheme and host out"
    if count.body is not None and count.method == "GET":
        yield ("count", "body"), "a body is sent with method: POST, and this is GET"
    yield from header_problems(count.headers, ("count", "headers"))
    parts = ("path", "params", "body")
    asked, counted = (set(PLACEHOLDER.findall(str(values_of(one, *parts)))) for one in (endpoint, count))
    for name in sorted((asked & endpoint.placeholders) - endpoint.paginator.segments - counted):
        yield (
            ("count",),
            f"{{{name}}} chooses the records and is not in the count: write it in its path, params or body",
        )


def _form_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    plain = "a form holds texts, numbers and lists of these; where the API wants more, write it as JSON text in quotes"
    for name, value in body.items():
        if not all(isinstance(one, str | int | float) for one in (value if isinstance(value, list) else [value])):
            yield ("body", name), plain


def url_problems(url: str) -> Iterator[Problem]:
    if not re.match(r"https?://[^/?#]|\{", url):  # a setting may hold the scheme
        yield ("base_url",), "found no https:// or http:// and host; expected a URL such as https://api.example.com/v1"
    elif "@" in url.split("://", 1)[-1].split("/", 1)[0]:
        yield ("base_url",), "base_url holds a user or password: name them under auth: instead"
    elif "?" in url or "#" in url:
        yield ("base_url",), "base_url ends before ? and #: write parameters under params:"


def header_problems(headers: Mapping[str, str], place: tuple[str, ...] = ("headers",)) -> Iterator[Problem]:
    for name in headers:
        if name.lower() in _CREDENTIAL_HEADERS:
            yield (
                (*place, name),
                "a header of credentials: name the secret under auth:, so that it is kept out of logs",
            )
        if name.lower() in CONDITIONS:
            yield (*place, name), "an answer to it may be no page: say `only_if_changed: true` at the endpoint instead"
