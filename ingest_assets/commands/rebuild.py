"""The warehouse from the snapshots, with no request: a lost one as a whole, and of any other what it lacks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ingest_assets.assets.plan import Name
from ingest_assets.commands.output import Output
from ingest_assets.commands.report import tell
from ingest_assets.commands.terminal import note, table
from ingest_assets.errors import IngestError, StorageFailed
from ingest_assets.line import Line, opened
from ingest_assets.load import rebuild as building
from ingest_assets.locks import held
from ingest_assets.raw.snapshots import Manifest, Snapshots
from ingest_assets.source import Source

_RUN = "rebuild"
_SHOWN = 10
_COLUMNS = ("endpoint", "partitions", "fetches", "records")


@dataclass
class _Done:
    """What was loaded of each endpoint, and what could not be."""

    partitions: Counter[Name] = field(default_factory=Counter)
    fetches: Counter[Name] = field(default_factory=Counter)
    records: Counter[Name] = field(default_factory=Counter)
    left_out: list[Name] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    failures: list[IngestError] = field(default_factory=list)
    in_place: bool = True

    def fail(self, error: IngestError) -> None:
        """Note what could not be loaded, once: a damaged file is met by all that look into it."""
        if str(error) not in map(str, self.failures):
            self.failures.append(error)

    @property
    def rows(self) -> list[tuple[str, int, int, int]]:
        """What was loaded, an endpoint a row."""
        names = sorted({*self.partitions, *self.fetches})
        return [(".".join(n), self.partitions[n], self.fetches[n], self.records[n]) for n in names]

    @property
    def well(self) -> bool:
        """Whether all that is stored is loaded."""
        return not self.failures and not self.left_out


def rebuild(sources: Mapping[str, Source], data: Path, out: Output, *, partial: bool = False) -> bool:
    """Load all that is stored and not loaded; whether nothing is left out.

    A lost warehouse is put in place once all of it is loaded; with `partial`, without what could not be.
    """
    with held(data / "locks" / "rebuild.lock", "ingest rebuild", 0):
        snapshots, done = Snapshots(data / "raw"), _Done()
        stored = list(snapshots.endpoints())
        there = stored or building.site(data) != data
        lines = _filled(sources, data, stored, done, out, partial=partial) if there else {}
    _print(done, out, partial=partial)
    if done.in_place and lines:
        tell(sources, list(lines), data, out)
    out.document(_told(done), ok=done.well)
    return done.well


def _filled(
    sources: Mapping[str, Source], data: Path, stored: list[Name], done: _Done, out: Output, *, partial: bool
) -> dict[Name, Line]:
    """The lines of what is stored, after they have loaded it; `done` tells how that went."""
    snapshots, folder = Snapshots(data / "raw"), building.site(data)
    building.tell(folder, snapshots, _manifests(snapshots, done))
    lines = _lines(sources, data, folder, stored)
    done.left_out += sorted(set(stored) - lines.keys())
    # Without `partial`, a partition with a fetch that cannot be read is refused as a whole.
    _load(lines, done, out, partial=partial)
    done.in_place = folder == data or partial or not done.failures
    if done.in_place:
        building.finish(data, folder)
    return lines


def _lines(sources: Mapping[str, Source], data: Path, folder: Path, stored: list[Name]) -> dict[Name, Line]:
    """The line of each stored endpoint that a source file names; it loads into the warehouse of `folder`."""
    known = [name for name in stored if name[0] in sources and name[1] in sources[name[0]].endpoints]
    by_source = {source: opened(sources[source], _RUN, data, warehouse=folder) for source, _ in known}
    return {name: by_source[name[0]] for name in known}


def _manifests(snapshots: Snapshots, done: _Done) -> Iterator[Manifest]:
    for name in snapshots.endpoints():
        for snapshot in snapshots.fetches(*name):
            error = snapshot.unknown
            if error is None:
                yield snapshot.manifest
            else:
                done.damaged.add(snapshot.fetch)
                done.fail(error)


def _load(lines: Mapping[Name, Line], done: _Done, out: Output, *, partial: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out.progress, transient=True) as progress:
        for name, line in lines.items():
            waiting = line.unloaded(name[1], line.fetches(name[1]), frozenset(done.damaged))
            for partition in progress.track(waiting, description=".".join(name)):
                error = _load_one(line, name, partition, done, partial=partial)
                if partial and isinstance(error, StorageFailed) and _found_damaged(line, name, partition, done):
                    error = _load_one(line, name, partition, done, partial=True)
                if error is None:
                    done.partitions[name] += 1
                else:
                    done.fail(error)


def _load_one(line: Line, name: Name, partition: str | None, done: _Done, *, partial: bool) -> IngestError | None:
    """Why it cannot be loaded."""
    try:
        with line.partition(name[1], partition):
            for loaded in line.catch_up(name[1], partition, frozenset(done.damaged) if partial else frozenset()):
                done.fetches[name] += 1
                done.records[name] += loaded.account.received
    except IngestError as error:
        return error
    return None


def _found_damaged(line: Line, name: Name, partition: str | None, done: _Done) -> bool:
    """Whether fetches of a partition turn out to be damaged: pages are read as they are loaded, and not before."""
    loaded = {fetch.fetch for fetch in line.fetches(name[1]) if fetch.loaded}
    before = len(done.damaged)
    for snapshot in line.snapshots.fetches(*name, partition):
        if snapshot.fetch not in loaded | done.damaged and (problems := snapshot.verify()):
            done.damaged.add(snapshot.fetch)
            done.fail(StorageFailed(problems[0]))
    return len(done.damaged) > before


def _print(done: _Done, out: Output, *, partial: bool) -> None:
    if rows := done.rows:
        out.console.print(table(_COLUMNS, rows))
    elif done.well:
        out.console.print("Nothing to do: all that is stored is loaded")
    if left_out := [".".join(name) for name in done.left_out]:
        out.console.print(f"Left out, since no source file names them: {', '.join(left_out)}")
    for failure in done.failures[:_SHOWN]:
        out.console.print(note("✗", str(failure), "red"))
    if len(done.failures) > _SHOWN:
        out.console.print(f"✗ and {len(done.failures) - _SHOWN:,} more", style="red")
    if not done.in_place:
        out.console.print("Nothing is put in place: mend that and run again, or do without it by --partial")
    elif partial and done.failures:
        out.console.print("In place without what is named above: mend that, then run `ingest rebuild` again")


def _told(done: _Done) -> dict[str, Any]:
    failures = [{"kind": type(failure).__name__, "message": str(failure)} for failure in done.failures]
    return {
        "endpoints": [dict(zip(_COLUMNS, row, strict=True)) for row in done.rows],
        "left_out": [".".join(name) for name in done.left_out],
        "failures": failures,
        "in_place": done.in_place,
    }
