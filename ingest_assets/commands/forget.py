"""A person's records erased, and kept out: first what would be done, then the doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec.structs import asdict

from ingest_assets.assets.names import table_key
from ingest_assets.assets.plan import Name
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.shown import forget_shown
from ingest_assets.commands.as_of import built
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import counted, table
from ingest_assets.errors import StorageFailed
from ingest_assets.line import Line, trace_file
from ingest_assets.load.erase import Eraser
from ingest_assets.load.erase_key import Key, Stored
from ingest_assets.load.occurs import QUARANTINE, Occurrence, occurrences
from ingest_assets.source import Source


@dataclass(frozen=True)
class Forgetting:
    """What `ingest forget` would do. `done` where it was done before, and nothing of the key is stored."""

    line: Line
    name: Name
    eraser: Eraser
    key: Key
    stored: Stored
    done: bool

    @property
    def label(self) -> str:
        """The endpoint, as people name it."""
        return ".".join(self.name)


def plan(source: Source, name: Name, data: Path, texts: Sequence[str]) -> Forgetting:
    """What is stored of a key; nothing is written. ConfigError where it is no key of this endpoint."""
    line = Api(data=str(data)).line(source, "forget")
    line.warehouse.refuse_lost()
    eraser = line.eraser(name[1])
    key = eraser.key(texts)
    stored, rule = eraser.look(key), eraser.rule(key)
    return Forgetting(line, name, eraser, key, stored, done=rule is not None and rule.done and not stored.records)


def show(forgetting: Forgetting, data: Path, out: Output) -> dict[str, Any]:
    """Print what would be done, and where else the values occur; gives the same as a document."""
    stored, elsewhere = forgetting.stored, _elsewhere(forgetting, data)
    out.console.print(_plan(forgetting))
    if elsewhere:
        out.console.print("\nThe value occurs elsewhere too. To forget it there as well:\n")
        rows = [(one.table, one.column, one.rows, _command(one, forgetting)) for one in elsewhere]
        out.console.print(table(("table", "column", "rows", "next"), rows))
    return {
        "endpoint": forgetting.label,
        "columns": forgetting.key.columns,
        "records": stored.records,
        "pages": stored.pages,
        "fetches": sorted(stored.found),
        "elsewhere": [asdict(one) for one in elsewhere],
    }


def _plan(forgetting: Forgetting) -> str:
    stored, columns = forgetting.stored, ", ".join(forgetting.key.columns)
    if forgetting.done:
        return f"{forgetting.label}: this {columns} is forgotten already; nothing of it is stored, and it stays out"
    if not stored.records:
        return (
            f"Nothing that is stored of {forgetting.label} has this {columns}. With --yes it is kept out of later "
            "fetches all the same, and rows of pages that are not stored any more are erased"
        )
    found = f"{counted(stored.records, 'record')} on {counted(stored.pages, 'page')}"
    return f"""\
ingest forget erases from {forgetting.label}, by its {columns}:

  stored responses   {found} of {counted(len(stored.found), "fetch", "fetches")}: marks take their place
  warehouse          rows, child rows, kept versions, records in quarantine
  copies             free space of the database, reader's copy, tables of other times, what Dagster was shown

Later fetches leave it out, and count it as filtered, until --lift.
Backups are yours to clean."""


def _elsewhere(forgetting: Forgetting, data: Path) -> list[Occurrence]:
    """Where the values occur but in the key's own columns; nothing before the first load."""
    try:
        with Warehouse(data=str(data)).reading() as connection:
            found = occurrences(connection, forgetting.key.values)
    except StorageFailed:
        return []
    own = {*forgetting.key.columns, QUARANTINE}
    return [one for one in found if one.table != forgetting.label or one.column not in own]


def _command(one: Occurrence, forgetting: Forgetting) -> str:
    if one.column == QUARANTINE:
        return f"ingest quarantine show {one.table}"
    source, _, name = one.table.partition(".")
    root = name.partition("__")[0]
    if root != name:
        return f"by a column of {source}.{root}"
    return f"ingest forget {one.table} {one.column}={forgetting.key.values[0]}"


def forget(forgetting: Forgetting, data: Path, out: Output) -> None:
    """Do what the plan says, and print what came of it; Locked where another process holds a partition: again later."""
    line, now = forgetting.line, datetime.now(UTC)
    forgetting.eraser.erase(forgetting.key, forgetting.stored, now)
    line.publish()
    for file in built(data, forgetting.name):
        file.unlink()
    shown = forget_shown(table_key(*forgetting.name))
    _forget_requests(trace_file(data, line.source.name), forgetting)
    if swept := line.sweep():
        forgetting.eraser.finish(forgetting.key, forgetting.stored, now)
    records = counted(forgetting.stored.records, "record")
    told = f"{records} of {forgetting.label}, and what {counted(shown, 'event')} in Dagster showed"
    out.console.print(f"Forgotten: {told}. It stays out from now on")
    if not swept:
        out.console.print("! A load is going on: what a dead one may have left in staging/ stays. Run this again later")


def _forget_requests(trace: Path, forgetting: Forgetting) -> None:
    """Requests hold keys as cursors: the files of a trace that does are removed."""
    texts = {text for values in (forgetting.key.values, *forgetting.stored.writings) for text in values}
    for file in (trace, trace.with_name(f"{trace.name}.1")):
        if file.exists() and any(
            text in (found := file.read_text(errors="replace")) or quote(text, safe="") in found for text in texts
        ):
            file.unlink()


def lift(source: Source, name: Name, data: Path, texts: Sequence[str], out: Output) -> None:
    """Let a forgotten key in again."""
    eraser = Api(data=str(data)).line(source, "forget").eraser(name[1])
    key = eraser.key(texts)
    lifted = eraser.lift(key)
    what = "comes in again from the next fetch on" if lifted else "was not forgotten"
    out.console.print(f"{'.'.join(name)}: this {', '.join(key.columns)} {what}")
    out.document({"endpoint": ".".join(name), "columns": key.columns, "lifted": lifted})
