"""A replay of all that is stored, beside the run that fetched and loaded it.

    python -m benchmarks.replay                     100,000 orders
    python -m benchmarks.replay orders 1000000

Each is a process of its own, from its start to its exit, and ends with the reader's copy. The replay sends no request.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import serving
from benchmarks.measure import Cost, measured
from benchmarks.records import made

_OURS = Path(__file__).parent / "runners" / "ours.py"


def costs(kind: str, count: int) -> tuple[Cost, Cost, int]:
    """What the run and the replay cost, and how many bytes are stored; Failed where records are missing."""
    made(kind, count)
    with serving() as url, tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
        folder = Path(made_here)
        environment = {"INGEST_LIMITS": str(folder / "limits"), "PYTHONDONTWRITEBYTECODE": ""}
        run = measured([sys.executable, str(_OURS), url, kind, str(count), str(folder)], environment, folder / "output")
        again = [sys.executable, "-m", "benchmarks.replay", "--again", kind, str(count), str(folder)]
        replay = measured(again, environment, folder / "output")
        return run, replay, int((folder / "output").read_text())


def _again(kind: str, count: int, folder: Path) -> None:
    os.environ.setdefault("BENCH_TOKEN", "not asked for")
    from ingest_assets import catalog
    from ingest_assets.line import Line

    line = Line(catalog.load(folder / "shop.yaml"), folder / "data", run="again")
    with line.partition(kind, None):
        (loaded,) = line.load(kind, None, replay=True)
    line.publish()
    if loaded.account.inserted != count or not loaded.account.adds_up:
        sys.exit(f"not all records were loaded: {loaded.account}")
    (stored,) = line.snapshots.fetches("shop", kind)
    print(sum(page.bytes for page in stored.pages))


def _main() -> None:
    if sys.argv[1:2] == ["--again"]:
        from ingest_assets.process import Process

        process = Process()
        _again(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        process.end(0)
        return
    kind, count = (sys.argv[1], int(sys.argv[2])) if sys.argv[2:] else ("orders", 100_000)
    run, replay, size = costs(kind, count)
    print(f"{count:,} {kind}, {size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}\n")
    print("| what | wall s | CPU s | peak MB | MB a second |\n|---|---|---|---|---|")
    for name, cost in (("run", run), ("replay", replay)):
        told = f"{cost.wall_seconds:.2f} | {cost.cpu_seconds:.2f} | {cost.peak_mb:.0f}"
        print(f"| {name} | {told} | {size / 1e6 / cost.wall_seconds:.0f} |")


if __name__ == "__main__":
    _main()
