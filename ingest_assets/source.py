"""The source file: everything an API differs in, as data.

    Source                      one API: where it is, how to get in, how fast one may ask
    └── Endpoint                one collection: what is asked, how it changes, what its table promises
        ├── Window | Feed       how it can be asked for a part; neither of them: a listing
        ├── Partitions          which parts are fetched, loaded and backfilled as one: periods, accounts, or both
        └── Contract            see `ingest_assets.contract`

Models only: reading files is `ingest_assets.catalog`, and what each part does stands with its model in
`ingest_assets.http`.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ingest_assets.contract import TIME_TYPES, Children, Columns, Contract, Names, Tombstone, Write
from ingest_assets.durations import Duration
from ingest_assets.http.auth import Auth, NoAuth
from ingest_assets.http.decoders import Decoder, Json, Selector
from ingest_assets.http.limits import RateLimit
from ingest_assets.http.paginators import Paginator, SinglePage
from ingest_assets.http.place import Place
from ingest_assets.partitions import NO_KEY_PART, Listed, Partitions, Slice, day_first, is_key_part, types_of
from ingest_assets.periods import EVERY, Periods, even_hours, fixed_offset

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")
_BUILT_IN = {"from", "until", "partition"}
_TELLS_HOURS = ("%H", "%I", "%X", "%c", "%T")
_CREDENTIAL_HEADERS = {"authorization", "proxy-authorization", "cookie"}
RESERVED_NAMES = {"pg_catalog", "information_schema", "main", "temp", "system", "_ingest"}
_NO_NAME = "is not a name: small letters, digits and _, a letter first, 40 characters at most"
_CRON = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CRON_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}

Problem = tuple[tuple[str | int, ...], str]
"""Where in the file, as keys from the model that tells it, and what is wrong there."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str | dict | RateLimit) else value


def _refuse(problems: list[Problem]) -> None:
    """All broken rules at once; `ingest_assets.catalog` finds the line of each."""
    if problems:
        message = "; ".join(message for _, message in problems)
        raise PydanticCustomError("rules", "{message}", {"message": message, "problems": problems})


def _time_format(value: str) -> str:
    if value in ("iso", "date", "unix", "unix_ms") or "%" in value:
        return value
    raise ValueError("expected iso, date, unix, unix_ms or a strftime pattern such as %d.%m.%Y")


