"""A table as it was at a time, in a database of its own: from the fetches that had ended by then, with no request."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ingest_assets.assets.plan import Name
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import counted, moment
from ingest_assets.errors import ConfigError, StorageFailed, TooManyGone
from ingest_assets.line import Line, opened
from ingest_assets.load.load import LOADABLE
from ingest_assets.locks import held
from ingest_assets.raw.paths import encoded
from ingest_assets.source import Source

_MOMENT_LENGTH = len("20260131T000000Z.duckdb")


def as_of(source: Source, name: Name, at: datetime, data: Path, out: Output) -> None:
    """Build the table of an endpoint, and its child tables, under today's contract; the present ones stay as they are.

    ConfigError where nothing had been fetched by then; StorageFailed where fetches of then are not stored any more.
    """
    label, folder = ".".join(name), data / "as-of"
    line = opened(source, "as-of", data)
    ended = [s for s in line.snapshots.fetches(*name) if s.manifest.ended and s.manifest.ended.at <= at]
    _refuse_missing(line, name, at, {one.fetch for one in ended})
    stored = [s for s in ended if s.manifest.ended and s.manifest.ended.verdict in LOADABLE]
    if not stored:
        raise ConfigError(f"{label}: no fetch had ended by {moment(at)}")
    # DuckDB takes the file's name for the database's, which must not be that of the schema.
    target = folder / encoded(name[0]) / f"{encoded(name[1])}-{at:%Y%m%dT%H%M%SZ}.duckdb"
    with held(folder / "building.lock", f"building {target.name}", 0):
        building = replace(opened(source, "as-of", data, warehouse=folder / "building"), as_of=at)
        shutil.rmtree(folder / "building", ignore_errors=True)  # of a process that died
        partitions = dict.fromkeys(one.manifest.partition for one in stored)
        refused = [fetch for partition in partitions for fetch in _load(line, building, name[1], partition)]
        loaded = {fetch.fetch for fetch in building.fetches(name[1]) if fetch.loaded}
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        building.warehouse.writer.replace(target)
        shutil.rmtree(folder / "building")
    ends = [one.manifest.ended for one in stored if one.fetch in loaded]
    fetches, rows = len(ends), sum(end.records for end in ends if end is not None)
    out.console.print(
        f"{label} as of {moment(at)}, from {counted(fetches, 'fetch', 'fetches')} ({rows:,} records): {target}\n"
        "The present tables are as they were"
    )
    for fetch in refused:
        out.console.print(f"! Fetch {fetch} is refused for what it would delete: nothing of it is in the table")
    out.document({"endpoint": label, "as_of": at, "fetches": fetches, "records": rows, "file": str(target)})


def _load(line: Line, building: Line, endpoint: str, partition: str | None) -> list[int]:
    """Load a partition, and give the fetch that is refused for what it would delete, if one is."""
    try:
        with line.partition(endpoint, partition):
            list(building.catch_up(endpoint, partition))
    except TooManyGone as refusal:
        return [refusal.fetch]
    return []


def built(data: Path, name: Name) -> list[Path]:
    """The files of an endpoint's tables of other times."""
    folder, prefix = data / "as-of" / encoded(name[0]), f"{encoded(name[1])}-"
    there = folder.iterdir() if folder.is_dir() else ()
    return [file for file in there if file.name.startswith(prefix) and len(file.name) == len(prefix) + _MOMENT_LENGTH]


def _refuse_missing(line: Line, name: Name, at: datetime, stored: set[int]) -> None:
    """What was pruned since may have been the newest version of something then."""
    known = line.fetches(name[1]) if line.warehouse.writer.exists() else []
    # A warehouse that was rebuilt never heard of what was pruned before.
    ended = line.snapshots.notes.pruned(*name) | {f.fetch: f.ended for f in known if f.loaded and f.ended is not None}
    missing = sorted(fetch for fetch, then in ended.items() if then <= at and fetch not in stored)
    if missing:
        many = counted(len(missing), "fetch", "fetches")
        raise StorageFailed(
            f"{'.'.join(name)}: {many} that had ended by {moment(at)}, such as {missing[0]}, are not stored any more "
            "(ingest prune): the table of then cannot be told. Restore them from a backup"
        )
