"""Which endpoints and partitions a command means, as few range runs as Dagster allows.

A job holds one partitions definition, and a range has no holes: days that need the same endpoints become one run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingest_assets.catalog import hint
from ingest_assets.errors import ConfigError
from ingest_assets.load.due import days_between, due, last_closed_day, outstanding
from ingest_assets.load.ledger import Fetch
from ingest_assets.source import Endpoint, Source

Name = tuple[str, str]
Loaded = Callable[[Name], Sequence[Fetch]]


@dataclass(frozen=True)
class Range:
    """One run: these endpoints, for all days from `first` to `last`; both None without partitions."""

    endpoints: tuple[Name, ...]
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line; `first` and `last` are days, both ends included."""

    first: date | None = None
    last: date | None = None
    again: bool = False


def chosen(sources: Mapping[str, Source], names: Sequence[str]) -> list[Name]:
    """The endpoints that `SOURCE` and `SOURCE.ENDPOINT` mean; all of them where nothing is named."""
    found = [name for text in names or list(sources) for name in _named(sources, text)]
    return list(dict.fromkeys(found))


def _named(sources: Mapping[str, Source], text: str) -> list[Name]:
    source, _, endpoint = text.partition(".")
    if source not in sources:
        raise ConfigError(f"{source!r} is no source; {hint(source, sources)}")
    endpoints = sources[source].endpoints
    if endpoint and endpoint not in endpoints:
        raise ConfigError(f"{source!r} has no endpoint {endpoint!r}; {hint(endpoint, endpoints)}")
    return [(source, name) for name in endpoints if name == (endpoint or name)]


def one(sources: Mapping[str, Source], text: str) -> Name:
    """The one endpoint that `SOURCE.ENDPOINT` means."""
    found = chosen(sources, [text])
    if len(found) != 1:
        choices = ", ".join(f"{source}.{name}" for source, name in found)
        raise ConfigError(f"expected one endpoint, such as {choices}")
    return found[0]


def plan(
    sources: Mapping[str, Source], names: Iterable[Name], wanted: Wanted, loaded: Loaded, now: datetime
) -> list[Range]:
    """The runs that bring these endpoints up to date: partitioned ones first, then feeds and listings together."""
    alone: list[Name] = []
    by_definition: dict[tuple[date, str], dict[Name, list[str]]] = {}
    for name in names:
        endpoint = sources[name[0]].endpoints[name[1]]
        if endpoint.partitions is None:
            alone.append(name)
            continue
        definition = (endpoint.partitions.start, endpoint.time_zone)
        days = _days(name, endpoint, wanted, loaded(name), now)
        by_definition.setdefault(definition, {})[name] = days
    ranges = [run for days in by_definition.values() for run in in_ranges(days)]
    named_days = wanted.first is not None or wanted.last is not None
    return ranges if named_days or not alone else [*ranges, Range(tuple(alone))]


def _days(name: Name, endpoint: Endpoint, wanted: Wanted, fetches: Sequence[Fetch], now: datetime) -> list[str]:
    if wanted.first is None and wanted.last is None:
        return due(endpoint, [] if wanted.again else fetches, now)
    start = endpoint.partitions.start if endpoint.partitions else date.min
    first, last = wanted.first or start, wanted.last or last_closed_day(endpoint, now)
    label = ".".join(name)
    if first < start:
        raise ConfigError(f"{label}: its partitions begin on {start}; {first} is before that")
    if last > last_closed_day(endpoint, now):
        raise ConfigError(f"{label}: {last} is not over yet in {endpoint.time_zone}; only closed days are fetched")
    if last < first:
        raise ConfigError(f"{label}: --to {last} is before --from {first}")
    days = days_between(first, last)
    return days if wanted.again else outstanding(endpoint, fetches, days, now)


def in_ranges(days: Mapping[Name, Sequence[str]]) -> list[Range]:
    """Days in a row that need the same endpoints, as runs."""
    needed: dict[str, tuple[Name, ...]] = {}
    for day in sorted({day for wanted in days.values() for day in wanted}):
        needed[day] = tuple(name for name, wanted in days.items() if day in wanted)
    runs: list[Range] = []
    for day, names in needed.items():
        before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
        if runs and runs[-1].last == before and runs[-1].endpoints == names:
            runs[-1] = Range(names, runs[-1].first, day)
        else:
            runs.append(Range(names, day, day))
    return runs
