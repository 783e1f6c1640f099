"""Runs the ways in turn, several times, checks what each loaded, and prints what each cost beside ours.

python -m benchmarks orders 100000 --against dlt-tuned pandas floor --runs 3
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Cost, measured
from benchmarks.records import KINDS, expected, made

_RUNNERS = Path(__file__).parent / "runners"
_ROOT = Path(__file__).parent.parent
_COUNT = """
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps({name: connection.execute(f'SELECT count(*) FROM "{sys.argv[2]}"."{name}"').fetchone()[0]
    for name in json.loads(sys.argv[3])}))
"""


@dataclass(frozen=True)
class Way:
    """One way to load: its runner with its options, whether in the peers' environment, and where its tables are."""

    runner: str
    options: tuple[str, ...] = ()
    is_peer: bool = False
    file: str = "out.duckdb"
    schema: str = "main"


WAYS = {
    "ours": Way("ours.py", file="data/warehouse.duckdb", schema="shop"),
    "ours, schema known": Way("ours.py", ("known",), file="data/warehouse.duckdb", schema="shop"),
    "floor": Way("floor.py"),
    "pandas": Way("pandas_by_hand.py"),
    "dlt-tuned": Way("dlt_rest.py", ("tuned",), is_peer=True, schema="raw"),
    "dlt": Way("dlt_rest.py", is_peer=True, schema="raw"),
}


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The base URL of the server, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdout and server.stdin:
            yield server.stdout.readline().strip()
            server.stdin.close()


def run(name: str, url: str, kind: str, count: int) -> Cost:
    """The cost of one run of a way into an empty folder; raises ValueError where rows are missing."""
    way = WAYS[name]
    python = str(peers.python() if way.is_peer else sys.executable)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
        folder = Path(made_here)
        command = [python, str(_RUNNERS / way.runner), url, kind]
        environment = {"INGEST_LIMITS": str(folder / "limits"), "PYTHONDONTWRITEBYTECODE": ""}
        if "known" in way.options:
            _learn(command, environment, folder)
        cost = measured([*command, str(count), str(folder), *way.options], environment, folder / "output")
        _check(name, kind, count, folder)
    return cost


def _learn(command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
    """Leaves beside an empty warehouse what a former one knew of the endpoint's names and types."""
    measured([*command, "1000", str(folder)], environment, folder / "output")
    learned = {file: file.read_bytes() for file in (folder / "data").rglob(".registry.json")}
    shutil.rmtree(folder / "data")
    for file, text in learned.items():
        file.parent.mkdir(parents=True)
        file.write_bytes(text)


def _check(name: str, kind: str, count: int, folder: Path) -> None:
    wanted = expected(kind, count)
    asked = [str(folder / WAYS[name].file), WAYS[name].schema, json.dumps([*wanted])]
    told = subprocess.run([sys.executable, "-c", _COUNT, *asked], check=True, capture_output=True, text=True).stdout
    if (found := json.loads(told)) != wanted:
        raise ValueError(f"{name}: {found} rows, where {wanted} were sent")


def report(costs: dict[str, list[Cost]], megabytes: float) -> str:
    """A table of medians; how many times as long (least, most) each took as the first way, pair by pair."""
    lines = [
        "| way | runs | wall s | CPU s | peak MB | wall ÷ ours | CPU ÷ ours | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = next(iter(costs.values()))
    for name, runs in costs.items():
        walls = [run.wall_seconds / base.wall_seconds for run, base in zip(runs, ours, strict=False)]
        cpus = [run.cpu_seconds / base.cpu_seconds for run, base in zip(runs, ours, strict=False)]
        cells = [
            name,
            str(len(runs)),
            f"{_median(r.wall_seconds for r in runs):.2f}",
            f"{_median(r.cpu_seconds for r in runs):.2f}",
            f"{_median(r.peak_mb for r in runs):.0f}",
            f"{_median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})",
            f"{_median(cpus):.2f} ({min(cpus):.2f}-{max(cpus):.2f})",
            f"{_median(r.load for r in runs):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rate = megabytes / _median(r.wall_seconds for r in ours)
    return "\n".join([*lines, "", f"{megabytes:,.1f} MB of JSON; ours {rate:,.0f} MB a second"])


def _median(numbers: Iterator[float] | Sequence[float]) -> float:
    return statistics.median(numbers)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", choices=WAYS, default="ours", help="the way that the others are compared with")
    parser.add_argument("--against", nargs="*", choices=WAYS, default=["floor", "pandas", "dlt-tuned"])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    file = made(asked.kind, asked.count)
    costs: dict[str, list[Cost]] = {asked.first: [], **{name: [] for name in asked.against}}
    with serving() as url:
        for _ in range(asked.runs):
            for name, runs in costs.items():
                cost = run(name, url, asked.kind, asked.count)
                print(f"{name}: {cost}", file=sys.stderr, flush=True)
                runs.append(cost)
    print(f"\n{asked.count:,} {asked.kind}, {asked.runs} run(s) of each in turn\n")
    print(report(costs, file.stat().st_size / 1e6))


if __name__ == "__main__":
    main()
