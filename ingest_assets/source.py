"""The source file: everything an API differs in, as data.

    Source                      one API: where it is, how to get in, how fast one may ask
    └── Endpoint                one collection: what is asked, how it changes, what its table promises
        ├── Window | Feed       how it can be asked for a part; neither of them: a listing
        ├── Partitions          which parts are fetched, loaded and backfilled as one
        └── Contract            see `ingest_assets.contract`

Models only: reading files is `ingest_assets.catalog`, and what each part does stands with its model in
`ingest_assets.http`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ingest_assets.contract import TIME_TYPES, Children, Column, Contract, Names, Tombstone, Write
from ingest_assets.http.auth import Auth, NoAuth
from ingest_assets.http.decoders import Decoder, Json, Selector
from ingest_assets.http.limits import RateLimit
from ingest_assets.http.paginators import Paginator, SinglePage

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")
_BUILT_IN = {"from", "until", "partition"}
_DIRECTIONS = ("window", "feed")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str | dict | RateLimit) else value


class Setting(_Model):
    """A value that differs from account to account, read from the environment; it is no secret."""

    env: str = Field(description="name of the environment variable")
    default: str | None = Field(None, description="used where the variable is not set")


class Window(_Model):
    """A collection that can be asked for a lower and an upper bound."""

    from_: str = Field(alias="from", description="the parameter of the lower bound, such as created[gte]")
    until: str = Field(description="the parameter of the upper bound, such as created[lt]")
    format: str = Field("iso", description="how bounds are written: iso, date, unix, unix_ms, or a strftime pattern")
    inclusive: bool = Field(False, description="the upper bound itself is part of the answer (days: the last day)")


class FeedCursor(_Model):
    """An opaque cursor that the last page of a complete fetch leaves for the next fetch."""

    path: str = Field(description="where the last page holds it")
    param: str = Field(description="the parameter that sends it; the lower bound is left out then")


class Feed(_Model):
    """A collection that can be asked only for what came after a point; each fetch begins where the last ended."""

    from_: str = Field(alias="from", description="the parameter of the lower bound, such as start_time")
    start: datetime = Field(description="where the very first fetch begins")
    format: str = Field("iso", description="how the lower bound is written: iso, date, unix, unix_ms, or strftime")
    cursor: FeedCursor | None = Field(None, description="an opaque cursor to go on with")
    position: str | None = Field(
        None, description="the records' own time, whose greatest value is the next lower bound"
    )
    overlap: timedelta = Field(timedelta(0), description="how far before the position the next fetch begins")
    keeps: timedelta | None = Field(None, description="how long the API keeps what it tells; a longer gap is an error")

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


class Partitions(_Model):
    """The slices of a windowed endpoint."""

    every: Literal["day"] = "day"
    start: date = Field(description="the first day")


class Lookback(_Model):
    """Records change for some time after their window: it is fetched again that long."""

    lookback: timedelta


class SeenByFeed(_Model):
    """Another endpoint of this source tells what changes later."""

    feed: str


Changes = Literal["immutable", "window", "unseen"] | Lookback | SeenByFeed


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
    body: dict[str, Any] | None = Field(None, description="sent with a POST")
    body_as: Literal["json", "form"] = "json"
    decoder: Decoder = Field(default_factory=Json, description="how a body is written: json or jsonl")
    records: Selector = Field(default_factory=lambda: Selector(path=""), description="where in a body the records are")
    paginator: Paginator = Field(default_factory=SinglePage)
    total: str | None = Field(None, description="where the first page says how many records there are in all")
    errors: str | None = Field(
        None, description="where an answer of status 200 tells errors; anything there is a failure"
    )
    empty_page: Literal["fail", "continue"] = Field(
        "fail", description="what a page without records in the middle means"
    )
    incomplete: Literal["fail", "warn"] = Field(
        "fail", description="whether an incomplete walk is loaded with a warning"
    )
    rate_limit: Annotated[tuple[RateLimit, ...], BeforeValidator(_tuple)] = Field(
        (), description="limits of this endpoint alone, beside the source's"
    )
    window: Window | None = None
    feed: Feed | None = None
    partitions: Partitions | None = None
    changes: Changes | None = Field(None, description="what a window misses; `unseen` where nothing is said")
    time_zone: str = Field("UTC", description="of the days, and of times written without an offset")
    primary_key: Names = ()
    newest_by: str | None = Field(None, description="the column that says which version of a key is newer")
    write: Write = "merge"
    deleted: Tombstone | None = None
    columns: dict[str, Column] = Field(default_factory=dict)
    children: dict[str, Children] = Field(default_factory=dict, description="columns of child tables, by list path")
    fresh_within: timedelta | None = Field(None, description="older than this, the data is late")
    max_quarantined: float = Field(0.0, ge=0, le=1, description="the share of quarantined records that is fine")

    @property
    def contract(self) -> Contract:
        """What the table promises."""
        names = ("columns", "children", "primary_key", "newest_by", "write", "deleted", "time_zone")
        return Contract(**{name: getattr(self, name) for name in names})

    @property
    def keys_cross_partitions(self) -> bool:
        """Whether the same key can come in several partitions, so that load order says nothing about age."""
        return self.changes == "window"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone such as Europe/Amsterdam")
        return value

    @model_validator(mode="after")
    def _one_shape(self) -> "Endpoint":
        if self.window and self.feed:
            raise ValueError("an endpoint is a window, a feed or a listing; this one says both window and feed")
        if self.partitions and not self.window:
            raise ValueError(
                "time partitions need a window: without one, a backfill would store today's list as the past"
            )
        if self.window and not self.partitions:
            raise ValueError("a window needs partitions, such as {every: day, start: 2026-01-01}")
        if self.changes is not None and not self.window:
            raise ValueError("changes says what a window misses, and this endpoint has no window")
        return self

    @model_validator(mode="after")
    def _keys_suffice(self) -> "Endpoint":
        if self.write == "merge" and not self.primary_key:
            raise ValueError("write: merge needs a primary_key; without one use replace or replace_partition")
        if self.keys_cross_partitions and self.newest_by is None:
            raise ValueError("changes: window lets a key come in several partitions: newest_by must say which is newer")
        if self.newest_by is not None and self.newest_by not in self.columns:
            raise ValueError(f"newest_by {self.newest_by!r} is not a column: declare it with its type")
        if self.newest_by is not None and self.columns[self.newest_by].type not in (*TIME_TYPES, "bigint", "double"):
            raise ValueError(f"newest_by {self.newest_by!r} has to be a time or a number")
        if self.newest_by is not None and self.write != "merge":
            raise ValueError("newest_by is for write: merge")
        if self.deleted is not None and self.write != "merge":
            raise ValueError("deleted is for write: merge")
        return self

    @model_validator(mode="after")
    def _write_fits(self) -> "Endpoint":
        if self.write == "replace_partition" and not self.partitions:
            raise ValueError("write: replace_partition needs partitions; without them use replace")
        if self.write == "replace_partition" and self.changes == "window":
            raise ValueError("a window by update time moves records between partitions: use write: merge")
        if self.write == "replace" and self.partitions:
            raise ValueError("write: replace would keep one partition only: use replace_partition")
        if self.write == "replace" and self.feed:
            raise ValueError("a feed tells changes only: use write: merge")
        if self.incomplete == "warn" and self.write != "merge":
            raise ValueError(f"incomplete: warn with write: {self.write} would delete what the walk did not reach")
        return self


class Source(_Model):
    """One API, as read from its file; `name` is the file's name without ending."""

    name: str
    description: str | None = None
    base_url: str = Field(description="with scheme; {setting} is replaced")
    account: str = Field("", description="whose data it is; the warehouse refuses rows of another")
    settings: dict[str, Setting | str] = Field(default_factory=dict)
    auth: Auth = Field(default_factory=NoAuth)
    headers: dict[str, str] = Field(default_factory=dict)
    rate_limit: Annotated[tuple[RateLimit, ...], BeforeValidator(_tuple)] = ()
    max_wait: timedelta = Field(timedelta(minutes=15), description="the longest single wait for a limit or Retry-After")
    resume_within: timedelta = Field(timedelta(days=1), description="how old an unfinished walk may be to go on")
    error_message: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = Field(
        (), description="where an error body holds text that may be quoted, such as error.message"
    )
    schedule: str = Field("30 2 * * *", description="cron, UTC; schedules are delivered stopped")
    endpoints: dict[str, Endpoint]

    @model_validator(mode="after")
    def _names_are_names(self) -> "Source":
        for name in (self.name, *self.endpoints, *self.settings):
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name: small letters, digits and _, a letter first, 40 at most")
        return self

    @model_validator(mode="after")
    def _feeds_exist(self) -> "Source":
        for name, endpoint in self.endpoints.items():
            if isinstance(endpoint.changes, SeenByFeed) and endpoint.changes.feed not in self.endpoints:
                raise ValueError(f"endpoint {name!r}: changes: feed {endpoint.changes.feed!r} is not an endpoint here")
        return self

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> "Source":
        known = _BUILT_IN | set(self.settings)
        texts = [self.base_url, self.account, *self.headers.values()]
        for endpoint in self.endpoints.values():
            texts += [
                endpoint.path,
                endpoint.base_url or "",
                *endpoint.headers.values(),
                *map(str, endpoint.params.values()),
            ]
        for text in texts:
            for found in PLACEHOLDER.findall(text):
                if found not in known:
                    raise ValueError(f"{{{found}}} is neither a setting nor one of {', '.join(sorted(_BUILT_IN))}")
        return self


