"""What a source's sensor asks for at one moment: the newest of what is to be fetched, and is neither on its way nor
held back.

    wanting     missing, open and settled since, or in a look-back: `ingest_assets.load.due`, from `_ingest`
    going       asked for already: `ingest_assets.assets.unfinished`
    held        failed a while ago: `ingest_assets.load.patience`, from `_ingest`

New data never wait for a long history: that is asked for a piece at a time, newest first, and the next piece once
the former one is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest_assets.assets.plan import Name, Range, in_runs
from ingest_assets.assets.unfinished import Going
from ingest_assets.errors import ConfigError
from ingest_assets.load.due import wanting
from ingest_assets.load.ledger import Failure, Known
from ingest_assets.load.partitioning import Kept, refuse
from ingest_assets.load.patience import Held, held_endpoint, held_partitions, held_source, is_doubted, is_source_doubted
from ingest_assets.source import Endpoint, Source, listed

MOST_PARTITIONS = 31
"""Partitions of an endpoint in one piece: a month of days, and a run that is over within minutes."""
MOST_RUNS = 10
"""Runs of a source that wait or work at a time."""
_NAMED = 3
_STANDING = "~"  # sorts after all periods


@dataclass(frozen=True)
class Asked:
    """The runs to request, newest first; and what is left for later, with why, in words for people.

    `newest` are those of the ranges that hold the newest there is: they go ahead of others.
    """

    ranges: tuple[Range, ...]
    notes: tuple[str, ...]
    newest: frozenset[Range] = frozenset()


def asks(source: Source, known: Mapping[str, Known], going: Going, now: datetime, tick: datetime) -> Asked:
    """What to ask for at this moment; `tick` is when the source's schedule last asked for feeds and listings."""
    if held := held_source(known.values(), now):
        return Asked((), (left_alone(held),))
    notes: list[str] = []
    keys: dict[Name, Sequence[str | None]] = {}
    for name in source.endpoints:
        free, told = _free(source, name, known[name], going, now, tick)
        notes += [f"{name}: {note}" for note in told]
        if free:
            keys[source.name, name] = free
    ends = {run: _end(source, run) for run in in_runs({source.name: source}, keys)}
    ranges = sorted(ends, key=lambda run: ends[run], reverse=True)
    room = max((1 if is_source_doubted(known.values()) else MOST_RUNS) - going.runs, 0)
    if ranges[room:]:
        notes.append(f"{len(ranges) - room} more runs are asked for once some of {going.runs + room} are done")
    last = max((end for end in ends.values() if end != _STANDING), default="")
    return Asked(tuple(ranges[:room]), tuple(notes), frozenset(run for run in ranges if ends[run] >= last))


def left_alone(failure: Failure) -> str:
    """That nothing of a source is asked for, and why."""
    return f"all endpoints are left alone: {failure.problem}"


def _free(
    source: Source, name: str, known: Known, going: Going, now: datetime, tick: datetime
) -> tuple[Sequence[str | None], list[str]]:
    """The partitions of an endpoint to ask for now, and why not the others."""
    endpoint = source.endpoints[name]
    if told := known.unlisted or _of_other_partitions(source.name, name, endpoint, known):
        return [], [told]
    wanted = wanting(endpoint, known.fetches, now, tick, known.members)
    if not wanted:
        return [], _nothing_listed(source.name, endpoint, known)
    if held := held_endpoint(known, now):
        return [], [f"left alone until {_time(held.until)}: {known.failures[-1].problem}"]
    held_back, busy = held_partitions(known, now), going.of(name)
    waiting = [key for key in wanted if key not in busy and key not in held_back]
    notes = [_held_note({key: held_back[key] for key in wanted if key in held_back})] if held_back else []
    # What is newer than all that is on its way does not wait for it; history does.
    newest = max((_period(endpoint, key) for key in busy), default="")
    most = 1 if is_doubted(known) else MOST_PARTITIONS
    free = [key for key in waiting[-most:] if _period(endpoint, key) >= newest]
    if len(free) < len(waiting):
        notes.append(f"{len(waiting) - len(free):,} older partitions follow piece by piece")
    if not waiting and (asked := [key for key in wanted if key in busy]):
        notes.append(f"{_some(asked)} asked for already, and not done yet")
    return free, [note for note in notes if note]


def _of_other_partitions(source: str, name: str, endpoint: Endpoint, known: Known) -> str:
    """What a fetch or load would be refused with, since the file changed; the last load shows it as well as all."""
    last = next((fetch for fetch in reversed(known.fetches) if fetch.loaded), None)
    if last is None:
        return ""
    try:
        refuse(f"{source}.{name}", endpoint, [Kept(last.fetch, last.partition, (last.from_time, last.until_time))])
    except ConfigError as error:
        return str(error)
    return ""


def _nothing_listed(source: str, endpoint: Endpoint, known: Known) -> list[str]:
    empty = dict.fromkeys(told.endpoint for name, told in listed(endpoint).items() if not known.members.get(name))
    return [f"it has no partitions: {' and '.join(f'{source}.{name}' for name in empty)} lists none"] if empty else []


def _end(source: Source, run: Range) -> str:
    """The last period of a run; what is asked for as it stands goes before all periods."""
    return _period(source.endpoints[run.endpoints[0][1]], run.last) or _STANDING


def _period(endpoint: Endpoint, key: str | None) -> str:
    """The period of a partition, or nothing: it has none, or a run goes on under partitions of an earlier file."""
    if key is None or endpoint.periods is None:
        return ""
    try:
        period = endpoint.slice(key).period or ""
    except ValueError:
        return ""
    return period if endpoint.periods.holds(period) else ""


def _held_note(held: Mapping[str | None, Held]) -> str:
    """Which partitions are held back, for how long; the one that is due again first is told first."""
    if not held:
        return ""
    told = sorted(held.items(), key=lambda item: item[1].until)
    some = [f"{key or 'it'} until {_time(one.until)} (failed {_times(one.tries)})" for key, one in told[:_NAMED]]
    more = f", and {len(told) - _NAMED:,} more" if len(told) > _NAMED else ""
    return f"held back: {', '.join(some)}{more}"


def _some(partitions: Sequence[str | None]) -> str:
    first = partitions[0]
    return f"{len(partitions):,} partitions are" if len(partitions) > 1 else f"{first} is" if first else "it is"


def _times(tries: int) -> str:
    return "once" if tries == 1 else f"{tries} times"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
