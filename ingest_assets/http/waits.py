"""How long an API asks to wait, in the words of a source file: at a place in the answer, or a time of its own.

    wait: PT1M                                                     so long
    wait: {header: X-Reset, as: unix}                              what a header tells
    wait: {path: error.retry_in, as: milliseconds}                 what the body tells
    wait: {until: day, time_zone: America/New_York}                until the next full minute, hour or day
    wait: {needed: PATH, available: PATH, per_second: PATH}        until a bucket holds what the request costs

Places that hold nothing to read are passed over; a place comes before Retry-After, and that before a time of its own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from ingest_assets.durations import Duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_SECONDS = 31_536_000.0  # what is more was read as what it is not
_MOST = 1e18  # JSON has larger numbers than a float
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)s?", re.ASCII)  # with its unit as protobuf writes it: 30s
_SECONDS = {"seconds": 1.0, "milliseconds": 0.001, "minutes": 60.0, "unix": 1.0, "unix_ms": 0.001}


class Told(Struct, frozen=True):
    """An answer as rules look at it. Header names are in small letters; `body` is None where it is not JSON."""

    status: int
    headers: Mapping[str, str]
    text: str = ""
    body: Any = None
    now: datetime = _EPOCH

    @property
    def server_time(self) -> datetime:
        """The server's own clock where it tells it: times that it names are by that."""
        return moment(self.headers.get("date", "")) or self.now


