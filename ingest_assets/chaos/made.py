"""Records as an API would send them, made of what the source file says of an endpoint: key, columns, times, lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ingest_assets.chaos.values import Nth, as_text, value
from ingest_assets.column import Column
from ingest_assets.http.page import MISSING, find
from ingest_assets.source import Above, Endpoint, Source

_ODD = 'näïve "note", with\ttab, \\ and / of {number}'
_STEP = re.compile(r"([^.\[]*(?:\[[^\]]*\])?)\.?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """One record: what the API sends, when it is of, and what tells it from all others."""

    data: Mapping[str, Any]
    moment: datetime
    identity: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Span:
    """The time that records are of: from, and before."""

    lower: datetime
    upper: datetime


def records(
    source: Source, name: str, count: int, span: Span, first: int = 0, parent: Mapping[str, str] | None = None
) -> list[Record]:
    """So many records of an endpoint, in the API's order; fewer, where a key of days alone leaves room for fewer only.

    `first` is the number of the first one. `parent` are the columns of whose children they are.
    """
    endpoint = source.endpoints[name]
    times = _times(endpoint, count, span)
    made = [_record(source, name, Nth(first + n, moment, endpoint.time_zone), parent) for n, moment in enumerate(times)]
    newest_first = endpoint.window is not None and endpoint.window.stop_at is not None
    return made[::-1] if newest_first else made


def put(body: Any, path: str, given: Any) -> Any:
    """A copy of a body with a value at a path as a source file writes it; lists and objects are made on the way.

    >>> put({"a": 1}, "links[rel=next].url", "/b")
    {'a': 1, 'links': [{'rel': 'next', 'url': '/b'}]}
    >>> put({}, "meta.links[0]", "/b")
    {'meta': {'links': ['/b']}}
    """
    step = _STEP.fullmatch(path)
    key, rest = (step[1], step[2]) if step is not None else (path, "")
    name, mark, choice = key.partition("[")
    body = body if isinstance(body, Mapping) else {}
    inner = body.get(name)
    if not mark:
        return {**body, name: put(inner, rest, given) if rest else given}
    chosen, sign, wanted = choice.removesuffix("]").partition("=")
    element: Any = {chosen: wanted} if sign else {}
    element = put(element, rest, given) if rest else given
    others = [one for one in inner or [] if not (sign and isinstance(one, Mapping) and one.get(chosen) == wanted)]
    return {**body, name: [*others, element]}


def identity(endpoint: Endpoint, record: Any, given: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What tells a record from the others: its key; without one, all of it."""
    told = given or {}
    if not endpoint.primary_key:
        return (repr(record),)
    return tuple(
        told[name] if name in told else as_text(_found(endpoint, record, name)) for name in endpoint.primary_key
    )


def path_of(endpoint: Endpoint, name: str) -> str:
    """Where in a record a column's value is."""
    column = endpoint.columns.get(name)
    return column.path if column is not None and column.path else name.replace("__", ".")


def _found(endpoint: Endpoint, record: Any, name: str) -> Any:
    found = find(record, path_of(endpoint, name))
    return None if found is MISSING else found


