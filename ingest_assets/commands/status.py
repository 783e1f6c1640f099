"""One screen on all that is loaded: what is incomplete, in quarantine, late or out of date, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest_assets.assets.plan import Name
from ingest_assets.assets.resources import Warehouse
from ingest_assets.commands.terminal import table
from ingest_assets.errors import StorageFailed
from ingest_assets.load.health import Looked, look, looks
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Source


@dataclass(frozen=True)
class _State:
    """What is known of one endpoint."""

    rows: int | None
    newest: str
    looked: str
    problems: tuple[str, ...]


def status(sources: Mapping[str, Source], names: Sequence[Name], data: Path, console: Console) -> bool:
    """Print the screen; whether nothing is wrong."""
    now = datetime.now(UTC)
    try:
        with Warehouse(data=str(data)).reading() as connection:
            states = {name: _state(connection, sources[name[0]], name, data, now) for name in names}
    except StorageFailed:
        console.print("Nothing is loaded yet. Next: ingest run")
        return False
    rows = [(".".join(name), s.rows, s.newest, s.looked, "!" if s.problems else "ok") for name, s in states.items()]
    console.print(table(("endpoint", "rows", "newest partition", "last look", ""), rows))
    problems = [(name, text) for name, state in states.items() for text in state.problems]
    for name, text in problems:
        console.print(f"! {'.'.join(name)}: {text}", markup=False, highlight=False, soft_wrap=True)
    return not problems


def _state(connection: Any, source: Source, name: Name, data: Path, now: datetime) -> _State:
    at = Looked(connection, source.name, name[1], source.endpoints[name[1]], now)
    known = at.rows(
        "SELECT max(partition) FILTER (loaded IS NOT NULL), max(ended), count(*) FILTER (loaded IS NOT NULL) "
        "FROM _ingest.fetches WHERE source = ? AND endpoint = ?",
        *name,
    )[0]
    partition, ended, loads = known
    problems = [f"{check}: {found.problem}" for check in looks(at.endpoint) if (found := look(check, at)).problem]
    if not loads:
        # One finding says it all; that every check fails on a table that is not there would hide it.
        problems = [f"nothing is loaded. Next: ingest run {'.'.join(name)}"] if not ended else problems[:1]
    problems += _unfinished(data, name)
    rows = at.rows(f"SELECT count(*) FROM {at.table}")[0][0] if loads else None  # noqa: S608 -- quoted
    looked = "never" if ended is None else ended.strftime("%Y-%m-%d %H:%M")
    return _State(rows, partition or "", looked, tuple(problems))


def _unfinished(data: Path, name: Name) -> list[str]:
    """Walks that began and did not end: the next run of their partition goes on with them."""
    stored = Snapshots(data / "raw").fetches(*name)
    newest = {s.manifest.partition: s for s in stored}
    going = [s for s in newest.values() if s.manifest.ended is None]
    return [
        f"fetch {s.fetch}{f' of {s.manifest.partition}' if s.manifest.partition else ''} began "
        f"{s.manifest.started:%Y-%m-%d %H:%M} and has not ended: it is running, or goes on at page {len(s.pages)} with "
        f"the next run"
        for s in going
    ]
