"""Runs with a person watching, and what they came to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Name, Range, Wanted, having, plan, stages
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import TerminalWatcher, note, table
from ingest_assets.errors import ConfigError, IngestError, StorageFailed
from ingest_assets.load.due import Members
from ingest_assets.load.ledger import Fetch, by_the_clock
from ingest_assets.load.warehouse import Warehouse as DuckDB
from ingest_assets.load.warehouse import quoted
from ingest_assets.source import Source, listed

NOTHING: Mapping[str, Any] = {"runs": [], "endpoints": [], "failures": [], "later": {}}
"""The document of a run that had nothing to do."""
_NOTHING_DUE = "Nothing is due: all that was asked for is complete. Fetch it anyway by --again"


@dataclass(frozen=True)
class Outcome:
    """Whether all went well, and what failed; `told` is the same as a document."""

    succeeded: bool
    failures: tuple[IngestError, ...]
    told: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def fetches(data: Path, sources: Mapping[str, Source], name: Name) -> Sequence[Fetch]:
    """What the warehouse knows of an endpoint's fetches; ConfigError where they are of other partitions."""
    line = Api(data=str(data)).line(sources[name[0]], "")
    line.refuse_changed(name[1])
    return [by_the_clock(fetch, line.now()) for fetch in line.fetches(name[1])]


def members(data: Path, sources: Mapping[str, Source], name: Name) -> Members:
    """The values of an endpoint's dimensions that other endpoints list."""
    line = Api(data=str(data)).line(sources[name[0]], "")
    found = line.members(name[1])
    for dimension, told in listed(sources[name[0]].endpoints[name[1]]).items():
        if not found[dimension] and not any(fetch.loaded for fetch in line.fetches(told.endpoint)):
            raise ConfigError(
                f"{'.'.join(name)}: its partitions are listed by {name[0]}.{told.endpoint}, which is not loaded yet. "
                f"Next: ingest run {name[0]}.{told.endpoint}"
            )
    return found


