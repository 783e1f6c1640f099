"""Whether every stored response is what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ingest_assets.raw.snapshots import Snapshots


def verify(data: Path, names: Sequence[str], console: Console) -> bool:
    """Read all that is stored of these sources or endpoints, also of those whose file is gone; whether all is well."""
    snapshots = Snapshots(data / "raw")
    chosen = [
        (source, endpoint)
        for source, endpoint in snapshots.endpoints()
        if not names or source in names or f"{source}.{endpoint}" in names
    ]
    stored = [snapshot for name in chosen for snapshot in snapshots.fetches(*name)]
    problems = [p for s in track(stored, "reading", console=console, transient=True) for p in s.verify()]
    for problem in problems:
        console.print(f"✗ {problem}", markup=False, soft_wrap=True)
    console.print(f"{len(stored):,} fetches of {len(chosen):,} endpoints, {len(problems):,} damaged")
    return not problems