TimeFormat = Annotated[str, AfterValidator(_time_format)]
RateLimits = Annotated[
    tuple[RateLimit, ...], BeforeValidator(_tuple, json_schema_input_type=RateLimit | tuple[RateLimit, ...])
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple, json_schema_input_type=str | tuple[str, ...])]
Key = Annotated[Names, WithJsonSchema({"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]})]


def cron(text: str) -> str:
    """The schedule itself, or a ValueError that names the field which cron would not understand.

    >>> cron("*/15 6-22 * * mon-fri")
    '*/15 6-22 * * mon-fri'
    """
    fields = text.split()
    if len(fields) != len(_CRON):
        raise ValueError("expected five fields of cron (minute, hour, day, month, day of the week), such as 30 2 * * *")
    for field, (name, low, high) in zip(fields, _CRON, strict=True):
        if not all(_is_cron_item(item, name, low, high) for item in field.lower().split(",")):
            raise ValueError(f"{field!r} is no {name} of cron: *, */2, or numbers from {low} to {high} such as 1,3-5")
    return text


def _is_cron_item(item: str, name: str, low: int, high: int) -> bool:
    span, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if span == "*":
        return True
    names = _CRON_NAMES.get(name, {})
    ends = [names.get(end, int(end) if end.isdecimal() else -1) for end in span.split("-")]
    return len(ends) <= 2 and all(low <= end <= high for end in ends) and ends == sorted(ends)


class Setting(_Model):
    """A value that differs from account to account, read from the environment; it is no secret."""

    env: str = Field(description="name of the environment variable")
    default: str | None = Field(None, description="used where the variable is not set")


def _kind_of_setting(given: Any) -> str | None:
    if isinstance(given, str):
        return "a text"
    return "Setting" if isinstance(given, dict | Setting) else None


SettingOrText = Annotated[
    Annotated[Setting, Tag("Setting")] | Annotated[str, Tag("a text")],
    Discriminator(
        _kind_of_setting, custom_error_type="setting", custom_error_message="expected text in quotes, or {env: NAME}"
    ),
]


def _without_format(schema: dict[str, Any]) -> None:
    schema.pop("format")  # a day is enough, and JSON Schema's date-time is not


class Window(_Model):
    """A collection that can be asked for a lower and an upper bound."""

    from_: str | None = Field(
        None,
        alias="from",
        description="the parameter of the lower bound, such as created[gte]; or write {from} in path, params or body",
    )
    until: str | None = Field(
        None,
        description="the parameter of the upper bound, such as created[lt]; or write {until} in path, params or body",
    )
    format: TimeFormat = Field(
        "iso", description="how bounds are written: iso, date, unix, unix_ms, or a strftime pattern"
    )
    inclusive: bool = Field(
        False,
        description="the upper bound itself is part of the answer: the last day, second, or (iso) microsecond of the "
        "partition is asked for",
    )
    position: str | None = Field(
        None,
        description="with inclusive, where records have fractions of a second: the column of their own time. The bound "
        "itself is asked for then, and what is of the next partition is left out and counted as filtered",
    )


class FeedCursor(_Model):
    """An opaque cursor that the last page of a complete fetch leaves for the next fetch."""

    path: str = Field(description="where the last page holds it")
    param: str = Field(description="the parameter that sends it; the lower bound is left out then")


class Feed(_Model):
    """A collection that can be asked only for what came after a point; each fetch begins where the last ended."""

    from_: str | None = Field(
        None,
        alias="from",
        description="the parameter of the lower bound, such as start_time; or, with position, write {from} in path, "
        "params or body",
    )
    start: Annotated[datetime, BeforeValidator(day_first)] = Field(
        description="where the very first fetch begins", json_schema_extra=_without_format
    )
    format: TimeFormat = Field(
        "iso", description="how the lower bound is written: iso, date, unix, unix_ms, or strftime"
    )
    cursor: FeedCursor | None = Field(None, description="an opaque cursor to go on with")
    position: str | None = Field(
        None, description="the records' own time, whose greatest value is the next lower bound"
    )
    overlap: Duration = Field(timedelta(0), description="how far before the position the next fetch begins")
    keeps: Duration | None = Field(None, description="how long the API keeps what it tells; a longer gap is an error")

    @model_validator(mode="after")
    def _goes_on_somehow(self) -> "Feed":
        if (self.cursor is None) == (self.position is None):
            raise ValueError("a feed goes on by either cursor (opaque) or position (a time in its records)")
        return self

    @field_validator("start", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        return datetime.combine(value, time(), UTC) if type(value) is date else value

    @field_validator("start")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)


class Lookback(_Model):
    """Records change for some time after their window: it is fetched again that long."""

    lookback: Duration


class SeenByFeed(_Model):
    """Another endpoint of this source tells what changes later."""

    feed: str


def _kind_of_changes(given: Any) -> str | None:
    if isinstance(given, str):
        return "word" if given in ("immutable", "window", "unseen") else None
    for tag, kind in (("lookback", Lookback), ("feed", SeenByFeed)):
        if isinstance(given, kind) or (isinstance(given, dict) and tag in given):
            return kind.__name__
    return None


Changes = Annotated[
    Annotated[Literal["immutable", "window", "unseen"], Tag("word")]
    | Annotated[Lookback, Tag("Lookback")]
    | Annotated[SeenByFeed, Tag("SeenByFeed")],
    Discriminator(
        _kind_of_changes,
        custom_error_type="changes",
        custom_error_message="expected immutable, window, unseen, {lookback: P28D} or {feed: ENDPOINT}",
    ),
]


class Endpoint(_Model):
    """One collection of an API: it becomes one table and its children."""

    path: str = Field(description="added to base_url")
    description: str | None = None
    base_url: str | None = Field(
        None, description="where this endpoint is elsewhere than the source; credentials go there"
    )
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = Field(None, description="sent with a POST; placeholders in its texts are replaced")
    body_as: Literal["json", "form"] = "json"
    decoder: Decoder = Field(default_factory=Json, description="how a body is written: json or jsonl")
    records: Selector = Field(default_factory=lambda: Selector(path=""), description="where in a body the records are")
    paginator: Paginator = Field(default_factory=SinglePage)
    total: Place | None = Field(None, description="where the first page says how many records there are in all")
    errors: str | None = Field(
        None, description="where an answer of status 200 tells errors; anything there is a failure"
    )
    empty_page: Literal["fail", "continue"] = Field(
        "fail", description="what a page without records in the middle means"
    )
    max_empty_pages: int = Field(
        100, ge=1, description="with empty_page: continue, after so many empty pages in a row the walk has failed"
    )
    incomplete: Literal["fail", "warn"] = Field(
        "fail", description="whether an incomplete walk is loaded with a warning"
    )
    rate_limit: RateLimits = Field((), description="limits of this endpoint alone, beside the source's")
    window: Window | None = None
    feed: Feed | None = None
    partitions: Partitions | None = None
    changes: Changes | None = Field(None, description="what a window misses; `unseen` where nothing is said")
    time_zone: str = Field("UTC", description="of the days, and of times written without an offset")
    primary_key: Key = ()
    newest_by: str | None = Field(None, description="the column that says which version of a key is newer")
    write: Write = "merge"
    deleted: Tombstone | None = None
    columns: Columns = Field(default_factory=dict)
    children: dict[str, Children] = Field(default_factory=dict, description="columns of child tables, by list path")
    fresh_within: Duration | None = Field(None, description="older than this, the data is late")
    max_quarantined: float = Field(0.0, ge=0, le=1, description="the share of quarantined records that is fine")

    @property
    def contract(self) -> Contract:
        """What the table promises."""
        names = ("columns", "children", "primary_key", "newest_by", "write", "deleted", "time_zone")
        position = self.window.position if self.window is not None else None
        return Contract(position=position, **{name: getattr(self, name) for name in names})

    @property
    def periods(self) -> Periods | None:
        """The periods of its time partitions; None without."""
        told = self.partitions
        return Periods(told.every, told.start, self.time_zone) if told and told.every and told.start else None

    @property
    def settle(self) -> timedelta:
        """How long after its end a period may still change."""
        return self.partitions.settle if self.partitions else timedelta(0)

    def slice(self, key: str | None) -> Slice:
        """What a partition's key is made of; ValueError where it is no key of this endpoint."""
        if self.partitions is None or key is None:
            return Slice(None, {})
        return self.partitions.slice(key)

    def told(self, key: str | None) -> dict[str, str]:
        """The value of each dimension of a partition, as columns take it: of a period, its first moment or day."""
        found, bounds = self.slice(key), self.bounds(key)
        if self.partitions is None or self.partitions.every is None or bounds is None:
            return dict(found.by)
        began = bounds[0].isoformat() if self.partitions.every == "hour" else bounds[0].date().isoformat()
        return {**found.by, self.partitions.every: began}

    def bounds(self, key: str | None) -> tuple[datetime, datetime] | None:
        """A partition's first moment and the next one's; None without time partitions."""
        period = self.slice(key).period
        return None if self.periods is None or period is None else self.periods.bounds(period)

    def offers(self, key: str) -> bool:
        """Whether a partition can be asked for: not one before the first period, nor of an account that left the list.

        >>> daily = {"every": "day", "start": "2026-01-05"}
        >>> window = {"from": "from", "until": "until"}
        >>> endpoint = Endpoint(path="/x", primary_key="id", window=window, partitions=daily)
        >>> endpoint.offers("2026-01-05"), endpoint.offers("2026-01-04")
        (True, False)
        """
        found, by = self.slice(key), self.partitions.by if self.partitions else {}
        listed_there = all(isinstance(there := by[name], Listed) or value in there for name, value in found.by.items())
        return listed_there and (self.periods is None or self.periods.holds(found.period or ""))

    def settled_at(self, key: str | None) -> datetime | None:
        """When a partition is over and nothing of it will change by itself; None without time partitions."""
        bounds = self.bounds(key)
        return None if bounds is None else bounds[1].astimezone(UTC) + self.settle

    @property
    def keys_cross_partitions(self) -> bool:
        """Whether the same key can come in several partitions, so that load order says nothing about age."""
        return self.changes == "window" or bool(self.loose_dimensions)

    @property
    def loose_dimensions(self) -> list[str]:
        """The dimensions that its key does not tell apart: a key can come in several of their partitions."""
        told = {self.columns[name].from_partition for name in self.primary_key if name in self.columns}
        return [name for name in (self.partitions.by if self.partitions else ()) if name not in told]

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone such as Europe/Amsterdam")
        return value

    @model_validator(mode="after")
    def _rules_hold(self) -> "Endpoint":
        parts = (
            _shape_problems,
            _partition_problems,
            _bound_problems,
            _position_problems,
            _key_problems,
            _write_problems,
            _request_problems,
        )
        _refuse([problem for part in parts for problem in part(self)])
        return self


def _shape_problems(endpoint: Endpoint) -> Iterator[Problem]:
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


def _partition_problems(endpoint: Endpoint) -> Iterator[Problem]:
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
        if name in _BUILT_IN or name in EVERY:
            yield place, f"{name!r} is a word of the file's own: name the dimension otherwise, such as account"
        elif not NAME.fullmatch(name):
            yield place, f"{name!r} {_NO_NAME}"
        if isinstance(values, Listed):
            continue
        if not values:
            yield place, "expected at least one value"
        for twice in sorted({value for value in values if values.count(value) > 1}):
            yield place, f"{twice!r} stands twice"
        for wrong in [value for value in values if not is_key_part(value)]:
            yield place, f"{wrong!r} {NO_KEY_PART}"


def _hour_problems(endpoint: Endpoint) -> Iterator[Problem]:
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


def _from_partition_problems(endpoint: Endpoint, dimensions: tuple[str, ...]) -> Iterator[Problem]:
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


def _bound_problems(endpoint: Endpoint) -> Iterator[Problem]:
    """A bound that is sent nowhere would fetch everything each time."""
    asked = set(PLACEHOLDER.findall(str(endpoint.model_dump(include={"path", "params", "headers", "body"}))))
    bounds: list[tuple[str, str, str | None]] = []
    if endpoint.window is not None:
        bounds += [("window", "from", endpoint.window.from_), ("window", "until", endpoint.window.until)]
    if endpoint.feed is not None:
        bounds += [("feed", "from", endpoint.feed.from_)]
    for part, name, parameter in bounds:
        if parameter is None and name not in asked & placeholders(endpoint):
            yield (
                (part,),
                f"{name!r} is missing: name the parameter of this bound, or write {{{name}}} in path, params or body",
            )


def _position_problems(endpoint: Endpoint) -> Iterator[Problem]:
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


def _tells_seconds(form: str) -> bool:
    return form in ("iso", "unix", "unix_ms") or any(part in form for part in ("%S", "%T", "%s"))


def _key_problems(endpoint: Endpoint) -> Iterator[Problem]:
    if endpoint.write == "merge" and not endpoint.primary_key:
        yield (), "write: merge needs a primary_key; without one use replace or replace_partition"
    if endpoint.write == "merge" and endpoint.primary_key and endpoint.newest_by is None:
        for name in endpoint.loose_dimensions:
            told = (
                f"two of {name!r} may have records of the same key: put it into the key (columns: {{{name}: {{type: "
                f"varchar, from_partition: {name}}}}}, primary_key: [{', '.join((name, *endpoint.primary_key))}]), "
                "or let newest_by say which version is newer"
            )
            yield ("partitions", "by", name), told
    if endpoint.changes == "window" and endpoint.newest_by is None:
        yield (
            ("changes",),
            "changes: window lets a key come in several partitions: newest_by must say which version is newer",
        )
    if endpoint.newest_by is None:
        return
    column = endpoint.columns.get(endpoint.newest_by)
    if column is None:
        yield ("newest_by",), f"newest_by {endpoint.newest_by!r} is not a column: declare it with its type"
    elif column.type not in (*TIME_TYPES, "bigint", "double"):
        yield ("newest_by",), f"newest_by {endpoint.newest_by!r} has to be a time or a number, not {column.type}"


def _write_problems(endpoint: Endpoint) -> Iterator[Problem]:
    write = endpoint.write
    if write != "merge":
        for field in ("newest_by", "deleted"):
            if getattr(endpoint, field) is not None:
                yield (field,), f"{field} is for write: merge, and this is write: {write}"
        if endpoint.incomplete == "warn":
            yield (
                ("incomplete",),
                f"incomplete: warn with write: {write} would delete what the walk did not reach: use fail",
            )
    if write == "replace_partition" and not endpoint.partitions:
        yield ("write",), "write: replace_partition needs partitions; without them use replace"
    if write == "replace_partition" and endpoint.changes == "window":
        yield ("write",), "a window by update time moves records between partitions: use write: merge"
    if write == "replace" and endpoint.partitions:
        yield ("write",), "write: replace would keep one partition only: use replace_partition"
    if write == "replace" and endpoint.feed:
        yield ("write",), "a feed tells changes only: use write: merge"


def _request_problems(endpoint: Endpoint) -> Iterator[Problem]:
    if endpoint.base_url is not None:
        yield from _url_problems(endpoint.base_url)
    yield from _header_problems(endpoint.headers)
    if "://" in endpoint.path:
        yield ("path",), "a path is added to base_url: leave scheme and host out, or say base_url: here, too"
    if "max_empty_pages" in endpoint.model_fields_set and endpoint.empty_page == "fail":
        yield (
            ("max_empty_pages",),
            "max_empty_pages is for empty_page: continue; here the first empty page is a failure",
        )
    given = set(endpoint.params) | (set(endpoint.body or ()) if endpoint.method == "POST" else set())
    for name in given & set(endpoint.paginator.sets):
        part = "params" if name in endpoint.params else "body"
        yield (
            (part, name),
            f"{name!r} is set by the paginator, page by page: leave it out here; `first:` says the first",
        )
    if endpoint.body is not None and endpoint.method == "GET":
        yield ("body",), "a body is sent with method: POST, and this is GET"
    if endpoint.body_as == "form":
        yield from _form_problems(endpoint.body or {})


def _form_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    plain = "a form holds texts, numbers and lists of these; where the API wants more, write it as JSON text in quotes"
    for name, value in body.items():
        if not all(isinstance(one, str | int | float) for one in (value if isinstance(value, list) else [value])):
            yield ("body", name), plain


def _url_problems(url: str) -> Iterator[Problem]:
    if not re.match(r"https?://[^/?#]|\{", url):  # a setting may hold the scheme
        yield ("base_url",), "found no https:// or http:// and host; expected a URL such as https://api.example.com/v1"
    elif "@" in url.split("://", 1)[-1].split("/", 1)[0]:
        yield ("base_url",), "base_url holds a user or password: name them under auth: instead"
    elif "?" in url or "#" in url:
        yield ("base_url",), "base_url ends before ? and #: write parameters under params:"


def _header_problems(headers: Mapping[str, str]) -> Iterator[Problem]:
    for name in headers:
        if name.lower() in _CREDENTIAL_HEADERS:
            yield (
                ("headers", name),
                "a header of credentials: name the secret under auth:, so that it is kept out of logs",
            )


class Source(_Model):
    """One API, as read from its file; `name` is the file's name without ending."""

    name: str
    description: str | None = None
    base_url: str = Field(description="with scheme; {setting} is replaced")
    account: str = Field("", description="whose data it is; the warehouse refuses rows of another")
    settings: dict[str, SettingOrText] = Field(default_factory=dict)
    auth: Auth = Field(default_factory=NoAuth)
    headers: dict[str, str] = Field(default_factory=dict)
    rate_limit: RateLimits = ()
    max_wait: Duration = Field(timedelta(minutes=15), description="the longest single wait for a limit or Retry-After")
    resume_within: Duration = Field(timedelta(days=1), description="how old an unfinished walk may be to go on")
    error_message: Texts = Field(
        (), description="where an error body holds text that may be quoted, such as error.message"
    )
    schedule: str = Field("30 2 * * *", description="cron, UTC; schedules are delivered stopped")
    endpoints: dict[str, Endpoint]

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        return cron(value)

    @model_validator(mode="after")
    def _rules_hold(self) -> "Source":
        _refuse([*_name_problems(self), *_source_problems(self), *_placeholder_problems(self)])
        return self


def _name_problems(source: Source) -> Iterator[Problem]:
    if source.name in RESERVED_NAMES:
        yield (), f"{source.name!r} is a schema of the database's own: rename the file"
    elif not NAME.fullmatch(source.name):
        yield (), f"the file's name {source.name!r} {_NO_NAME}"
    for part, names in (("endpoints", [*source.endpoints]), ("settings", [*source.settings])):
        for name in names:
            if not NAME.fullmatch(name):
                yield (part, name), f"{name!r} {_NO_NAME}"
    for name in sorted(_BUILT_IN & set(source.settings)):
        yield ("settings", name), f"{{{name}}} is a part of the partition: name the setting otherwise"
    for name, other in itertools.permutations(source.endpoints, 2):
        if name.startswith(f"{other}__"):
            yield (
                ("endpoints", name),
                f"a table {name!r} would also hold a list of endpoint {other!r}: rename one of them",
            )


def _source_problems(source: Source) -> Iterator[Problem]:
    yield from _url_problems(source.base_url)
    yield from _header_problems(source.headers)
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


def listed(endpoint: Endpoint) -> dict[str, Listed]:
    """The dimensions of an endpoint's partitions whose values another endpoint lists, by name."""
    by = endpoint.partitions.by if endpoint.partitions else {}
    return {name: values for name, values in by.items() if isinstance(values, Listed)}


def _listed_problems(source: Source) -> Iterator[Problem]:
    for name, endpoint in source.endpoints.items():
        for dimension, told in listed(endpoint).items():
            place = ("endpoints", name, "partitions", "by", dimension, "endpoint")
            if told.endpoint not in source.endpoints or told.endpoint == name:
                others = ", ".join(other for other in source.endpoints if other != name)
                yield place, f"{told.endpoint!r} is not another endpoint of this source; there are {others or 'none'}"
            elif name in listings(source, told.endpoint):
                yield place, f"{told.endpoint!r} is itself listed by {name!r}: one of them has to come first"


def listings(source: Source, name: str) -> set[str]:
    """All endpoints that have to be loaded before an endpoint's partitions are known."""
    found, new = set[str](), {name}
    while new:
        new = {one.endpoint for n in new if n in source.endpoints for one in listed(source.endpoints[n]).values()}
        new -= found
        found |= new
    return found


def _placeholder_problems(source: Source) -> Iterator[Problem]:
    """A placeholder that nothing replaces would be sent as it stands."""
    everywhere = set(source.settings)
    yield from _unknown(source.model_dump(include={"base_url", "account", "headers", "auth"}), everywhere)
    for name, endpoint in source.endpoints.items():
        inside: tuple[str, ...] = ("endpoints", name)
        known = everywhere | placeholders(endpoint)
        strange = list(_unknown(endpoint.model_dump(include={"path", "params", "headers"}), known, inside))
        yield from strange or _unsent(endpoint, inside)
        for place, message in _unknown(endpoint.model_dump(include={"body"}), known, inside):
            yield place, f"{message}. What is meant to be sent as it stands, such as GraphQL, takes spaces: {{ id }}"
        # An account that an API lists must not decide where credentials go.
        yield from _unknown(endpoint.model_dump(include={"base_url"}), everywhere, inside)
        for clash in sorted(everywhere & set(endpoint.partitions.by if endpoint.partitions else ())):
            yield (*inside, "partitions", "by", clash), f"{{{clash}}} is a setting of this source: rename one of them"


def _unsent(endpoint: Endpoint, inside: tuple[str, ...]) -> Iterator[Problem]:
    """A dimension that is sent nowhere would give all accounts the same answer."""
    sent = PLACEHOLDER.findall(str(endpoint.model_dump(include={"path", "params", "headers", "body"})))
    for name in endpoint.partitions.by if endpoint.partitions else ():
        if name not in sent:
            told = f"{{{name}}} is sent nowhere, so each would get the same answer: write it in path, params or body"
            yield (*inside, "partitions", "by", name), told


def placeholders(endpoint: Endpoint) -> set[str]:
    """What differs from partition to partition, and is replaced in path, params, headers and body."""
    told = endpoint.partitions
    return (
        ({"from", "until"} if endpoint.window else set())
        | ({"from"} if endpoint.feed and endpoint.feed.position else set())
        | ({"partition"} if told and told.every else set())
        | set(told.by if told else ())
    )


def _unknown(value: Any, known: set[str], path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unknown(inner, known, (*path, key))
    if isinstance(value, str):
        for found in dict.fromkeys(PLACEHOLDER.findall(value)):
            if found not in known:
                told = ", ".join(f"{{{name}}}" for name in sorted(known)) or "nothing"
                yield path, f"{{{found}}} is replaced by nothing; known here: {told}"
