"""Processes that do one thing to a data folder, and say where they are until they are killed or done.

`python -m ingest_assets_tests.load.victims` waits for jobs, a JSON line each: `{"what": …, "data": …, "marks": …}`. For
each it forks a process, which needs no second for its imports, and answers with its number; `{"end": NUMBER}` waits for
its end. Where a process is stands in the file `marks`, written anew each millisecond by a thread of its own: the
functions of this project that it is in, outermost first. That file outlives it.
"""

import contextlib
import itertools
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ingest_assets.commands.output import output
from ingest_assets.commands.prune import plan, prune
from ingest_assets.errors import ConfigError, TooManyGone
from ingest_assets.line import Line
from ingest_assets.load import meanwhile
from ingest_assets.source import Source
from ingest_assets_tests.load.conftest import Lab

_LENGTH = 1000
_DONE = "done"
_MODEL: dict[str, Any] = {
    "window": {"from": "from", "until": "until"},
    "partitions": {"every": "day", "start": "2026-01-01"},
    "primary_key": "id",
    "columns": {"at": {"type": "timestamptz", "format": "unix", "required": True}},
}
SOURCE = Source(
    name="shop",
    base_url="http://127.0.0.1:9",
    endpoints={
        "orders": {"path": "/orders", **_MODEL},
        "people": {"path": "/people", **_MODEL, "newest_by": "at", "deleted": {"path": "gone", "equals": True}},
        "states": {"path": "/states", **_MODEL, "newest_by": "at", "write": "history"},
    },
)
"""Endpoints whose partitions are replayed by themselves, and others whose tables are built anew."""


def line(data: Path, source: Source = SOURCE) -> Line:
    """The line of a source in a data folder."""
    return Line(source, data, run="victim")


def do(job: dict[str, Any], data: Path) -> None:
    """Store, load, replay, publish, prune, or what people do, of an endpoint of `SOURCE` or of a job's own `model`."""
    endpoint, partition = job.get("endpoint", ""), job.get("partition")
    told = {endpoint: job["model"]} if "model" in job else SOURCE.endpoints
    source = Source(name="shop", base_url="http://127.0.0.1:9", endpoints=told)
    if job["what"] == "prune":
        prune(plan(data, [f"shop.{endpoint}"], 1, None), output(as_json=True))
    elif job["what"] == "store":
        lab = Lab(data, source.endpoints[endpoint], "shop", endpoint)
        lab.store(job["fetch"], partition, *job["pages"], verdict=job["verdict"])
    elif job["what"] == "publish":
        line(data, source).publish()
    elif job["what"] in _BY_PEOPLE:
        # Where there is nothing to accept or forget, or deletions are refused, that is said and all stays.
        with contextlib.suppress(ConfigError, TooManyGone):
            _BY_PEOPLE[job["what"]](line(data, source), endpoint, job["which"])
    else:
        own = line(data, source)
        with contextlib.suppress(TooManyGone), own.partition(endpoint, partition):
            own.refuse_changed(endpoint)
            # Also of the smallest table it is found out before the lock what a merge comes to.
            replace(own.loader(endpoint), from_rows=1).load(partition, replay=job["what"] == "replay")


def _undo(own: Line, endpoint: str, fetch: int) -> None:
    for snapshot in [one for one in own.snapshots.fetches("shop", endpoint) if one.fetch == fetch]:
        with own.partition(endpoint, snapshot.manifest.partition):
            own.undo(endpoint, [snapshot], "by the test")


def _accept(own: Line, endpoint: str, which: int) -> None:
    """Accept the deletions of one of the newest fetches."""
    for snapshot in own.snapshots.fetches("shop", endpoint)[-1 - which :][:1]:
        own.accept(endpoint, snapshot.fetch)


def _forget(own: Line, endpoint: str, id_: int) -> None:
    eraser = own.eraser(endpoint)
    key = eraser.key([f"id={id_}"])
    stored, now = eraser.look(key), datetime.now(UTC)
    eraser.erase(key, stored, now)
    eraser.finish(key, stored, now)


def _lift(own: Line, endpoint: str, id_: int) -> None:
    eraser = own.eraser(endpoint)
    eraser.lift(eraser.key([f"id={id_}"]))


_BY_PEOPLE = {"undo": _undo, "accept": _accept, "forget": _forget, "lift": _lift}


class _Marks(threading.Thread):
    """Writes down where the main thread is, until it says where it ended."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        file.write_bytes(bytes(_LENGTH))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _LENGTH)
        self._main, self._ended = threading.get_ident(), threading.Event()

    def run(self) -> None:
        """See Thread."""
        while not self._ended.wait(0.001):
            self._write(" ".join(_stack(sys._current_frames().get(self._main))))

    def end(self, word: str) -> None:
        """The last mark."""
        self._ended.set()
        self.join()
        self._write(word)

    def _write(self, text: str) -> None:
        self._map[:] = text.encode()[-_LENGTH:].rjust(_LENGTH)


def _stack(frame: Any) -> list[str]:
    found: list[str] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if "ingest_assets" in path.parts:
            found.append(f"{path.stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return found[::-1]


def _victim(job: dict[str, Any]) -> None:
    marks = _Marks(Path(job["marks"]))
    marks.start()
    if job["what"] == "replay":  # also of the smallest fetches two processes make the rows
        meanwhile._WORTH_BYTES = meanwhile._WORTH_BEGINNING_BYTES = 0
        meanwhile._SHARE_BYTES = 1
    try:
        do(job, Path(job["data"]))
    except BaseException:  # noqa: BLE001 -- what went wrong is told to who asked
        marks.end(traceback.format_exc()[-_LENGTH:])
        os._exit(1)
    marks.end(_DONE)
    os._exit(0)


def _serve() -> None:
    for told in sys.stdin:
        job = json.loads(told)
        if "end" in job:
            _, status = os.waitpid(job["end"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif not (answer := os.fork()):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _victim(job)
        print(answer, flush=True)


@dataclass
class Victims:
    """Starts what is to be killed; where each process was is told by a file of its own below `folder`."""

    parent: "subprocess.Popen[str]"
    folder: Path
    _marks: dict[int, Path] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, job: dict[str, Any], data: Path) -> int:
        """The number of a process that does a job."""
        marks = self.folder / f"marks{next(self._numbers)}"
        process = self._ask({**job, "data": str(data), "marks": str(marks)})
        self._marks[process] = marks
        return process

    def end(self, process: int) -> tuple[int, str]:
        """How a process ended, and where it was last."""
        code, marks = self._ask({"end": process}), self._marks.pop(process)
        return code, marks.read_bytes().decode(errors="replace").strip(" \0") if marks.exists() else ""

    def _ask(self, told: dict[str, Any]) -> int:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(json.dumps(told) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())


@contextlib.contextmanager
def victims(folder: Path) -> Iterator[Victims]:
    """What starts them; none is left at its end."""
    command, pipe = [sys.executable, "-m", "ingest_assets_tests.load.victims"], subprocess.PIPE
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root, start_new_session=True) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "ready\n"
            yield Victims(parent, folder)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
            parent.communicate()


if __name__ == "__main__":
    print("ready", flush=True)
    _serve()
