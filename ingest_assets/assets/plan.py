"""Which endpoints and partitions a command means, as few range runs as Dagster allows.

A job holds one partitions definition, and a range has no holes: periods that need the same endpoints become one run.
Where partitions are periods of accounts, each account has runs of its own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ingest_assets.catalog import hint
from ingest_assets.errors import ConfigError
from ingest_assets.load.due import Members, combinations, due, fixed, last_closed, outstanding, running
from ingest_assets.load.ledger import Fetch
from ingest_assets.periods import ANY_PERIOD, Periods
from ingest_assets.source import Endpoint, Source, listed, listings

Name = tuple[str, str]
Loaded = Callable[[Name], Sequence[Fetch]]
_NAMED = 10


@dataclass(frozen=True)
class Range:
    """One run: these endpoints, for all partitions from `first` to `last`; both None without partitions."""

    endpoints: tuple[Name, ...]
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line.

    `first` and `last` are a month, a day, an hour or a period's key, both ends included. `by` is the one value that
    is meant of a dimension, such as an account.
    """

    first: str | None = None
    last: str | None = None
    again: bool = False
    by: Mapping[str, str] = field(default_factory=dict)


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


def stages(sources: Mapping[str, Source], names: Sequence[Name]) -> list[list[Name]]:
    """These endpoints, those first whose tables list the partitions of later ones."""
    depths: dict[Name, int] = {}
    for name in names:
        before = listings(sources[name[0]], name[1])
        depths[name] = len([one for one in names if one[0] == name[0] and one[1] in before])
    return [[name for name in names if depths[name] == depth] for depth in sorted(set(depths.values()))]


def having(sources: Mapping[str, Source], names: Sequence[Name], dimensions: Collection[str]) -> list[Name]:
    """Those of these endpoints that have all of these dimensions; ConfigError where none has."""
    by = {name: told.by if (told := sources[name[0]].endpoints[name[1]].partitions) else {} for name in names}
    found = [name for name in names if set(dimensions) <= set(by[name])]
    if dimensions and not found:
        known = ", ".join(sorted({dimension for told in by.values() for dimension in told})) or "none"
        raise ConfigError(
            f"nothing that is meant is partitioned by {', '.join(map(repr, dimensions))}; there are {known}"
        )
    return found


def meant(
    sources: Mapping[str, Source],
    names: Sequence[Name],
    partition: str | None,
    ends: tuple[str | None, str | None],
    by: Mapping[str, str],
    *,
    again: bool,
) -> Wanted:
    """What a command line means: a range of time; or one partition, by a time or by its key."""
    if partition is None:
        return Wanted(*ends, again, by)
    try:
        ANY_PERIOD.span(partition)
    except ValueError:
        if len(names) != 1:
            raise ConfigError(
                f"--partition {partition!r} is no time; expected such as 2026-01-31, or a partition's key beside the "
                "name of one endpoint"
            ) from None
        (name,) = names
        return one_partition(name, sources[name[0]].endpoints[name[1]], partition, again=again)
    return Wanted(partition, partition, again, by)


def one_partition(name: Name, endpoint: Endpoint, text: str, *, again: bool = False) -> Wanted:
    """The one partition that a person wrote: its key, or a time where partitions are periods alone."""
    told = endpoint.partitions
    if told is None:
        raise ConfigError(f"{'.'.join(name)}: it has no partitions, so --partition names none of them")
    try:
        found = told.slice(text)
    except ValueError as error:
        raise ConfigError(f"{'.'.join(name)}: --partition {error}") from None
    return Wanted(found.period, found.period, again, found.by)


def plan(
    sources: Mapping[str, Source],
    names: Iterable[Name],
    wanted: Wanted,
    loaded: Loaded,
    now: datetime,
    members: Callable[[Name], Members] = lambda _: {},
) -> list[Range]:
    """What `planned` gives, as runs."""
    return in_runs(sources, planned(sources, names, wanted, loaded, now, members))


def planned(
    sources: Mapping[str, Source],
    names: Iterable[Name],
    wanted: Wanted,
    loaded: Loaded,
    now: datetime,
    members: Callable[[Name], Members] = lambda _: {},
    tick: datetime | None = None,
) -> dict[Name, Sequence[str | None]]:
    """What brings these endpoints up to date, as partitions of each; None stands for an endpoint without partitions.

    `members` gives the values of dimensions that other endpoints list; `tick` is the time of a schedule that asks.
    ConfigError where what is wanted is no partition of an endpoint.
    """
    keys: dict[Name, Sequence[str | None]] = {}
    named_days = wanted.first is not None or wanted.last is not None
    for name in having(sources, list(names), wanted.by):
        endpoint = sources[name[0]].endpoints[name[1]]
        if endpoint.partitions is None:
            keys[name] = [] if named_days or wanted.by else [None]
        elif endpoint.periods is not None or not named_days:
            keys[name] = _keys(name, endpoint, wanted, loaded(name), now, members(name), tick)
    return keys


def in_runs(sources: Mapping[str, Source], keys: Mapping[Name, Sequence[str | None]]) -> list[Range]:
    """Partitions of endpoints as runs: those of periods first, then feeds and listings together."""
    by_definition: dict[object, dict[Name, list[str]]] = {}
    for name, wanted in keys.items():
        if some := [key for key in wanted if key is not None]:
            definition = _definition(name, sources[name[0]].endpoints[name[1]])
            by_definition.setdefault(definition, {})[name] = some
    ranges = [
        run
        for some in by_definition.values()
        for first in [next(iter(some))]
        for run in in_ranges(some, sources[first[0]].endpoints[first[1]])
    ]
    alone = tuple(name for name, wanted in keys.items() if None in wanted)
    return [*ranges, Range(alone)] if alone else ranges


