"""One screen on all that is loaded: what is incomplete, in quarantine, late or out of date, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest_assets.assets.plan import Name
from ingest_assets.commands.down import down, print_down
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import moment, note, table
from ingest_assets.durations import spoken
from ingest_assets.http.total import Expected, Tells
from ingest_assets.line import opened
from ingest_assets.load import ledger
from ingest_assets.load.health import look, looks, refusals
from ingest_assets.load.looked import EXPECTED_IS, Looked
from ingest_assets.load.warehouse import Warehouse as DuckDB
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Source

_LOADING = timedelta(minutes=10)  # after its fetch, a partition may still be being loaded


@dataclass(frozen=True)
class _State:
    """What is known of one endpoint. `received` and `expected` are of its newest load; expected by the API's word."""

    rows: int | None
    newest_partition: str | None
    last_look: datetime | None
    problems: tuple[str, ...]
    is_open: bool = False
    received: int | None = None
    expected: int | None = None
    expected_is: Tells | None = None


def status(sources: Mapping[str, Source], names: Sequence[Name], data: Path, out: Output) -> bool:
    """Print the screen; whether nothing is wrong."""
    now, broken = datetime.now(UTC), down(sources, [source for source, _ in names])
    warehouse = DuckDB(data)
    warehouse.refuse_lost()
    if not warehouse.writer.exists():
        out.console.print("Nothing is loaded yet. Next: ingest run")
        print_down(broken, out)
        nothing = [{"endpoint": ".".join(name), "problems": ["nothing is loaded. Next: ingest run"]} for name in names]
        out.document({"endpoints": nothing, "down": broken}, ok=False)
        return False
    with warehouse.reading() as connection:
        states = {name: _state(connection, sources[name[0]], name, data, now) for name in names}
    counted = any(state.expected is not None for state in states.values())
    rows = [
        (".".join(n), s.rows, _newest(s), _looked(s), *([_came(s)] if counted else []), "!" if s.problems else "ok")
        for n, s in states.items()
    ]
    titles = ("endpoint", "rows", "newest partition", "last look", *(["it brought"] if counted else []), "")
    out.console.print(table(titles, rows))
    print_down(broken, out)
    reader = _reader(warehouse, now, out)
    problems = [(name, text) for name, state in states.items() for text in state.problems]
    for name, text in problems:
        out.console.print(note("!", f"{'.'.join(name)}: {text}"))
    told = [{"endpoint": ".".join(name), **asdict(state)} for name, state in states.items()]
    is_well = not problems and not broken
    out.document({"endpoints": told, "down": broken, "reader": reader}, ok=is_well)
    return is_well


def _reader(warehouse: DuckDB, now: datetime, out: Output) -> dict[str, Any]:
    """When the reader's copy was published; said where more was loaded since."""
    published, is_current = warehouse.published, warehouse.is_current
    if published is not None and not is_current:
        age = spoken(max(0.0, (now - published).total_seconds()))
        out.console.print(
            f"This is of the reader's copy, published {age} ago ({moment(published)}); more is loaded since. "
            "Bring it up to date: ingest reader publish"
        )
    return {"published": published, "is_current": is_current}


def _state(connection: Any, source: Source, name: Name, data: Path, now: datetime) -> _State:
    at = Looked(connection, source.name, name[1], source.endpoints[name[1]], now)
    known = at.rows(
        "SELECT max_by(partition, (coalesce(until_time, '-infinity'), partition)) FILTER (loaded IS NOT NULL), "
        "max(ended), count(*) FILTER (loaded IS NOT NULL) "
        "FROM _ingest.fetches WHERE source = ? AND endpoint = ?",
        *name,
    )[0]
    partition, ended, loads = known
    problems = [f"{check}: {found.problem}" for check in looks(at.endpoint) if (found := look(check, at)).problem]
    if not loads:
        # One finding says it all; that every check fails on a table that is not there would hide it.
        problems = [f"nothing is loaded. Next: ingest run {'.'.join(name)}"] if not ended else _first(problems)
    stored = Snapshots(data / "raw").fetches(*name)
    damaged = {s.fetch: error for s in stored if (error := s.unknown) is not None}
    problems += _left_alone(at) + [str(error) for error in damaged.values()]
    problems += _unfinished([s for s in stored if s.fetch not in damaged])
    problems += _unloaded(at, source, data, frozenset(damaged))
    rows = at.rows(f"SELECT count(*) FROM {at.table}")[0][0] if loads else None  # noqa: S608 -- quoted
    (received, expected, expected_is), *_ = at.rows(
        f"SELECT received - duplicates, expected, {EXPECTED_IS} FROM _ingest.fetches AS f WHERE source = ? "  # noqa: S608 -- ours
        "AND endpoint = ? "
        "AND loaded IS NOT NULL ORDER BY _fetch DESC LIMIT 1",
        *name,
    ) or [(None, None, None)]
    return _State(rows, partition, ended, tuple(problems), _is_open(at, partition), received, expected, expected_is)


