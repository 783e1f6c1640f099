"""How a written time becomes a date, a time, or an instant in UTC.

An instant is read by its own offset; without one, in the contract's time zone. A local time that a clock
showed twice is taken as its first, and one that it skipped as if the clock had not been moved (PEP 495,
fold=0). Digits beyond microseconds are cut. A date alone is its midnight.
Years are 1 to 9999, before and after the change to UTC.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

_DATE = r"(\d{4})-(\d{2})-(\d{2})"
_TIME = r"(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?"
_OFFSET = r"(Z|z|[+-]\d{2}(?::?\d{2})?)?"
_ISO = re.compile(rf"{_DATE}(?:[Tt ]{_TIME} ?{_OFFSET})?", re.ASCII)
_DATE_ONLY = re.compile(_DATE, re.ASCII)
_TIME_ONLY = re.compile(_TIME, re.ASCII)
_FIGURES = re.compile(r"-?\d{1,20}(\.\d+)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 10**15
_MOST_DECIMALS = 40


def _iso(text: str) -> datetime:
    """An ISO 8601 date and time as RFC 3339 and its neighbours write it; a bare date is its midnight."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, offset = found.groups(default="")
    moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001 - its zone is added below
    return moment.replace(microsecond=_micros(fraction), tzinfo=_zone(offset))


def _micros(fraction: str) -> int:
    return int(fraction[:6].ljust(6, "0"))


def _zone(offset: str) -> tzinfo | None:
    if not offset:
        return None
    if offset in "Zz":
        return UTC
    figures = offset[1:].replace(":", "").ljust(4, "0")
    if int(figures[2:]) > 59:
        raise ValueError(offset)
    ahead = timedelta(hours=int(figures[:2]), minutes=int(figures[2:]))
    return timezone(-ahead if offset[0] == "-" else ahead)


def _since_epoch(value: Any, per_second: int) -> datetime:
    if isinstance(value, str) and _FIGURES.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(value)
    if not -_FARTHEST <= value <= _FARTHEST or (isinstance(value, Decimal) and value.adjusted() < -_MOST_DECIMALS):
        raise OverflowError
    return _EPOCH + timedelta(microseconds=math.floor(Fraction(value) * (1_000_000 // per_second)))


def _moment(value: Any, pattern: str | None) -> datetime:
    if pattern == "unix":
        return _since_epoch(value, 1)
    if pattern == "unix_ms":
        return _since_epoch(value, 1000)
    if not isinstance(value, str):
        raise TypeError(value)
    if pattern in (None, "iso"):
        return _iso(value)
    if pattern == "date" and not _DATE_ONLY.fullmatch(value):
        raise ValueError(value)
    if pattern == "date":
        return datetime.fromisoformat(value)
    return datetime.strptime(value, pattern)  # noqa: DTZ007 - a pattern without an offset takes the contract's zone


def _instant(value: Any, pattern: str | None, zone: tzinfo) -> datetime:
    moment = _moment(value, pattern)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _local(value: Any, pattern: str | None) -> datetime:
    moment = _moment(value, pattern)
    if pattern in ("unix", "unix_ms"):
        return moment.replace(tzinfo=None)
    if moment.tzinfo:
        raise ValueError(value)  # an offset that would be dropped is a loss
    return moment


def _date(value: Any, pattern: str | None) -> date:
    if pattern not in (None, "iso"):
        return _moment(value, pattern).date()
    if not isinstance(value, str) or not _DATE_ONLY.fullmatch(value):
        raise ValueError(value)
    return date.fromisoformat(value)


def _time(value: Any, pattern: str | None) -> time:
    if pattern not in (None, "iso"):
        return _local(value, pattern).time()
    found = _TIME_ONLY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(value)
    hour, minute, second, fraction = found.groups(default="")
    return time(int(hour), int(minute), int(second or 0), _micros(fraction))


def time_parser(type_name: str, pattern: str | None, time_zone: str) -> Callable[[Any], date | time | datetime]:
    """The function that reads values of a declared time column: numbers as int or Decimal, and strings.

    `pattern` is iso (or None), date, unix, unix_ms or a strptime pattern. What does not fit raises ValueError,
    TypeError or OverflowError.

    >>> read = time_parser("timestamptz", None, "Europe/Zurich")
    >>> str(read("2026-01-02T03:04:05.1234567+02:00")), str(read("2026-07-01 00:00"))
    ('2026-01-02 01:04:05.123456+00:00', '2026-06-30 22:00:00+00:00')
    """
    if type_name == "timestamptz":
        return partial(_instant, pattern=pattern, zone=UTC if time_zone == "UTC" else ZoneInfo(time_zone))
    if type_name == "timestamp":
        return partial(_local, pattern=pattern)
    return partial(_date if type_name == "date" else _time, pattern=pattern)
