"""Another partitioning: what is kept of the former one is given up as a whole, and kept aside.

plan      what there is of it; nothing is written
migrate   under the partitions' locks: the tables go, the responses are moved to the archive, Dagster forgets
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest_assets.assets.launch import forget
from ingest_assets.assets.plan import Name
from ingest_assets.assets.resources import Api
from ingest_assets.commands.output import Output
from ingest_assets.line import Line
from ingest_assets.load import partitioning
from ingest_assets.load.partitioning import Kept
from ingest_assets.source import Source

_WAIT_SECONDS = 30


@dataclass(frozen=True)
class Migration:
    """What `ingest migrate` would do: give up all that is kept, since `foreign` do not fit the file."""

    line: Line
    name: Name
    kept: tuple[Kept, ...]
    foreign: tuple[Kept, ...]

    @property
    def label(self) -> str:
        """The endpoint, as people name it."""
        return ".".join(self.name)


def plan(source: Source, name: Name, data: Path) -> Migration:
    """What is kept of an endpoint, and what of it does not fit the file."""
    line = Api(data=str(data)).line(source, "migrate")
    kept = line.kept(name[1])
    return Migration(line, name, tuple(kept), tuple(partitioning.foreign(source.endpoints[name[1]], kept)))


def show(migration: Migration, out: Output) -> dict[str, Any]:
    """Print what would be done; gives the same as a document."""
    endpoint = migration.line.source.endpoints[migration.name[1]]
    told = {"endpoint": migration.label, "fetches": len(migration.kept), "foreign": len(migration.foreign)}
    if not migration.foreign:
        out.console.print(
            f"{migration.label}: all that is kept is of {partitioning.said(endpoint)}: nothing to migrate"
        )
        return told
    print_ = out.console.print
    print_(f"{migration.label}: {partitioning.problem(endpoint, list(migration.foreign))}.\n")
    print_(
        f"ingest migrate gives all {len(migration.kept):,} up. The table and its child tables are removed; the stored "
        f"responses are moved to {migration.line.archive}, and count no more; Dagster forgets what it showed. The next "
        f"run fetches anew: ingest run {migration.label}{_since(migration)}",
    )
    return told


def _since(migration: Migration) -> str:
    """The beginning of what is given up, where the new partitions can be told to begin there."""
    began = [lower for lower in (one.bounds[0] for one in migration.kept) if lower is not None]
    periods = migration.line.source.endpoints[migration.name[1]].periods
    return f" --from {max(periods.key(min(began)), periods.first)}" if periods and began else ""


def migrate(migration: Migration, out: Output, *, wait_seconds: float = _WAIT_SECONDS) -> None:
    """Do what the plan says. Locked where another process holds a partition."""
    line, endpoint = migration.line, migration.name[1]
    with ExitStack() as locks:
        for partition in sorted({one.partition for one in migration.kept}, key=str):
            locks.enter_context(line.partition(endpoint, partition, wait_seconds=wait_seconds))
        archived = line.abandon(endpoint)
    line.publish()
    forget(migration.name)
    where = f"; its responses are in {archived}" if archived else ""
    out.console.print(f"Given up: {len(migration.kept):,} fetches of {migration.label}{where}")
    out.console.print(f"Next: ingest run {migration.label}{_since(migration)}")
