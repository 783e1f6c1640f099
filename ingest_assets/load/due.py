"""Which partitions of an endpoint have to be fetched: decided from what is loaded, never from what Dagster knows.

    due           where nobody names any: closed periods that are missing or may have changed, and running ones
    outstanding   of those that somebody names, the same question
    wanting       all that there is to fetch, back to the first period

Endpoints without periods are asked each time, as a whole or account by account.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from ingest_assets.load.ledger import Fetch
from ingest_assets.periods import Every
from ingest_assets.source import Endpoint, Lookback

_FIRST: dict[Every, int] = {"hour": 24, "day": 7, "week": 4, "month": 3}
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_AHEAD = timedelta(minutes=15)  # how long before it would be late a look is due

Members = Mapping[str, Sequence[str]]
"""The values of each dimension that are there now, by its name."""


def fixed(endpoint: Endpoint) -> dict[str, tuple[str, ...]]:
    """The dimensions whose values stand in the file."""
    by = endpoint.partitions.by if endpoint.partitions else {}
    return {name: values for name, values in by.items() if isinstance(values, tuple)}


def combinations(endpoint: Endpoint, members: Members | None = None) -> list[dict[str, str]]:
    """The values of the dimensions that go together, but for periods: one empty one where there are no dimensions."""
    there: dict[str, Sequence[str]] = {**fixed(endpoint), **(members or {})}
    names = list(endpoint.partitions.by) if endpoint.partitions else []
    return [dict(zip(names, one, strict=True)) for one in itertools.product(*(there.get(name, ()) for name in names))]


def last_closed(endpoint: Endpoint, now: datetime) -> str | None:
    """The newest period that is over and settled; None where there are no periods, or none is."""
    return endpoint.periods.last_ended(now, endpoint.settle) if endpoint.periods else None


def running(endpoint: Endpoint, now: datetime) -> list[str]:
    """The periods that have begun and are not settled, where the file says that they are fetched too."""
    if endpoint.periods is None or endpoint.partitions is None or not endpoint.partitions.open:
        return []
    return endpoint.periods.running(now, endpoint.settle)


def due(
    endpoint: Endpoint,
    fetches: Iterable[Fetch],
    now: datetime,
    members: Members | None = None,
    tick: datetime | None = None,
) -> list[str]:
    """The partitions to fetch where nobody names any.

    Closed periods since the oldest one that is loaded, the last few at first (24 hours, 7 days, 4 weeks, 3 months);
    what failed between; those that may have changed since they were fetched; and the running one, where it is open.
    """
    told, loaded = endpoint.partitions, [fetch for fetch in fetches if _is_known(endpoint, fetch.partition)]
    if told is None:
        return []
    periods = _periods(endpoint, loaded, now)
    keys = [told.key(period, by) for by in combinations(endpoint, members) for period in periods]
    return outstanding(endpoint, loaded, keys, now, tick)


def wanting(
    endpoint: Endpoint, fetches: Sequence[Fetch], now: datetime, tick: datetime, members: Members | None = None
) -> list[str | None]:
    """All that there is to fetch of an endpoint, oldest first; None stands for an endpoint without partitions.

    Unlike `due`, it goes back to the first period. What is asked for as it stands at the moment (feeds, listings,
    running periods) is wanted once since `tick`, and before it would be late.
    """
    told, looks = endpoint.partitions, _newest(f for f in fetches if f.verdict in ("complete", "open"))
    if told is None:
        return [None] if _look_due(endpoint, looks.get(None), now, tick) else []
    last, by = last_closed(endpoint, now), combinations(endpoint, members)
    closed = endpoint.periods.between(endpoint.periods.first, last) if endpoint.periods and last else []
    keys = [told.key(period, values) for period in closed for values in by]
    standing: Sequence[str | None] = running(endpoint, now) if endpoint.periods else [None]
    again = [told.key(period, values) for period in standing for values in by]
    due_again = [key for key in again if _look_due(endpoint, looks.get(key), now, tick)]
    return [*outstanding(endpoint, fetches, keys, now, tick), *due_again]


def _look_due(endpoint: Endpoint, last: Fetch | None, now: datetime, tick: datetime) -> bool:
    if last is None or last.started < tick:
        return True
    within = endpoint.fresh_within
    return within is not None and last.started + within - min(_AHEAD, within / 4) <= now


def outstanding(
    endpoint: Endpoint, fetches: Iterable[Fetch], keys: Sequence[str], now: datetime, tick: datetime | None = None
) -> list[str]:
    """Those of these partitions that are not loaded complete, or may have changed since they were fetched.

    What is in a look-back is asked for again a day after the last time, or a quarter of a look-back of less than four
    days, but no less than an hour; for who asks at ticks of a schedule, at the first tick after half of that.
    """
    loaded, pace = _complete(fetches), _pace(endpoint)
    before = now - pace if tick is None else min(tick, now - pace / 2)
    return [key for key in keys if key not in loaded or _may_have_changed(endpoint, loaded[key], before)]


def _is_known(endpoint: Endpoint, partition: str | None) -> bool:
    """Whether a key is one of the file's; see `ingest_assets.load.partitioning` on those that are not."""
    try:
        endpoint.bounds(partition)
    except ValueError:
        return False
    return True


