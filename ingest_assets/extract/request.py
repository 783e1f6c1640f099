"""What a walk asks for first: an endpoint and a partition as a request."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from ingest_assets.errors import RequestFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.http.target import HEADER, NO_HEADER
from ingest_assets.partitions import Slice
from ingest_assets.periods import written
from ingest_assets.source import PLACEHOLDER, Count, Endpoint, Feed, Source, Window

if TYPE_CHECKING:
    from ingest_assets.source.job import JobRequest

_LONGEST_KEY = 60
NO_SEGMENT = ("", ".", "..")
"""What is no segment of a path: it would lead to another one."""
_BETWEEN = ",;+"  # what may stand in a path as it is (RFC 3986 §3.3)


class Of(Struct, frozen=True):
    """The nested list that a part reads: that of one record, by its place on a stored page."""

    list: str
    page: int
    position: int


class File(Struct, frozen=True):
    """One of the files that a job made: by the key of the job's part, and its place among them."""

    job: str
    place: int


class Part(Struct, frozen=True):
    """One of the chains of pages that a fetch is made of. `key` tells it from the others, and is stored with its pages.

    `values` stand for placeholders beside those of the partition, `bounds` are a piece of the partition's own.
    `request` is its first one, where that is not made of what the source file says. `of` is the nested list that it
    reads, where it is one. `parent` is what its records take of their parent, by column; `position` is where its own
    feed ended. `batch` are the values of several parents, where one request asks for all of them. `file` is the one
    that it reads, where it is one of a job's. `under` is the key of the parent that it is a piece of.
    """

    key: str
    values: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[datetime, datetime] | None = None
    request: PageRequest | None = None
    of: Of | None = None
    parent: Mapping[str, str] = field(default_factory=dict)
    position: str | None = None
    batch: tuple[str, ...] = ()
    file: File | None = None
    under: str = ""

    @property
    def owner(self) -> str:
        """The key of the parent that it is of, or its own."""
        return self.under or self.key


class Walk(Struct, frozen=True, dict=True):
    """One partition of one endpoint to be fetched, or a part of it. `source` has its settings in place.

    `position` is where the last complete fetch of a feed ended: its cursor, or a time as ISO text; None before the
    first one. Where each parent has its own, it is the time that all are moved to, if they are. `part` is None for
    the partition as a whole, which is the usual walk. `parts` are those that a fetch begins with, where the file
    alone does not tell them: one a parent. Where these are only what another fetch did not reach, that is the one
    that this `completes`. `job` are the values of the job that is done, where it needs one.
    """

    source: Source
    name: str
    partition: str | None = None
    position: str | None = None
    part: Part | None = None
    parts: tuple[Part, ...] | None = None
    completes: int | None = None
    job: Mapping[str, str] = field(default_factory=dict)

    def of(self, part: Part | None) -> "Walk":
        """The walk of a part of this."""
        position = part.position if part is not None and self.parts is not None else self.position
        return replace(self, part=part, position=position)

    @cached_property
    def endpoint(self) -> Endpoint:
        """What the source file says of the endpoint; of a nested list, what it says of that."""
        told = self.source.endpoints[self.name]
        return told if self.part is None or self.part.of is None else told.of_list(self.part.of.list)

    @property
    def at_once(self) -> int:
        """How many requests may be on their way at the same time."""
        return self.endpoint.at_once or self.source.at_once

    @cached_property
    def bounds(self) -> tuple[datetime, datetime] | None:
        """The first moment that is asked for and the first one after; None without time partitions."""
        if self.part is not None and self.part.bounds is not None:
            return self.part.bounds
        return self.endpoint.bounds(self.partition)

    @property
    def slice(self) -> Slice:
        """What the partition's key is made of."""
        return self.endpoint.slice(self.partition)

    @property
    def label(self) -> str:
        """How messages name it: source.endpoint, the partition in brackets, and the part of it."""
        partition = f"[{self.partition}]" if self.partition is not None else ""
        return f"{self.source.name}.{self.name}{partition}" + (f", part {shown(self.part.key)}" if self.part else "")

    @property
    def moving_on(self) -> str:
        """The command that moves its feed to a time."""
        only = f" --partition {shlex.quote(self.partition)}" if self.partition is not None else ""
        return f"ingest run {self.source.name}.{self.name}{only} --since DATE"


def shown(key: str) -> str:
    """A part's key as messages have it: that of a batch is long."""
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"


def first_request(walk: Walk) -> PageRequest:
    """The request for the first page, without credentials."""
    if walk.part is not None and walk.part.request is not None:
        return walk.part.request
    return walk.endpoint.paginator.begun(_asked(walk, walk.endpoint))


