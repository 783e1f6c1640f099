"""Whether every stored response is what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from ingest_assets.commands.output import Output
from ingest_assets.commands.stored import stored
from ingest_assets.commands.terminal import note
from ingest_assets.raw.snapshots import Snapshots


def verify(data: Path, names: Sequence[str], out: Output) -> bool:
    """Read all that is stored of these sources or endpoints, also of those whose file is gone; whether all is well."""
    snapshots = Snapshots(data / "raw")
    chosen = stored(snapshots, names)
    fetches = [snapshot for name in chosen for snapshot in snapshots.fetches(*name)]
    found = [s.verify() for s in track(fetches, "reading", console=out.progress, transient=True)]
    problems = [problem for of_one in found for problem in of_one]
    for problem in problems:
        out.console.print(note("✗", problem))
    forgotten = 0 if problems else sum(snapshot.forgotten for snapshot in fetches)
    told = f", {forgotten:,} pages with forgotten records" if forgotten else ""
    damaged = sum(map(bool, found))
    out.console.print(f"{len(fetches):,} fetches of {len(chosen):,} endpoints, {damaged:,} damaged{told}")
    counts = {"fetches": len(fetches), "endpoints": len(chosen), "forgotten_pages": forgotten}
    out.document(counts | {"damaged": problems}, ok=not problems)
    return not problems
