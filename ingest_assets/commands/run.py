"""Runs with a person watching, and what they came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Name, Range
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.commands.terminal import TerminalWatcher, table
from ingest_assets.errors import IngestError, StorageFailed
from ingest_assets.load.ledger import Fetch
from ingest_assets.source import Source


@dataclass(frozen=True)
class Outcome:
    """Whether all went well, and what failed."""

    succeeded: bool
    failures: tuple[IngestError, ...]


def fetches(data: Path, sources: Mapping[str, Source], name: Name) -> Sequence[Fetch]:
    """What the warehouse knows of an endpoint's fetches."""
    return Api(data=str(data)).line(sources[name[0]], "").fetches(name[1])


def run(
    sources: Mapping[str, Source],
    ranges: Sequence[Range],
    data: Path,
    console: Console,
    *,
    since: str = "",
    tables_only: bool = False,
) -> Outcome:
    """Materialize these ranges, show how they get on, then what became of each endpoint.

    `tables_only` replays what is stored, and sends no request.
    """
    with TerminalWatcher(console) as watcher:
        done = materialize(
            sources, ranges, data, watcher, watcher.interrupts.check, since=since, tables_only=tables_only
        )
    console.print()
    _print_results(data, done.runs, list(dict.fromkeys(n for wanted in ranges for n in wanted.endpoints)), console)
    for failure in watcher.failures:
        console.print(f"✗ {failure}", markup=False, highlight=False, soft_wrap=True, style="red")
    watcher.interrupts.check()
    return Outcome(done.succeeded, tuple(watcher.failures))


def _print_results(data: Path, runs: Sequence[str], names: Sequence[Name], console: Console) -> None:
    """What became of these endpoints in these runs; rows are those that the tables have now."""
    try:
        with Warehouse(data=str(data)).reading() as connection:
            rows = [_result(connection, name, runs) for name in names]
    except StorageFailed:
        return
    # Broken where 80 columns need it.
    counts = ("parti-\ntions", "re-\nquests", "records", "rows", "child\nrows", "quaran-\ntined")
    columns = ("endpoint", *counts, "verdict", "seconds")
    console.print(table(columns, [row for row in rows if row is not None]))


def _result(connection: Any, name: Name, runs: Sequence[str]) -> tuple[object, ...] | None:
    done = connection.execute(
        "SELECT count(DISTINCT coalesce(partition, '')), sum(requests)::BIGINT, sum(received)::BIGINT, "
        "sum(quarantined)::BIGINT, string_agg(DISTINCT verdict, ', ' ORDER BY verdict), "
        "sum(epoch(ended - started) + coalesce(load_seconds, 0)) "
        "FROM _ingest.fetches WHERE source = $1 AND endpoint = $2 AND list_contains($3, coalesce(loaded_run, run))",
        [*name, list(runs)],
    ).fetchone()
    if not done or not done[0]:
        return None
    counts = dict(
        connection.execute(
            "SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = ? "
            "AND (table_name = ? OR starts_with(table_name, ?))",
            [name[0], name[1], f"{name[1]}__"],
        ).fetchall()
    )
    rows, children = counts.pop(name[1], 0), sum(counts.values())
    partitions, requests, records, quarantined, verdict, seconds = done
    return (".".join(name), partitions, requests, records, rows, children, quarantined, verdict, seconds)
