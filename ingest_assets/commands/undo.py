"""Back to the state before a fetch: it is given up for good, and the tables are those of the others.

plan     which fetches, and what is left without them; nothing is written
undo     under the partitions' locks: give them up, load what is left, publish, tell Dagster
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest_assets.assets.launch import catch_up, untold_undone
from ingest_assets.assets.plan import Name
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import counted, table
from ingest_assets.errors import ConfigError, StorageFailed, TransientFailure
from ingest_assets.line import Line
from ingest_assets.load.load import LOADABLE
from ingest_assets.load.warehouse import quoted
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Source

_REASON = "undone by `ingest undo`"
_CHOICES = 5
_WAIT_SECONDS = 30


@dataclass(frozen=True)
class Undoing:
    """What `ingest undo` would do: give up `fetches`, oldest first; `left` are those that stay.

    `interrupted` is where somebody died while undoing: that is brought to its end, and nothing else is given up.
    """

    line: Line
    name: Name
    fetches: tuple[Snapshot, ...]
    left: tuple[Snapshot, ...]
    interrupted: bool = False

    @property
    def label(self) -> str:
        """The endpoint, as people name it."""
        return ".".join(self.name)


def plan(source: Source, name: Name, data: Path, fetch: int | None, partition: str | None) -> Undoing | None:
    """The newest fetch of an endpoint or of one of its partitions, or the one with this number; None where it is done.

    Of a feed, all that came after it goes too: each begins where the one before it ended. ConfigError where there is
    no such fetch; StorageFailed where the tables could not be made again from the others.
    """
    line = Api(data=str(data)).line(source, "undo")
    if begun := _begun(line, name, data):
        return Undoing(line, name, tuple(begun), tuple(_counting(line, name)), interrupted=True)
    counting = _counting(line, name)
    if fetch is not None and _is_given_up(line, name, fetch):
        tell(line, name, data)
        return None
    chosen = _chosen(source, name, counting, fetch, partition)
    _refuse_missing(line, name)
    given_up = {snapshot.fetch for snapshot in chosen}
    return Undoing(line, name, tuple(chosen), tuple(s for s in counting if s.fetch not in given_up))


def _begun(line: Line, name: Name, data: Path) -> list[Snapshot]:
    """Fetches that somebody died while undoing: they are loaded still, or Dagster takes them for loaded."""
    untold = untold_undone(line.source, name[1], data)
    return line.undone(name[1]) or [s for s in line.snapshots.fetches(*name) if s.fetch in untold]


def _counting(line: Line, name: Name) -> list[Snapshot]:
    """The stored fetches that are loaded, will be, or are going on."""
    stored = line.snapshots.fetches(*name)
    return [s for s in stored if s.manifest.ended is None or s.manifest.ended.verdict in LOADABLE]


def _is_given_up(line: Line, name: Name, fetch: int) -> bool:
    given_up = {s.fetch for s in line.snapshots.fetches(*name) if s.manifest.ended}
    return fetch in given_up - {snapshot.fetch for snapshot in _counting(line, name)}


def _chosen(
    source: Source, name: Name, counting: Sequence[Snapshot], fetch: int | None, partition: str | None
) -> list[Snapshot]:
    label = ".".join(name)
    of = [s for s in counting if partition is None or s.manifest.partition == partition]
    if not of:
        of_partition = f" of {partition}" if partition is not None else ""
        raise ConfigError(f"{label}: no fetch{of_partition} is stored that could be undone")
    if fetch is None:
        return of[-1:]
    if fetch not in {snapshot.fetch for snapshot in of}:
        newest = ", ".join(str(snapshot.fetch) for snapshot in of[: -_CHOICES - 1 : -1])
        raise ConfigError(f"{label}: there is no fetch {fetch} that could be undone; the newest are {newest}")
    (named,) = {snapshot.manifest.partition for snapshot in of if snapshot.fetch == fetch}
    later = source.endpoints[name[1]].feed is not None
    same = [snapshot for snapshot in of if snapshot.manifest.partition == named]
    return [snapshot for snapshot in same if snapshot.fetch == fetch or (later and snapshot.fetch > fetch)]


def _refuse_missing(line: Line, name: Name) -> None:
    """Before anything is given up: where loaded fetches are not stored, their rows could not be made again."""
    stored = {snapshot.fetch for snapshot in line.snapshots.fetches(*name)}
    missing = [fetch.fetch for fetch in line.fetches(name[1]) if fetch.loaded and fetch.fetch not in stored]
    if missing:
        raise StorageFailed(
            f"{'.'.join(name)}: the stored pages of fetch {missing[0]} are missing, so the table could not be made "
            "again without another fetch; nothing is undone. Restore the folder from a backup"
        )


def show(undoing: Undoing, data: Path, out: Output) -> dict[str, Any]:
    """Print what would be done; gives the same as a document."""
    rows = _rows(undoing, data)
    told = [_told(snapshot, rows.get(snapshot.fetch, 0)) for snapshot in undoing.fetches]
    begun = "began, and did not finish, to give" if undoing.interrupted else "gives"
    out.console.print(f"ingest undo {begun} up for good, of {undoing.label}:\n")
    columns = ("fetch", "partition", "began", "verdict", "records", "rows in the table")
    out.console.print(table(columns, [tuple(_cells(one)) for one in told]))
    out.console.print(f"\n{_consequence(undoing)}")
    return {"endpoint": undoing.label, "fetches": told, "left": len(undoing.left), "interrupted": undoing.interrupted}


def _told(snapshot: Snapshot, rows: int) -> dict[str, Any]:
    end = snapshot.manifest.ended
    return {
        "fetch": snapshot.fetch,
        "partition": snapshot.manifest.partition,
        "started": snapshot.manifest.started,
        "verdict": end.verdict if end else "unfinished",
        "records": end.records if end else None,
        "rows": rows,
    }


def _cells(told: Mapping[str, Any]) -> list[object]:
    return [f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value for value in told.values()]


def _consequence(undoing: Undoing) -> str:
    text = (
        "Their responses stay on disk and count no more. The tables are made again from "
        f"{counted(len(undoing.left), 'fetch', 'fetches')} that stay; no request is sent."
    )
    left = {snapshot.manifest.partition for snapshot in undoing.left}
    gone = [p for p in dict.fromkeys(s.manifest.partition for s in undoing.fetches) if p not in left]
    if undoing.line.source.endpoints[undoing.name[1]].feed is not None:
        return f"{text} The feed goes back to where it was before them: the next run fetches from there."
    if not gone:
        return f"{text} What was fetched before them counts again."
    named = f" of {', '.join(str(partition) for partition in gone)}" if gone != [None] else ""
    return f"{text} Nothing else is kept{named}: the next run fetches it again."


def _rows(undoing: Undoing, data: Path) -> dict[int, int]:
    """How many rows of the table each fetch has, as last published."""
    source, endpoint = undoing.name
    try:
        with Warehouse(data=str(data)).reading() as connection:
            there = connection.execute(
                "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? AND NOT internal",
                [source, endpoint],
            ).fetchall()
            query = f"SELECT _fetch, count(*) FROM {quoted(source)}.{quoted(endpoint)} GROUP BY 1"  # noqa: S608 -- quoted
            return dict(connection.execute(query).fetchall()) if there else {}
    except StorageFailed:
        return {}


def undo(undoing: Undoing, data: Path, out: Output, *, wait_seconds: float = _WAIT_SECONDS) -> None:
    """Do what the plan says, and print what came of it. Locked where another process holds a partition.

    TransientFailure where fetches came or went since the plan was made.
    """
    line, endpoint = undoing.line, undoing.name[1]
    with ExitStack() as locks:
        for partition in sorted({s.manifest.partition for s in undoing.fetches}, key=str):
            locks.enter_context(line.partition(endpoint, partition, wait_seconds=wait_seconds))
        _refuse_changed(undoing)
        line.undo(endpoint, undoing.fetches, _REASON)
    tell(line, undoing.name, data)
    fetches = ", ".join(str(snapshot.fetch) for snapshot in undoing.fetches)
    rows = sum(_rows(undoing, data).values())
    out.console.print(f"Undone: fetch {fetches}. {undoing.label} has {rows:,} rows")


def tell(line: Line, name: Name, data: Path) -> None:
    """Readers and Dagster what is so by now, where they do not know it yet."""
    line.publish()
    catch_up({name[0]: line.source}, [name], data)


def _refuse_changed(undoing: Undoing) -> None:
    partitions = {snapshot.manifest.partition for snapshot in undoing.fetches}
    seen = undoing.left if undoing.interrupted else (*undoing.left, *undoing.fetches)
    now = _counting(undoing.line, undoing.name)
    before, after = ({s.fetch for s in some if s.manifest.partition in partitions} for some in (seen, now))
    if before != after:
        raise TransientFailure(f"{undoing.label}: another process fetched or undid in the meantime; look again")
