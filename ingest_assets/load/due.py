"""Which days of an endpoint have to be fetched: decided from what is loaded, never from what Dagster knows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest_assets.load.ledger import Fetch
from ingest_assets.source import Endpoint, Lookback, day_bounds

_FIRST_DAYS = 7


def last_closed_day(endpoint: Endpoint, now: datetime) -> date:
    """The newest day that is over in the endpoint's zone."""
    return now.astimezone(ZoneInfo(endpoint.time_zone)).date() - timedelta(days=1)


def days_between(first: date, last: date) -> list[str]:
    """The keys of these days, both ends included."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def due(endpoint: Endpoint, fetches: Iterable[Fetch], now: datetime) -> list[str]:
    """The days to fetch where nobody names any.

    Closed days since the newest one that is loaded, the last seven at first; what failed between; and those loaded
    days that may have changed since they were fetched.
    """
    loaded = _complete(fetches)
    last = last_closed_day(endpoint, now)
    first = date.fromisoformat(min(loaded)) if loaded else last - timedelta(days=_FIRST_DAYS - 1)
    start = endpoint.partitions.start if endpoint.partitions else first
    return outstanding(endpoint, loaded.values(), days_between(max(first, start), last), now)


def outstanding(endpoint: Endpoint, fetches: Iterable[Fetch], days: Sequence[str], now: datetime) -> list[str]:
    """Those of these days that are not loaded complete, or may have changed since they were fetched."""
    loaded = _complete(fetches)
    return [day for day in days if day not in loaded or _may_have_changed(endpoint, loaded[day], now)]


def _complete(fetches: Iterable[Fetch]) -> dict[str, Fetch]:
    """The newest complete and loaded fetch of each day."""
    counting = [f for f in fetches if f.loaded and f.verdict == "complete" and f.partition is not None]
    return {str(fetch.partition): fetch for fetch in sorted(counting, key=lambda fetch: fetch.fetch)}


def _may_have_changed(endpoint: Endpoint, fetch: Fetch, now: datetime) -> bool:
    """Whether a day is inside the look-back and was last asked for more than a day ago, or before it was over."""
    _, until = day_bounds(str(fetch.partition), endpoint.time_zone)
    if fetch.started < until:
        return True
    lookback = endpoint.changes.lookback if isinstance(endpoint.changes, Lookback) else timedelta(0)
    return fetch.started < min(now - timedelta(days=1), until.astimezone(UTC) + lookback)