def _definition(name: Name, endpoint: Endpoint) -> object:
    """What two endpoints have in common where one run can hold both."""
    told = endpoint.partitions
    if told is None or told.every is None:
        return name
    lists = name[0] if listed(endpoint) else ""
    return (
        endpoint.periods and endpoint.periods.first,
        told.every,
        told.open,
        endpoint.time_zone,
        lists,
        repr(told.by),
    )


def _keys(
    name: Name,
    endpoint: Endpoint,
    wanted: Wanted,
    fetches: Sequence[Fetch],
    now: datetime,
    members: Members,
    tick: datetime | None,
) -> list[str]:
    told = endpoint.partitions
    assert told is not None  # noqa: S101 -- for the type checker: who asks has partitions
    chosen = _members(name, endpoint, wanted, members)
    if wanted.first is None and wanted.last is None:
        return due(endpoint, [] if wanted.again else fetches, now, chosen, tick)
    periods = _named_periods(name, endpoint, wanted, now)
    keys = [told.key(period, by) for by in combinations(endpoint, chosen) for period in periods]
    return keys if wanted.again else outstanding(endpoint, fetches, keys, now)


def _members(name: Name, endpoint: Endpoint, wanted: Wanted, members: Members) -> Members:
    """The values of each dimension that are meant."""
    there = {**fixed(endpoint), **members}
    for dimension, value in wanted.by.items():
        label = ".".join(name)
        if value not in there.get(dimension, ()):
            some = ", ".join(list(there.get(dimension, ()))[:_NAMED]) or "none yet"
            raise ConfigError(f"{label}: {value!r} is no {dimension}; there are {some}")
        there[dimension] = (value,)
    return there


def _named_periods(name: Name, endpoint: Endpoint, wanted: Wanted, now: datetime) -> list[str]:
    """The periods from the first to the last that was written; ConfigError where they cannot be fetched."""
    periods, label = endpoint.periods, ".".join(name)
    assert periods is not None  # noqa: S101 -- for the type checker: who asks has periods
    newest = [key for key in (last_closed(endpoint, now), *running(endpoint, now)) if key is not None]
    try:
        first = periods.span(wanted.first)[0] if wanted.first is not None else periods.first
        last = periods.span(wanted.last)[1] if wanted.last is not None else (newest or [periods.first])[-1]
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None
    if first > last and wanted.last is None:
        raise ConfigError(f"{label}: {_not_over(endpoint, periods, first)}")
    if first < periods.first:
        raise ConfigError(f"{label}: its partitions begin on {periods.first}; {first} is before that")
    if not newest or last > newest[-1]:
        raise ConfigError(f"{label}: {_not_over(endpoint, periods, last)}")
    if last < first:
        raise ConfigError(f"{label}: --to {wanted.last} is before --from {wanted.first}")
    return periods.between(first, last)


def _not_over(endpoint: Endpoint, periods: Periods, last: str) -> str:
    if endpoint.partitions is not None and endpoint.partitions.open:
        return f"{last} has not begun yet in {periods.zone}"
    settles = f", and settles {endpoint.settle} later" if endpoint.settle else ""
    told = f"{last} is not over yet in {periods.zone}{settles}"
    return f"{told}; only closed {periods.every}s are fetched (or those that run, by open: true)"


def in_ranges(keys: Mapping[Name, Sequence[str]], endpoint: Endpoint) -> list[Range]:
    """Partitions in a row that need the same endpoints, as runs; all have the partitions of `endpoint`."""
    told, needed = endpoint.partitions, dict[str, tuple[Name, ...]]()
    meant = {name: set(wanted) for name, wanted in keys.items()}
    for key in dict.fromkeys(key for wanted in keys.values() for key in wanted):
        needed[key] = tuple(name for name, wanted in meant.items() if key in wanted)
    runs: list[Range] = []
    for key in sorted(needed, key=lambda key: _order(endpoint, key)):
        last = runs[-1].last if runs else None
        if last is not None and told and runs[-1].endpoints == needed[key] and _follows(endpoint, last, key):
            runs[-1] = Range(needed[key], runs[-1].first, key)
        else:
            runs.append(Range(needed[key], key, key))
    return runs


def keys_of(endpoint: Endpoint, run: Range) -> list[str]:
    """The partitions of a run that `in_ranges` made."""
    if endpoint.partitions is None or run.first is None or run.last is None:
        return []
    first, last = endpoint.slice(run.first), endpoint.slice(run.last)
    if endpoint.periods is None or first.period is None or last.period is None:
        return [run.first]
    return [endpoint.partitions.key(period, first.by) for period in endpoint.periods.between(first.period, last.period)]


def _order(endpoint: Endpoint, key: str) -> tuple[list[str], str]:
    found = endpoint.slice(key)
    return [found.by[name] for name in sorted(found.by)], found.period or ""


def _follows(endpoint: Endpoint, key: str, next_key: str) -> bool:
    """Whether one partition is the very next one, of the same account or the like."""
    one, other = endpoint.slice(key), endpoint.slice(next_key)
    if endpoint.periods is None or one.period is None or one.by != other.by:
        return False
    if endpoint.offers(key) != endpoint.offers(next_key):  # Dagster knows only those that can be asked for
        return False
    return endpoint.periods.next(one.period) == other.period
