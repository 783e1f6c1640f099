"""How long what failed is left alone: decided from the tries in `_ingest`, never from what Dagster knows.

    a partition    10 minutes after the first try that failed, four times as long after each further one, a day at most
    an endpoint    5 minutes, twice as long each time, an hour at most: where a try failed for a reason that is no
                   matter of one partition, such as a refused key or an API that is down; then one partition is tried.
                   Where the API named the time when it may be asked again: until then at least
    a source       until such a time, where it is for all endpoints

A load that came to its end forgives all former tries of its partition, and those of its endpoint.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from ingest_assets.load.ledger import Failure, Fetch, Known


class Held(Struct, frozen=True):
    """Tries that failed, and when there may be another one."""

    tries: int
    until: datetime


class _Pace(Struct, frozen=True):
    first: timedelta
    times: int
    most: timedelta

    def held(self, failed: Sequence[datetime]) -> Held:
        wait = self.first
        for _ in failed[1:]:
            wait = min(wait * self.times, self.most)
        return Held(len(failed), max(failed) + wait)


_PARTITION = _Pace(timedelta(minutes=10), 4, timedelta(days=1))
_ENDPOINT = _Pace(timedelta(minutes=5), 2, timedelta(hours=1))


def held_partitions(known: Known, now: datetime) -> dict[str | None, Held]:
    """The partitions that are left alone at this moment."""
    tries: dict[str | None, list[datetime]] = defaultdict(list)
    good = _last_good(known.fetches)
    for failure in known.failures:
        if failure.until is None:  # else the partition has nothing to do with it
            tries[failure.partition].append(failure.failed)
    for fetch in known.fetches:
        # Loaded with a warning: it is asked for again, and not at once.
        if fetch.verdict == "incomplete" and fetch.ended is not None:
            tries[fetch.partition].append(fetch.ended)
    late = {partition: [t for t in times if _after(t, good.get(partition))] for partition, times in tries.items()}
    held = {partition: _PARTITION.held(times) for partition, times in late.items() if times}
    return {partition: one for partition, one in held.items() if one.until > now}


def held_endpoint(known: Known, now: datetime) -> Held | None:
    """How long the endpoint as a whole is left alone; None where it is not."""
    failed = _stopping(known)
    if not failed:
        return None
    held = _ENDPOINT.held([failure.failed for failure in failed])
    until = max([held.until, *(failure.until for failure in failed if failure.until is not None)])
    return Held(held.tries, until) if until > now else None


def held_source(known: Iterable[Known], now: datetime) -> Failure | None:
    """The failure that says until when all endpoints of a source are left alone; None where they are not."""
    told = [failure for one in known for failure in _stopping(one) if failure.everywhere]
    waiting = [failure for failure in told if failure.until is not None and failure.until > now]
    return max(waiting, key=lambda failure: failure.until or now, default=None)


def is_source_doubted(known: Iterable[Known]) -> bool:
    """Whether an API was to be left alone as a whole, and nothing of it was loaded since: one run shows how it is."""
    some = list(known)
    good = [moment for one in some for moment in _last_good(one.fetches).values()]
    return any(
        failure.everywhere and _after(failure.failed, max(good, default=None))
        for one in some
        for failure in one.failures
    )


def is_doubted(known: Known) -> bool:
    """Whether an endpoint failed as a whole since it was last loaded: one partition shows whether it is well again."""
    return bool(_stopping(known))


def _stopping(known: Known) -> list[Failure]:
    last = max(_last_good(known.fetches).values(), default=None)
    return [failure for failure in known.failures if failure.stops and _after(failure.failed, last)]


def _last_good(fetches: Sequence[Fetch]) -> dict[str | None, datetime]:
    """When each partition was last loaded from a walk that came to its end."""
    good = [fetch for fetch in fetches if fetch.loaded is not None and fetch.verdict != "incomplete"]
    return {fetch.partition: fetch.loaded for fetch in sorted(good, key=_loaded) if fetch.loaded is not None}


def _loaded(fetch: Fetch) -> datetime:
    return fetch.loaded or fetch.started


def _after(moment: datetime, other: datetime | None) -> bool:
    return other is None or moment > other