def count_request(walk: Walk) -> PageRequest | None:
    """The request that asks how many records there are in the same part; None where the file names none."""
    return None if walk.endpoint.count is None else _asked(walk, walk.endpoint.count)


def job_request(walk: Walk, told: "JobRequest") -> PageRequest:
    """A request about the job of a walk, without credentials."""
    return _asked(walk, told, job_base(walk))


def job_base(walk: Walk) -> str:
    """Where requests about the job of a walk go."""
    own = walk.endpoint.job.base_url if walk.endpoint.job is not None else None
    return (own or walk.endpoint.base_url or walk.source.base_url).rstrip("/")


def _asked(walk: Walk, told: "Endpoint | Count | JobRequest", base: str | None = None) -> PageRequest:
    """What the source file says of a request, with the partition's values and bounds in place."""
    endpoint, values = walk.endpoint, values_of(walk)
    params = {name: filled(_text(value), values) for name, value in told.params.items()}
    if endpoint.job is None or told is endpoint.job.create:  # what a job made is of its bounds already
        params |= _bounds_asked(walk)
    base = base or (endpoint.base_url or walk.source.base_url).rstrip("/")
    path = filled(told.path.lstrip("/"), {name: _in_path(walk, name, value) for name, value in values.items()})
    request = PageRequest(
        url=f"{base}/{path}" if path else base,
        method=told.method,
        headers=headers_of(walk, told.headers),
        body=filled(_repeated(told.body, walk), values),
        body_as=told.body_as,
    )
    if request.method != "GET" and request.body is not None and request.body_as == "form":
        return replace(request, body={**request.body, **params})
    return replace(request, params=tuple(params.items()))


def _repeated(part: Any, walk: Walk) -> Any:
    """What is sent as a body, the element of a list that names the field of a batch once for each of its parents."""
    if walk.part is None or not walk.part.batch:
        return part
    name = f"{walk.endpoint.parent}.{walk.endpoint.parent_key[0]}"
    if isinstance(part, Mapping):
        return {key: _repeated(inner, walk) for key, inner in part.items()}
    if not isinstance(part, list | tuple):
        return part
    elements = list[Any]()
    for inner in part:
        named = f"{{{name}}}" in str(inner)
        elements += [filled(inner, {name: value}) for value in walk.part.batch] if named else [_repeated(inner, walk)]
    return elements


def _in_path(walk: Walk, name: str, value: str) -> str:
    """A value as a part of a path; RequestFailed for one that would lead to another path."""
    if value in NO_SEGMENT and "." in name:
        raise RequestFailed(f"{walk.label}: {{{name}}} is {value!r}, which is no part of a path")
    between = walk.endpoint.parents.separator if walk.part is not None and walk.part.batch else ""
    return quote(value, safe=":" + (between if between in _BETWEEN else ""))