@dataclass
class Planned:
    """The ranges of a command, stage by stage: what one endpoint lists decides the partitions of another.

    `planned` gives the ranges of some endpoints. What a later stage cannot plan is kept in `problems`.
    """

    stages: Sequence[Sequence[Name]]
    planned: Callable[[Sequence[Name]], Sequence[Range]]
    taken: list[Range] = field(default_factory=list)
    problems: list[ConfigError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first = self.planned(self.stages[0]) if self.stages else []

    def __bool__(self) -> bool:
        """Whether there is, or may be, anything to do."""
        return bool(self._first) or len(self.stages) > 1

    def __iter__(self) -> Iterator[Range]:
        for number, names in enumerate(self.stages):
            try:
                ranges = self.planned(names) if number else self._first
            except ConfigError as error:
                self.problems.append(error)
                return
            for wanted in ranges:
                self.taken.append(wanted)
                yield wanted


def planned(data: Path, sources: Mapping[str, Source], names: Sequence[Name], what: Wanted) -> Planned:
    """The ranges that a command means; those of the first stage are planned at once, and may raise ConfigError."""

    def ranges(some: Sequence[Name]) -> Sequence[Range]:
        loaded, there = partial(fetches, data, sources), partial(members, data, sources)
        return plan(sources, some, what, loaded, datetime.now(UTC), there)

    return Planned(stages(sources, having(sources, names, what.by)), ranges)


def tell_left_out(sources: Mapping[str, Source], names: Sequence[Name], what: Wanted, out: Output) -> None:
    """Say which of the endpoints have no periods, where periods were named: they are not fetched.

    ConfigError where none of them has any.
    """
    if what.first is None and what.last is None:
        return
    found = [".".join(name) for name in names if sources[name[0]].endpoints[name[1]].periods is None]
    if len(found) == len(names):
        it_has = "it has" if len(found) == 1 else "they have"
        raise ConfigError(f"{', '.join(found)}: {it_has} no days to name one of. Next: ingest run {' '.join(found)}")
    if found:
        told = f"Left out, as they have no days: {', '.join(found)}. Next: ingest run {' '.join(found)}"
        out.progress.print(note("!", told, "yellow"))


def run(
    sources: Mapping[str, Source],
    ranges: Sequence[Range] | Planned,
    data: Path,
    out: Output,
    *,
    since: str = "",
    tables_only: bool = False,
    newest: bool = False,
) -> Outcome:
    """Materialize these ranges, show how they get on, then what became of each endpoint.

    `tables_only` replays what is stored, and sends no request. `newest` goes before backfills.
    """
    outcome = ran(sources, ranges, data, out, since=since, tables_only=tables_only, newest=newest)
    out.document(outcome.told, ok=outcome.succeeded and not outcome.failures)
    return outcome


def ran(
    sources: Mapping[str, Source],
    ranges: Sequence[Range] | Planned,
    data: Path,
    out: Output,
    *,
    since: str = "",
    tables_only: bool = False,
    newest: bool = False,
) -> Outcome:
    """The same without the document, for who does more and tells of it at its end."""
    DuckDB(data).refuse_lost()
    with TerminalWatcher(out.progress) as watcher:
        stop = watcher.interrupts.check
        done = materialize(sources, ranges, data, watcher, stop, since=since, tables_only=tables_only, newest=newest)
    taken, problems = (ranges.taken, ranges.problems) if isinstance(ranges, Planned) else (ranges, [])
    if not taken and not problems:
        out.console.print(_NOTHING_DUE)
        return Outcome(True, ())
    results = _results(data, done.runs, list(dict.fromkeys(n for wanted in taken for n in wanted.endpoints)))
    out.console.print()
    _print_results(results, out)
    # Each endpoint tells of the reader's copy that all of them share.
    found = list({str(failure): failure for failure in (*watcher.failures, *problems)}.values())
    for failure in found:
        out.console.print(note("✗", str(failure), "red"))
    for source, number in done.later.items():
        more = "1 more run was" if number == 1 else f"{number} more runs were"
        out.console.print(note("!", f"{source}: {more} not begun: run again after that", "yellow"))
    watcher.interrupts.check()
    failures = [{"kind": type(failure).__name__, "message": str(failure)} for failure in found]
    told = {"runs": done.runs, "endpoints": results, "failures": failures, "later": dict(done.later)}
    return Outcome(done.succeeded and not found, tuple(found), told)


def nothing(out: Output) -> None:
    """Say that nothing is due."""
    out.console.print(_NOTHING_DUE)
    out.document(NOTHING)


def _results(data: Path, runs: Sequence[str], names: Sequence[Name]) -> list[dict[str, Any]]:
    """What became of these endpoints in these runs; rows are those that the tables have now."""
    try:
        with Warehouse(data=str(data)).reading() as connection:
            found = [_result(connection, name, runs) for name in names]
    except StorageFailed:
        return []
    return [result for result in found if result is not None]


def _print_results(results: Sequence[Mapping[str, Any]], out: Output) -> None:
    # Broken where 80 columns need it.
    counts = ("parti-\ntions", "re-\nquests", "records", "rows", "child\nrows", "quaran-\ntined")
    columns = ("endpoint", *counts, "verdict", "seconds")
    if results:
        out.console.print(table(columns, [tuple(result.values()) for result in results]))


def _result(connection: Any, name: Name, runs: Sequence[str]) -> dict[str, Any] | None:
    done = connection.execute(
        "SELECT count(DISTINCT coalesce(partition, '')), sum(requests)::BIGINT, sum(received)::BIGINT, "
        "sum(quarantined)::BIGINT, string_agg(DISTINCT verdict, ', ' ORDER BY verdict), "
        "sum(epoch(ended - started) + coalesce(load_seconds, 0)) "
        "FROM _ingest.fetches WHERE source = $1 AND endpoint = $2 AND list_contains($3, coalesce(loaded_run, run))",
        [*name, list(runs)],
    ).fetchone()
    if not done or not done[0]:
        return None
    counts = _counts(connection, name)
    rows, children = counts.pop(name[1], 0), sum(counts.values())
    partitions, requests, records, quarantined, verdict, seconds = done
    return {
        "endpoint": ".".join(name),
        "partitions": partitions,
        "requests": requests,
        "records": records,
        "rows": rows,
        "child_rows": children,
        "quarantined": quarantined,
        "verdict": verdict,
        "seconds": seconds,
    }


def _counts(connection: Any, name: Name) -> dict[str, int]:
    """How many rows the table of an endpoint and those of its lists have."""
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? "
        "AND (table_name = ? OR starts_with(table_name, ?))",
        [name[0], name[1], f"{name[1]}__"],
    ).fetchall()
    tables = {table: f"{quoted(name[0])}.{quoted(table)}" for (table,) in found}
    return {
        table: connection.execute(f"SELECT count(*) FROM {full}").fetchone()[0]  # noqa: S608 -- quoted
        for table, full in tables.items()
    }
