"""Hours, days, weeks and months in a time zone: the keys of time partitions, and the moments that they begin and end.

    2026-10-25-02:00         an hour; one that a clock shows for the second time has its offset: 2026-10-25-02:00+0100
    2026-10-25               a day
    2026-10-19               a week, by its Monday (ISO 8601)
    2026-10-01               a month, by its first day

Keys are those of Dagster's hourly, daily, weekly (`day_offset=1`) and monthly partitions; a test compares the two.
Periods are half-open, and as long as their clock makes them: a day has 23 to 25 hours.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

Every = Literal["hour", "day", "week", "month"]
EVERY: tuple[Every, ...] = ("hour", "day", "week", "month")

_HOUR = timedelta(hours=1)
_HOUR_KEY = re.compile(r"(\d{4}-\d\d-\d\d)-(\d\d:\d\d)([+-]\d{4})?", re.ASCII)
_DAY_KEY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SPAN = re.compile(r"(\d{4}-\d\d)(-\d\d)?(?:[-T ](\d\d):(\d\d)([+-]\d\d:?\d\d|Z)?)?", re.ASCII)


class Periods(Struct, frozen=True):
    """The periods of one kind in one zone, from the one on that holds the day `start`."""

    every: Every
    start: date
    zone: str = "UTC"

    @property
    def first(self) -> str:
        """The key of the first period.

        >>> Periods("week", date(2026, 1, 1)).first
        '2025-12-29'
        """
        return self.key(self._midnight(self.start))

    def key(self, moment: datetime) -> str:
        """The key of the period that holds a moment.

        >>> Periods("hour", date(2026, 1, 1), "Europe/Amsterdam").key(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
        '2026-10-25-02:00+0100'
        """
        return self._key(self._floor(moment))

    def bounds(self, key: str) -> tuple[datetime, datetime]:
        """The first moment of a period and of the next one, in the zone; ValueError where `key` is no such period.

        >>> [b.isoformat() for b in Periods("day", date(2026, 1, 1), "Europe/Amsterdam").bounds("2026-03-29")]
        ['2026-03-29T00:00:00+01:00', '2026-03-30T00:00:00+02:00']
        """
        try:
            began = self._began(key)
            if began is not None and self.key(began) == key:
                return began, self._next(began)
        except OverflowError:  # at either end of the calendar
            pass
        raise ValueError(f"{key!r} is no {self.every} in {self.zone}; expected such as {self.first!r}")

    def holds(self, key: str) -> bool:
        """Whether `key` is one of these periods, the first one or a later one."""
        try:
            return _utc(self.bounds(key)[0]) >= self._first
        except ValueError:
            return False

    def next(self, key: str) -> str:
        """The key of the period after this one."""
        return self._key(self.bounds(key)[1])

    def between(self, first: str, last: str) -> list[str]:
        """The keys of the periods from one to another, both included; none where the last is before the first.

        >>> Periods("month", date(2026, 1, 1)).between("2026-11-01", "2027-01-01")
        ['2026-11-01', '2026-12-01', '2027-01-01']
        """
        return list(self._between(_utc(self.bounds(first)[0]), self.bounds(last)[0]))

    def last_ended(self, now: datetime, settle: timedelta = timedelta(0)) -> str | None:
        """The newest period that ended `settle` ago or earlier; None where the first one has not.

        >>> Periods("day", date(2026, 1, 1)).last_ended(datetime(2026, 1, 3, 1, tzinfo=UTC), timedelta(hours=2))
        '2026-01-01'
        """
        ended = _utc(self._floor(_utc(now) - settle)) - timedelta(microseconds=1)
        return self.key(ended) if ended >= self._first else None

    def running(self, now: datetime, settle: timedelta = timedelta(0)) -> list[str]:
        """The periods that have begun and did not end `settle` ago: the one of now, and those before it that lag."""
        lagging = _utc(self._floor(_utc(now) - settle))
        return list(self._between(max(lagging, self._first), now))

    def span(self, text: str) -> tuple[str, str]:
        """The first and the last period in what a person wrote: a key, a month, a day, or a time.

        ValueError where it is none of these. A time without an offset that comes twice is the first one.

        >>> Periods("hour", date(2026, 1, 1)).span("2026-01-31")
        ('2026-01-31-00:00', '2026-01-31-23:00')
        >>> Periods("week", date(2026, 1, 1)).span("2026-01")
        ('2025-12-29', '2026-01-26')
        """
        try:
            lower, upper = self._written(text)
            return self.key(lower), self.key(_utc(upper) - timedelta(microseconds=1))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text!r} is no time: {error}") from None

    def _written(self, text: str) -> tuple[datetime, datetime]:
        found = _SPAN.fullmatch(text)
        if found is None:
            raise ValueError("expected such as 2026-01, 2026-01-31 or 2026-01-31-05:00")
        month, day, hour, minute, offset = found.groups()
        if hour is None:
            kind: Every = "month" if day is None else "day"
            first = date.fromisoformat(f"{month}{day or '-01'}")
            return Periods(kind, first, self.zone).bounds(first.isoformat())
        if day is None:
            raise ValueError("expected a day before the hour, such as 2026-01-31-05:00")
        told = datetime.fromisoformat(f"{month}{day}T{hour}:{minute}{offset or ''}")
        moment = told if told.tzinfo else told.replace(tzinfo=ZoneInfo(self.zone))
        return moment, _utc(moment) + timedelta(microseconds=1)

    @property
    def _first(self) -> datetime:
        return _utc(self._floor(self._midnight(self.start)))

    def _between(self, began: datetime, last: datetime) -> Iterator[str]:
        while began <= _utc(last):
            local = self._local(began)
            yield self._key(local)
            began = _utc(self._next(local))

    def _local(self, moment: datetime) -> datetime:
        return _utc(moment).astimezone(ZoneInfo(self.zone))

    def _midnight(self, day: date) -> datetime:
        # By way of UTC: a midnight that the clock skips becomes the moment at which it skipped.
        return self._local(datetime.combine(day, time(), ZoneInfo(self.zone)))

    def _floor(self, moment: datetime) -> datetime:
        """The first moment of the period that holds a moment, in the zone."""
        local = self._local(moment)
        if self.every == "hour":
            return local.replace(minute=0, second=0, microsecond=0)
        day = local.date()
        # A clock that goes back over midnight shows the end of a day twice: the second time is of the next day.
        if _utc(self._midnight(day + timedelta(days=1))) <= _utc(local):
            day += timedelta(days=1)
        return self._midnight(self._first_day(day))

    def _first_day(self, day: date) -> date:
        if self.every == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.every == "month" else day

    def _next(self, began: datetime) -> datetime:
        if self.every == "hour":
            return self._local(_utc(began) + _HOUR)
        day = began.date()
        if self.every == "month":
            return self._midnight((day + timedelta(days=31)).replace(day=1))
        return self._midnight(day + timedelta(days=7 if self.every == "week" else 1))

    def _key(self, began: datetime) -> str:
        if self.every == "hour":
            return began.strftime("%Y-%m-%d-%H:%M%z") if began.fold else began.strftime("%Y-%m-%d-%H:%M")
        return began.date().isoformat()

    def _began(self, key: str) -> datetime | None:
        """The moment that a key tells, None where it is written otherwise or there is no such day."""
        found = (_HOUR_KEY if self.every == "hour" else _DAY_KEY).fullmatch(key)
        try:
            if found is None:
                return None
            if self.every != "hour":
                return self._midnight(date.fromisoformat(key))
            told = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}")
        except ValueError:
            return None
        return self._local(told if told.tzinfo else told.replace(tzinfo=ZoneInfo(self.zone)))


ANY_PERIOD = Periods("hour", date(1970, 1, 1))
"""For whoever wants to know whether a text tells a time at all: see `Periods.span`."""


def _utc(moment: datetime) -> datetime:
    # Two moments of one zone are compared and subtracted by their clocks, as if it had never been moved.
    return moment.astimezone(UTC)


def even_hours(zone: str, start: date) -> bool:
    """Whether a zone's clock moves by whole hours only, from `start` for twenty years.

    >>> even_hours("Asia/Kolkata", date(2026, 1, 1)), even_hours("Australia/Lord_Howe", date(2026, 1, 1))
    (True, False)
    """
    noons = (datetime.combine(start, time(12), ZoneInfo(zone)) + timedelta(days=30 * n) for n in range(12 * 20))
    return len({(noon.utcoffset() or timedelta(0)) % _HOUR for noon in noons}) == 1


def fixed_offset(zone: str, start: date) -> bool:
    """Whether a zone's clock never moves, from `start` for twenty years."""
    noons = (datetime.combine(start, time(12), ZoneInfo(zone)) + timedelta(days=30 * n) for n in range(12 * 20))
    return len({noon.utcoffset() for noon in noons}) == 1


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