def fingerprint(walk: Walk, first: PageRequest) -> str:
    """A hash of all that decides what a walk asks and how it reads the answers: a walk goes on only under the same."""
    endpoint, count = walk.endpoint, count_request(walk)
    reading = [part.model_dump(mode="json") for part in (endpoint.paginator, endpoint.decoder, endpoint.records)]
    cut: list[Any] = [endpoint.window.pieces] if endpoint.window is not None and endpoint.window.pieces > 1 else []
    cut += [{name: told.model_dump(mode="json") for name, told in endpoint.cut_lists.items()}] * bool(
        endpoint.cut_lists
    )
    cut += [endpoint.parents.model_dump(mode="json"), endpoint.parent_fields] if endpoint.parent is not None else []
    cut += [endpoint.window.cap.model_dump(mode="json")] if endpoint.window and endpoint.window.cap else []
    if endpoint.window is not None and (name := endpoint.window.stop_at) is not None:
        cut += [endpoint.columns[name].model_dump(mode="json", include={"path", "format"}), name]
    cut += [] if endpoint.answer.member is None else [endpoint.answer.member]
    rules = [rule.model_dump(mode="json") for rule in (*endpoint.responses, *walk.source.responses)]
    if any(rule["means"] != "throttled" for rule in rules):
        cut += [rules]
    if endpoint.job is not None:
        told = endpoint.job.model_dump(mode="json", include={"id", "state", "done", "told", "files"})
        cut += [told, _plain(asdict(job_request(walk, endpoint.job.create)))]
    counting = [] if count is None else [_plain(asdict(count))]
    text = json.dumps([_plain(asdict(first)), reading, *cut, *counting], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def request_key(request: PageRequest) -> str:
    """A hash by which a request that comes again is known."""
    return hashlib.sha256(json.dumps(_plain(asdict(request)), sort_keys=True, default=str).encode()).hexdigest()


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    return {**request, "params": sorted(request["params"])}


def _bounds_asked(walk: Walk) -> dict[str, str]:
    """The parameters of the partition's bounds, or of where a feed goes on."""
    window, feed = walk.endpoint.window, walk.endpoint.feed
    if feed is not None and feed.cursor is not None and walk.position is not None:
        return {feed.cursor.param: walk.position}
    names = {
        "from": feed.from_ if feed else window.from_ if window else None,
        "until": window.until if window else None,
    }
    return {name: text for word, text in _bounds(walk).items() if (name := names[word])}


def _bounds(walk: Walk) -> dict[str, str]:
    """What stands for {from} and {until}."""
    window, feed = walk.endpoint.window, walk.endpoint.feed
    if window is not None and walk.bounds is not None:
        from_, until = _written(window, *walk.bounds)
        return {"from": from_, "until": until}
    return {"from": _lower(walk, feed)} if feed is not None else {}


def _written(window: Window, lower: datetime, upper: datetime) -> tuple[str, str]:
    """Both bounds as the API wants them; where the upper one is part of the answer, it is the last one inside.

    But for records that tell their own time: what the bound brings of the next partition is known by it.
    """
    if window.inclusive and window.position is None:
        # Days are counted by the calendar; less than that by the clock of UTC, which is never moved.
        grain = _grain(window.format)
        upper = upper - grain if grain.days else (upper.astimezone(UTC) - grain).astimezone(upper.tzinfo)
    return written(lower, window.format), written(upper, window.format)


def _grain(form: str) -> timedelta:
    """The shortest step that a bound written so can tell: an inclusive upper bound is the next one less this."""
    finest = timedelta(microseconds=1)
    steps = {"date": timedelta(days=1), "unix_ms": timedelta(milliseconds=1), "iso": finest}
    return steps.get(form, finest if "%f" in form else timedelta(seconds=1))


def _lower(walk: Walk, feed: Feed) -> str:
    """Where a feed by time begins."""
    after = feed.cursor is None and walk.position is not None
    lower = datetime.fromisoformat(walk.position) - feed.overlap if after and walk.position else feed.start
    # A date, or a time without offset, is read by the API in its own zone.
    return written(lower.astimezone(ZoneInfo(walk.endpoint.time_zone)), feed.format)


def headers_of(walk: Walk, more: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """The headers of each request, without credentials; RequestFailed where one takes a value that no header may have.

    Of many parents that is a matter of one.
    """
    found = filled(walk.endpoint.headers | dict(more or {}), values_of(walk))
    for name, value in found.items():
        if walk.part is not None and not HEADER.fullmatch(value):
            raise RequestFailed(f"{walk.label}: header {name!r}: its value {NO_HEADER}. Not asked for")
    return tuple((walk.source.headers | found).items())


def request_from(told: Mapping[str, Any]) -> PageRequest:
    """The request that was written as JSON."""
    pairs = {name: tuple((key, value) for key, value in told[name]) for name in ("params", "headers", "path")}
    return PageRequest(**{**told, **pairs})


def values_of(walk: Walk) -> dict[str, str]:
    """What stands for {partition}, {from}, {until}, each dimension, and what else its part says."""
    told, more = walk.slice, walk.part.values if walk.part is not None else {}
    job = {f"job.{name}": value for name, value in walk.job.items()}
    period = {"partition": told.period} if told.period is not None else {}
    return {**told.by, **period, **_bounds(walk), **more, **job}


def filled(part: Any, values: Mapping[str, str]) -> Any:
    """Text, or what holds texts, with the values in the places of their names.

    >>> filled({"q": ["{account} of {day}", 1]}, {"account": "eu"})
    {'q': ['eu of {day}', 1]}
    """
    return filled_by(part, lambda found: values.get(found[1], found[0]), PLACEHOLDER)


def filled_by(part: Any, value: Callable[[re.Match[str]], str], named: re.Pattern[str]) -> Any:
    """Text, or what holds texts, with something in the places that a pattern finds."""
    if isinstance(part, str):
        return named.sub(value, part)
    if isinstance(part, Mapping):
        return {name: filled_by(inner, value, named) for name, inner in part.items()}
    return [filled_by(inner, value, named) for inner in part] if isinstance(part, list | tuple) else part


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
