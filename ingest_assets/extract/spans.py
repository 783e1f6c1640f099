"""Spans of time cut into shorter ones, whose bounds can be written as an API reads them."""

import itertools
from datetime import UTC, datetime, timedelta

from ingest_assets.periods import written

_DAY = timedelta(days=1)
_GRAINS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1))


def named(lower: datetime, upper: datetime) -> str:
    """How a span is called, as the key of a part and in messages."""
    return f"{lower.isoformat()}/{upper.isoformat()}"


def cut(lower: datetime, upper: datetime, most: int, form: str) -> list[tuple[datetime, datetime]]:
    """A span of time in at most so many pieces, about as long as each other, whose bounds can be written in a format.

    >>> day = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    >>> [f"{one:%H}-{other:%H}" for one, other in cut(*day, 3, "iso")], len(cut(*day, 3, "date"))
    (['00-08', '08-16', '16-00'], 1)
    """
    grain = next((step for step in _GRAINS if written(lower, form) != written(_after(lower, step), form)), _DAY)
    grains = (
        round((upper - lower) / grain) if grain == _DAY else (upper.astimezone(UTC) - lower.astimezone(UTC)) // grain
    )
    count = max(1, min(most, grains))
    inner = [_after(lower, grain, grains * number // count) for number in range(1, count)]
    return list(itertools.pairwise([lower, *(moment for moment in inner if _comes_once(moment)), upper]))


def _after(moment: datetime, grain: timedelta, times: int = 1) -> datetime:
    """Days are counted by the calendar; less than that by the clock of UTC, which is never moved."""
    if grain == _DAY:
        return moment + grain * times
    return (moment.astimezone(UTC) + grain * times).astimezone(moment.tzinfo)


def _comes_once(moment: datetime) -> bool:
    """Whether the clock of its zone shows a moment only once: what is written without an offset could be either."""
    return moment.replace(fold=0).utcoffset() == moment.replace(fold=1).utcoffset()