def _left_alone(at: Looked) -> list[str]:
    """That its API is not to be asked before a time, unless something was loaded since it said so."""
    found = at.rows(
        # A copy that was published by a former version has no such column.
        "SELECT f.problem, (to_json(f) ->> '$.until')::TIMESTAMPTZ AS until FROM _ingest.failures AS f "
        "WHERE f.source = $1 AND f.endpoint = $2 AND until > $3 AND NOT EXISTS "
        "(FROM _ingest.fetches AS g WHERE g.source = $1 AND g.endpoint = $2 AND g.loaded > f.failed) "
        "ORDER BY until DESC LIMIT 1",
        at.source,
        at.name,
        at.now,
    )
    return [f"left alone: {problem}" for problem, _ in found]


def _is_open(at: Looked, partition: str | None) -> bool:
    """Whether a partition was fetched while its period was running."""
    found = at.rows(
        "SELECT verdict FROM _ingest.fetches WHERE source = ? AND endpoint = ? AND partition = ? "
        "AND loaded IS NOT NULL ORDER BY _fetch DESC LIMIT 1",
        at.source,
        at.name,
        partition,
    )
    return found == [("open",)]


def _newest(state: _State) -> str | None:
    return f"{state.newest_partition} (open)" if state.is_open else state.newest_partition


def _came(state: _State) -> str | None:
    """How many records the newest load brought, and how many the API says there are."""
    if state.expected is None or state.received is None:
        return None
    return f"{state.received:,} of {Expected(state.expected, state.expected_is or 'exactly')}"


def _first(problems: Sequence[str]) -> list[str]:
    """Of an endpoint that was fetched in vain: why, and not that its table is not there."""
    return ([problem for problem in problems if problem.startswith(("complete:", "loaded:"))] or [*problems])[:1]


def _looked(state: _State) -> str:
    return "never" if state.last_look is None else state.last_look.strftime("%Y-%m-%d %H:%M")


def _unfinished(stored: Sequence[Snapshot]) -> list[str]:
    """Walks that began and did not end: the next run of their partition goes on with them."""
    newest = {s.manifest.partition: s for s in stored}
    going = [s for s in newest.values() if s.manifest.ended is None]
    return [
        f"fetch {s.fetch}{f' of {s.manifest.partition}' if s.manifest.partition else ''} began "
        f"{s.manifest.started:%Y-%m-%d %H:%M} and has not ended: it is running, or goes on at page {len(s.pages)} with "
        f"the next run"
        for s in going
    ]


def _unloaded(at: Looked, source: Source, data: Path, damaged: frozenset[int]) -> list[str]:
    """Partitions of which something is stored and not loaded, though nobody can be about to load it."""
    line = opened(source, "", data)
    fetches = ledger.fetches(at.connection, at.source, at.name, database="warehouse")
    waiting, loader = line.unloaded(at.name, fetches, damaged), line.loader(at.name, damaged)
    newest = {partition: loader.newest(partition) for partition in waiting}
    ended = [p for p, s in newest.items() if s and s.manifest.ended and s.manifest.ended.at < at.now - _LOADING]
    told = refusals(at)  # the check `loaded` says why
    left = [partition for partition in ended if partition not in told]
    if not left:
        return []
    which = f"{len(left):,} partitions are" if len(left) > 1 else f"{left[0]} is" if left[0] else "it is"
    return [f"loaded: {which} stored and not loaded. Next: ingest rebuild (it sends no request)"]
