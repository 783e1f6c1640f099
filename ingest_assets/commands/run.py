"""Materializes endpoints through the Dagster instance, in this process, a run at a time."""

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ingest_assets.assets.names import raw_key, table_key
from ingest_assets.assets.progress import watched
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.commands.plan import Name, Range
from ingest_assets.commands.terminal import TerminalWatcher, table
from ingest_assets.errors import IngestError, Locked, StorageFailed
from ingest_assets.load.ledger import Fetch
from ingest_assets.locks import held
from ingest_assets.source import Source

if TYPE_CHECKING:
    import dagster as dg

_PROCESS_TAG = "ingest/process"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Done:
    """What a command came to: the ids of its runs, whether each succeeded, and what failed."""

    runs: tuple[str, ...]
    succeeded: bool
    failures: tuple[IngestError, ...]


def fetches(data: Path, sources: Mapping[str, Source], name: Name) -> Sequence[Fetch]:
    """What the warehouse knows of an endpoint's fetches."""
    return Api(data=str(data)).line(sources[name[0]], "").fetches(name[1])


def materialize(
    sources: Mapping[str, Source],
    ranges: Sequence[Range],
    data: Path,
    console: Console,
    *,
    since: str = "",
    tables_only: bool = False,
) -> Done:
    """Materialize these ranges; each is a run of its own in Dagster, told on the console while it works.

    `tables_only` replays what is stored, and sends no request.
    """
    import dagster as dg

    known = definitions(sources.values(), Api(data=str(data)), Warehouse(data=str(data)))
    job = known.resolve_implicit_global_asset_job_def()
    runs, succeeded = list[str](), True
    with dg.DagsterInstance.get() as instance, _process(instance, data) as process, TerminalWatcher(console) as watcher:
        for wanted in ranges:
            with watched(watcher):
                result = job.execute_in_process(
                    instance=instance,
                    asset_selection=_keys(wanted, tables_only=tables_only),
                    run_config=_QUIET | _config(wanted, since),
                    tags={_PROCESS_TAG: process} | _days(wanted),
                    raise_on_error=False,
                )
            runs.append(result.run_id)
            succeeded = succeeded and result.success
    return Done(tuple(runs), succeeded, tuple(watcher.failures))


def _keys(wanted: Range, *, tables_only: bool) -> "list[dg.AssetKey]":
    kinds = (table_key,) if tables_only else (raw_key, table_key)
    return [kind(*name) for name in wanted.endpoints for kind in kinds]


def _config(wanted: Range, since: str) -> dict[str, Any]:
    steps = [f"{source}__{endpoint}" for source, endpoint in wanted.endpoints]
    return {"ops": {step: {"config": {"since": since}} for step in steps}} if since else {}


def _days(wanted: Range) -> dict[str, str]:
    if wanted.first is None or wanted.last is None:
        return {}
    return {
        "dagster/asset_partition_range_start": wanted.first,
        "dagster/asset_partition_range_end": wanted.last,
    }


@contextlib.contextmanager
def _process(instance: "dg.DagsterInstance", data: Path) -> Iterator[str]:
    """A name for this process that others can see to be alive; runs of dead ones are told to Dagster as failed.

    A lock that is held stands for life: the kernel gives it back at any death, and a process id may come again.
    """
    folder = data / "locks" / "processes"
    _bury(instance, folder)
    name = uuid.uuid4().hex
    with held(folder / f"{name}.lock", "ingest run", 0):
        try:
            yield name
        finally:
            (folder / f"{name}.lock").unlink(missing_ok=True)


def _bury(instance: "dg.DagsterInstance", folder: Path) -> None:
    import dagster as dg

    going = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(going):
        if (name := run.tags.get(_PROCESS_TAG)) is None:
            continue
        lock = folder / f"{name}.lock"
        with contextlib.suppress(Locked), held(lock, "looking for the dead", 0):
            instance.report_run_failed(run, "Its process died. What it has loaded stays; run again for the rest")
            lock.unlink(missing_ok=True)


def results(data: Path, runs: Sequence[str], names: Sequence[Name], console: Console) -> None:
    """Print what became of these endpoints in these runs; rows are those that the tables have now."""
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