def written(moment: datetime, form: str) -> str:
    """A bound as the API wants it; `moment` carries its zone.

    >>> moment = datetime(2026, 1, 2, tzinfo=UTC)
    >>> [written(moment, form) for form in ("iso", "date", "unix", "unix_ms", "%d.%m.%Y")]
    ['2026-01-02T00:00:00Z', '2026-01-02', '1767312000', '1767312000000', '02.01.2026']
    """
    match form:
        case "iso":
            return moment.isoformat().replace("+00:00", "Z")
        case "date":
            return moment.date().isoformat()
        case "unix":
            return str(int(moment.timestamp()))
        case "unix_ms":
            return str(int(moment.timestamp() * 1000))
        case _:
            return moment.strftime(form)


def day_bounds(key: str, zone: str) -> tuple[datetime, datetime]:
    """First moment of a day and of the next one, in the endpoint's zone: half-open, 23 to 25 hours long.

    >>> [b.isoformat() for b in day_bounds("2026-03-29", "Europe/Amsterdam")]
    ['2026-03-29T00:00:00+01:00', '2026-03-30T00:00:00+02:00']
    """
    day = date.fromisoformat(key)
    first, after = (datetime.combine(d, time(), ZoneInfo(zone)) for d in (day, day + timedelta(days=1)))
    return first, after
