"""Whether as many records came as usual: a share that is far from the median of earlier ones of the same kind.

    day      with the same weekday's
    hour     with the same hour's of that weekday
    else     with those before it; of a listing, with its earlier fetches

Told are partitions that were first fetched within the last week, and the newest one: what people have seen by then does
not stay red for ever. Small numbers differ by chance, so the distance has to be more than that too.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import sqrt
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ingest_assets.load.looked import Found, Looked, run_again
from ingest_assets.source import Volume

_TOLD_FOR = timedelta(days=7)
_NAMED = 5
_WEEK = 7
_SIGMAS = 3
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_DIFFERENT = "received - duplicates - filtered"
_LOADED = "source = ? AND endpoint = ? AND loaded IS NOT NULL AND verdict = 'complete'"
_KINDS = {"day": "%A", "hour": "%A %H:00"}


class Usual(Struct, frozen=True):
    """Between which numbers lies what is usual, how far chance goes from there, and what it was made of."""

    low: float
    high: float
    chance: float
    of: str
    never_zero: bool = False

    def __str__(self) -> str:
        numbers = f"{self.low:,.0f}" if self.low == self.high else f"{self.low:,.0f} to {self.high:,.0f}"
        return f"{numbers} ({self.of})"

    def is_unusual(self, records: int, told: Volume) -> bool:
        """Whether so many records are too few or too many."""
        if records == 0 and self.never_zero:
            return True
        few = records < told.least * self.low and self.low - records > self.chance
        return few or (records > told.most * self.high and records - self.high > self.chance)


class Part(Struct, frozen=True):
    """A partition, or a fetch of a listing: how many records it has, when it begins, and when it was first fetched."""

    key: str | None
    records: int
    begins: datetime
    fetched: datetime


def volume(at: Looked) -> Found:
    """No partition has far fewer or more records than is usual."""
    told = at.endpoint.volume
    if not told:
        return Found()
    looked = unusual = 0
    lines = list[tuple[datetime, str, str | None]]()
    for parts in _rows(at):
        for part, usual in _judged(at, parts, told):
            looked += 1
            if usual.is_unusual(part.records, told):
                unusual += 1
                which = f"partition {part.key}" if part.key else "it"
                lines.append((part.begins, f"{which} has {part.records:,} records, usual are {usual}", part.key))
    lines.sort(key=lambda line: line[0], reverse=True)
    problem = ""
    if lines:
        more = f" and {len(lines) - _NAMED:,} more" if len(lines) > _NAMED else ""
        text = "; ".join(text for _, text, _ in lines[:_NAMED])
        problem = f"{text}{more}. Ask the API's people, or read it again: {run_again(at, lines[0][2])}"
    return Found(problem, {"looked at": looked, "unusual": unusual}, serious=False)


def _judged(at: Looked, parts: Sequence[Part], told: Volume) -> Iterable[tuple[Part, Usual]]:
    """Those of a row of parts that are to be told of, where enough is known of what is usual."""
    kind = _KINDS.get(at.endpoint.periods.every if at.endpoint.periods else "")
    alike = defaultdict[str, list[int]](list)
    before = list[int]()
    for place, part in enumerate(parts):
        name = part.begins.strftime(kind) if kind else ""
        if place == len(parts) - 1 or (at.endpoint.periods and part.fetched > at.now - _TOLD_FOR):
            usual = _usual(alike[name], before, told, name)
            if usual is not None:
                yield part, usual
        alike[name].append(part.records)
        before.append(part.records)


def _usual(alike: Sequence[int], before: Sequence[int], told: Volume, name: str) -> Usual | None:
    """What is usual after these earlier numbers; None where they are too few to tell.

    Before a weekday has come often enough, only what lies outside of all that the last weeks brought is unusual.
    """
    if len(alike) >= told.history:
        last = alike[-told.of :]
        middle = median(last)
        spread = _MAD_TO_SIGMA * median(abs(number - middle) for number in last)
        of = f"the median of the {len(last)} before it{f', each a {name}' if name else ''}"
        return Usual(middle, middle, _SIGMAS * max(spread, sqrt(middle), 1), of, min(alike) > 0)
    if name and len(before) >= max(_WEEK, told.history):
        last = before[-2 * _WEEK :]
        low, high = min(last), max(last)
        return Usual(low, high, _SIGMAS * max(sqrt(high), 1), f"the last {len(last)}, of any weekday", low > 0)
    return None


def _rows(at: Looked) -> list[list[Part]]:
    """What can be compared with one another, in order: the periods of each account, or the fetches of each listing."""
    zone = ZoneInfo(at.endpoint.time_zone)
    rows = defaultdict[Any, list[Part]](list)
    if at.endpoint.periods is None:
        fetches = at.rows(
            f"SELECT partition, {_DIFFERENT}, started FROM _ingest.fetches WHERE {_LOADED} ORDER BY _fetch",
            at.source,
            at.name,
        )
        for key, records, started in fetches:
            rows[key].append(Part(key, records, started, started))
        return list(rows.values())
    periods = at.rows(
        f"SELECT partition, arg_max({_DIFFERENT}, _fetch), min(from_time) AS begins, min(started) "
        f"FROM _ingest.fetches WHERE {_LOADED} GROUP BY partition ORDER BY begins",
        at.source,
        at.name,
    )
    for key, records, begins, fetched in periods:
        if at.knows(key):
            by = tuple(sorted(at.endpoint.slice(key).by.items()))
            rows[by].append(Part(key, records, begins.astimezone(zone), fetched))
    return list(rows.values())