def _periods(endpoint: Endpoint, fetches: Iterable[Fetch], now: datetime) -> Sequence[str | None]:
    """The periods to look at, or None alone where there are none."""
    periods, last = endpoint.periods, last_closed(endpoint, now)
    if periods is None:
        return [None]
    if last is None:
        return running(endpoint, now)
    # Also of what is open or incomplete: nothing that was begun falls out of sight.
    began = {fetch.partition for fetch in fetches if fetch.loaded and fetch.partition is not None}
    loaded = [one.period for one in map(endpoint.slice, began) if one.period is not None]
    first = min(loaded) if loaded else _back(endpoint, last)
    closed = periods.between(max(first, periods.first), last)
    return [*closed, *running(endpoint, now)]


def _back(endpoint: Endpoint, last: str) -> str:
    """The first of the last few periods that are asked for where none is loaded."""
    periods = endpoint.periods
    assert periods is not None  # noqa: S101 -- for the type checker: who asks has periods
    lengths = {"hour": _HOUR, "day": _DAY, "week": 7 * _DAY, "month": 30 * _DAY}
    ended = periods.bounds(last)[1].astimezone(UTC)
    early = periods.key(ended - (_FIRST[periods.every] - 0.5) * lengths[periods.every])
    return max(early, periods.first)


def _complete(fetches: Iterable[Fetch]) -> dict[str, Fetch]:
    """The newest complete and loaded fetch of each partition."""
    counting = [f for f in fetches if f.loaded and f.verdict == "complete" and f.partition is not None]
    return {str(fetch.partition): fetch for fetch in sorted(counting, key=lambda fetch: fetch.fetch)}


def _newest(fetches: Iterable[Fetch]) -> dict[str | None, Fetch]:
    """The newest of these fetches of each partition that is loaded."""
    return {fetch.partition: fetch for fetch in sorted(fetches, key=lambda fetch: fetch.fetch) if fetch.loaded}


def _lookback(endpoint: Endpoint) -> timedelta:
    return endpoint.changes.lookback if isinstance(endpoint.changes, Lookback) else timedelta(0)


def _pace(endpoint: Endpoint) -> timedelta:
    return min(_DAY, max(_HOUR, _lookback(endpoint) / 4))


def _may_have_changed(endpoint: Endpoint, fetch: Fetch, before: datetime) -> bool:
    """Whether a partition was asked for before it had settled, or before this moment and in its look-back.

    Without periods it is always due.
    """
    over = fetch.until_time  # the period's end: to find it out from the key takes ten times as long
    if endpoint.periods is None or over is None:
        return True
    return fetch.started < over + endpoint.settle or fetch.started < min(before, over + _lookback(endpoint))