class _Wait(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class WaitAt(_Wait):
    """What the answer tells: at a path in its body, or in a header.

    >>> told = Told(429, {"x-reset": "1767225660"}, now=datetime(2026, 1, 1, tzinfo=UTC))
    >>> WaitAt.model_validate({"header": "X-Reset", "as": "unix"}).seconds(told)
    60.0
    >>> WaitAt(path="error.retry").seconds(Told(200, {}, body={"error": {"retry": "30s"}}))
    30.0
    """

    header: str | None = Field(None, min_length=1, description="name of a response header, in any case")
    path: str | None = Field(None, min_length=1, description="dotted path in the body")
    as_: Literal["seconds", "milliseconds", "minutes", "date", "unix", "unix_ms"] = Field(
        "seconds",
        alias="as",
        description="a number of seconds, milliseconds or minutes; or the moment itself: date (as HTTP or ISO 8601 "
        "writes it), unix (seconds) or unix_ms",
    )

    @model_validator(mode="after")
    def _one(self) -> "WaitAt":
        if (self.header is None) == (self.path is None):
            raise ValueError("expected either header or path")
        return self

    def seconds(self, told: Told) -> float | None:
        """The longest wait that stands there; None where nothing does that can be read, or it is over."""
        if self.header is not None:
            found: list[Any] = [told.headers.get(self.header.lower())]
        else:
            found = values_at(told.body, self.path or "")
        waits = [wait for one in found if (wait := self._read(one, told)) is not None]
        return max(waits, default=None)

    def _read(self, value: Any, told: Told) -> float | None:
        if self.as_ == "date":
            until = moment(value) if isinstance(value, str) else None
            return _usable((until - told.server_time).total_seconds()) if until is not None else None
        number = _number(value)
        if number is None:
            return None
        seconds = number * _SECONDS[self.as_]
        return _usable(seconds - told.server_time.timestamp() if self.as_.startswith("unix") else seconds)


class WaitUntil(_Wait):
    """Until a fixed window ends: the next full minute, hour or day.

    >>> noon = datetime(2026, 1, 1, 12, 0, 20, tzinfo=UTC)
    >>> WaitUntil(until="minute").seconds(Told(429, {}, now=noon))
    40.0
    >>> WaitUntil(until="day", time_zone="America/New_York").seconds(Told(429, {}, now=noon)) / 3600
    16.994444444444444
    """

    until: Literal["minute", "hour", "day"] = Field(description="the next full minute, hour or day")
    time_zone: str = Field("UTC", description="whose days and hours these are")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone; expected such as UTC or America/New_York")
        return value

    def seconds(self, told: Told) -> float | None:
        """From the server's clock to the window's end."""
        now = told.server_time.astimezone(ZoneInfo(self.time_zone))
        if self.until == "day":
            end = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            return (end.astimezone(UTC) - now.astimezone(UTC)).total_seconds()
        # Of zones whose clock is moved, the hours are those of the clock: it is moved by full minutes.
        minutes = 59 - now.minute if self.until == "hour" else 0
        return minutes * 60 + 60 - now.second - now.microsecond / 1e6


class WaitRefill(_Wait):
    """Until a bucket that refills holds what the request needs, as GraphQL APIs tell it by cost.

    >>> refill = WaitRefill(needed="cost.requested", available="cost.left", per_second="cost.rate")
    >>> refill.seconds(Told(200, {}, body={"cost": {"requested": 502, "left": 102, "rate": 100.0}}))
    4.0
    """

    needed: str = Field(min_length=1, description="path of what the request costs")
    available: str = Field(min_length=1, description="path of what the bucket holds now")
    per_second: str = Field(min_length=1, description="path of how much comes back each second")

    def seconds(self, told: Told) -> float | None:
        """What is missing, by the rate at which it comes back; None where one of the three is not there."""
        found = [values_at(told.body, path)[:1] for path in (self.needed, self.available, self.per_second)]
        numbers = [number for some in found for one in some if (number := _number(one)) is not None]
        if len(numbers) < 3 or numbers[2] <= 0:
            return None
        return _usable((numbers[0] - numbers[1]) / numbers[2])


class WaitFixed(_Wait):
    """So long, whatever the answer says."""

    duration: Duration = Field(gt=timedelta(0), description="how long, such as PT1M")

    def seconds(self, told: Told) -> float | None:  # noqa: ARG002 -- all kinds of wait are asked alike
        """The duration."""
        return self.duration.total_seconds()


def _kind(given: Any) -> str | None:
    if isinstance(given, _Wait):
        return type(given).__name__
    if not isinstance(given, Mapping):
        return "WaitFixed" if isinstance(given, str | int | float | timedelta) else None
    if "duration" in given:
        return "WaitFixed"
    if "until" in given:
        return "WaitUntil"
    return "WaitRefill" if {"needed", "available", "per_second"} & given.keys() else "WaitAt"


def _fixed(given: Any) -> Any:
    return given if isinstance(given, Mapping | WaitFixed) else {"duration": given}


Wait = Annotated[
    Annotated[WaitFixed, BeforeValidator(_fixed, json_schema_input_type=Duration), Tag("WaitFixed")]
    | Annotated[WaitUntil, Tag("WaitUntil")]
    | Annotated[WaitRefill, Tag("WaitRefill")]
    | Annotated[WaitAt, Tag("WaitAt")],
    Discriminator(
        _kind,
        custom_error_type="wait",
        custom_error_message="expected a duration such as PT1M, {path: …, as: seconds}, {header: …, as: unix}, "
        "{until: day} or {needed: …, available: …, per_second: …}",
    ),
]


def seconds_told(waits: Sequence[Wait], told: Told, by_header: float | None) -> float | None:
    """The wait that an answer asks for, in seconds; `by_header` is what Retry-After and its kin say. None: unsaid."""
    return next(_waits(waits, told, by_header), None)


def reads_body(wait: Wait) -> bool:
    """Whether the body has to be read to know it."""
    return isinstance(wait, WaitRefill) or (isinstance(wait, WaitAt) and wait.path is not None)


def _waits(waits: Sequence[Wait], told: Told, by_header: float | None) -> Iterator[float]:
    places = [wait for wait in waits if isinstance(wait, WaitAt | WaitRefill)]
    own = [wait for wait in waits if not isinstance(wait, WaitAt | WaitRefill)]
    yield from _said(wait.seconds(told) for wait in places)
    yield from _said([by_header])
    yield from _said(wait.seconds(told) for wait in own)


def _said(found: Iterable[float | None]) -> Iterator[float]:
    return (seconds for seconds in found if seconds is not None)


def values_at(value: Any, path: str) -> list[Any]:
    """What stands at a dotted path; a list on the way, or at its end, means each of its elements.

    >>> values_at({"errors": [{"code": "A"}, {"code": "B"}, {}]}, "errors.code"), values_at([{"code": 1}], "code")
    (['A', 'B'], [1])
    """
    found = _elements(value)
    for key in path.split("."):
        found = [inner for one in found if isinstance(one, Mapping) and key in one for inner in _elements(one[key])]
    return found


def _elements(value: Any) -> list[Any]:
    return [inner for one in value for inner in _elements(one)] if isinstance(value, list) else [value]


def moment(text: str) -> datetime | None:
    """A date as HTTP (RFC 9110 §5.6.7) or ISO 8601 writes it, UTC where it names no zone; None for anything else.

    >>> moment("Thu, 01 Jan 2026 00:01:00 GMT") == moment("2026-01-01T01:01:00+01:00") == moment("2026-01-01 00:01")
    True
    """
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        return float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MOST else None


def _usable(seconds: float) -> float | None:
    """A wait that can be meant: what is over, or longer than a year, says nothing."""
    return seconds if 0 < seconds <= _YEAR_SECONDS else None