def _times(endpoint: Endpoint, count: int, span: Span) -> list[datetime]:
    """The time of each record: spread over the span; a day apart where the key is a day."""
    days = [endpoint.columns[key].type == "date" for key in endpoint.primary_key if key in endpoint.columns]
    if days and all(days) and len(days) == len(endpoint.primary_key):
        step = timedelta(days=1)
        most = max(1, (span.upper - span.lower) // step)
        return [span.lower + step * n for n in range(min(count, most))]
    step = (span.upper - span.lower) / (count + 1)
    step -= timedelta(microseconds=step.microseconds) if step >= timedelta(seconds=1) else timedelta(0)
    return [span.lower + step * n for n in range(count)]


def _record(source: Source, name: str, nth: Nth, parent: Mapping[str, str] | None) -> Record:
    endpoint = source.endpoints[name]
    told: dict[str, Any] = {}
    if not endpoint.decoder.texts and not _is_value_alone(endpoint):
        told["note"] = _ODD.format(number=nth.number)
    for column, declared in endpoint.columns.items():
        if not declared.given:
            told = put(
                told, path_of(endpoint, column), value(declared, column, nth, key=column in endpoint.primary_key)
            )
    for column in (*endpoint.primary_key, *filter(None, [endpoint.newest_by])):
        if column not in endpoint.columns and column not in endpoint.placeholders:
            told = put(told, path_of(endpoint, column), value(None, column, nth))
    told = _told_of_time(endpoint, _listed(source, name, told, nth), nth)
    told = _lists(endpoint, told, nth)
    if endpoint.parents.answers and parent:
        told = put(told, endpoint.parents.answers, parent[endpoint.parent_key[0]])
    if endpoint.decoder.texts:
        told = _texts(told)
    given = {
        key: parent[column.from_parent] for key, column in endpoint.columns.items() if parent and column.from_parent
    }
    return Record(told, nth.moment, identity(endpoint, told, given))


def _is_value_alone(endpoint: Endpoint) -> bool:
    """Whether a record is a value beside keys, such as a rate, so that it has no field that the file does not name."""
    return bool(endpoint.records.key) or endpoint.records.layout == "columns"


def _told_of_time(endpoint: Endpoint, told: dict[str, Any], nth: Nth) -> dict[str, Any]:
    """With what the walk itself reads: the field of the next page's parameter, the feed's position, no tombstone."""
    field_of_cursor = getattr(endpoint.paginator, "field", None)
    if field_of_cursor and find(told, field_of_cursor) is MISSING:
        told = put(told, field_of_cursor, f"cursor-{nth.number:04d}")
    position = endpoint.feed.position if endpoint.feed is not None else None
    if position and find(told, position) is MISSING:
        form = endpoint.feed.format if endpoint.feed is not None and endpoint.feed.format.startswith("unix") else "iso"
        told = put(told, position, value(Column(type="timestamptz", format=form), position, nth))
    if endpoint.deleted is not None and find(told, endpoint.deleted.path) in (MISSING, endpoint.deleted.equals):
        told = put(told, endpoint.deleted.path, _other_than(endpoint.deleted.equals))
    return told


def _other_than(given: str | bool | int) -> Any:
    if isinstance(given, bool):
        return not given
    return f"not {given}" if isinstance(given, str) else given + 1


def _listed(source: Source, name: str, told: dict[str, Any], nth: Nth) -> dict[str, Any]:
    """With the columns by which other endpoints name it, as a parent or an account."""
    for other in source.endpoints.values():
        by = other.partitions.by.values() if other.partitions else ()
        fields = [one.field for one in by if not isinstance(one, tuple) and one.endpoint == name]
        fields += other.parent_fields if other.parent == name else []
        for column in fields:
            if (
                column not in source.endpoints[name].columns
                and find(told, path_of(source.endpoints[name], column)) is MISSING
            ):
                told = put(told, path_of(source.endpoints[name], column), value(None, column, nth))
        for column, wanted in (other.parents.where if other.parent == name else {}).items():
            one = wanted[0] if isinstance(wanted, tuple) else wanted.above + 1 if isinstance(wanted, Above) else wanted
            told = put(told, path_of(source.endpoints[name], column), one)
    return told


def _lists(endpoint: Endpoint, told: dict[str, Any], nth: Nth) -> dict[str, Any]:
    """With a whole list of each kind that the file names: those of child tables, and those that may come cut."""
    for path, children in endpoint.children.items():
        element: dict[str, Any] = {}
        for column, declared in children.columns.items():
            element = put(element, declared.path or column.replace("__", "."), value(declared, column, nth))
        told = put(told, path, [element or {"text": "one"}])
    for path, cut in endpoint.cut_lists.items():
        if find(told, path) is MISSING:
            told = put(told, path, [{"id": f"line-{nth.number:04d}"}])
        told = put(told, cut.has_more, False) if cut.has_more else put(told, cut.total or "", 1)
    return told


def _texts(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {key: _texts(inner) for key, inner in given.items()}
    return [_texts(inner) for inner in given] if isinstance(given, list) else as_text(given)
