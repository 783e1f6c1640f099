"""How a collection can be asked for a part, and what such a part misses."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from ingest_assets.durations import Duration
from ingest_assets.partitions import day_first
from ingest_assets.source.model import Model


def _time_format(value: str) -> str:
    if value in ("iso", "date", "unix", "unix_ms") or "%" in value:
        return value
    raise ValueError("expected iso, date, unix, unix_ms or a strftime pattern such as %d.%m.%Y")


TimeFormat = Annotated[str, AfterValidator(_time_format)]


def _without_format(schema: dict[str, Any]) -> None:
    schema.pop("format")  # a day is enough, and JSON Schema's date-time is not


class Cap(Model):
    """How much the API gives of one query, however much there is."""

    records: int = Field(gt=0, description="so many records, and no more, can be reached in one query")
    smallest: Duration = Field(
        timedelta(seconds=1), description="a window no longer than this is not cut: the walk is incomplete then"
    )
    statuses: tuple[int, ...] = Field((400, 422), description="statuses by which the API refuses to go on at its cap")


def _records(value: Any) -> Any:
    return {"records": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Window(Model):
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
    stop_at: str | None = Field(
        None,
        description="where the API takes no lower bound and gives the newest first: the column of the records' own "
        "time. The walk ends where all are older than the window; what lies outside is counted as filtered",
    )
    cap: Annotated[Cap | None, BeforeValidator(_records, json_schema_input_type=int | Cap | None)] = Field(
        None,
        description="how many records the API gives of one query, such as 10000: a window that holds as many is cut in "
        "two, and each half is read by itself",
    )
    pieces: int = Field(
        1,
        ge=1,
        le=1000,
        description="into how many pieces a partition is cut; each is asked for by itself, page after page",
    )


class FeedCursor(Model):
    """An opaque cursor that the last page of a complete fetch leaves for the next fetch."""

    path: str = Field(description="where the last page holds it")
    param: str = Field(description="the parameter that sends it; the lower bound is left out then")


class Feed(Model):
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


class Lookback(Model):
    """Records change for some time after their window: it is fetched again that long."""

    lookback: Duration


class SeenByFeed(Model):
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
