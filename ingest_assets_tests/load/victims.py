"""Processes that do one thing to a data folder, and say where they are until they are killed or done.

`python -m ingest_assets_tests.load.victims` waits for jobs, a JSON line each: `{"what": …, "data": …, "marks": …}`. For
each it forks a process, which needs no second for its imports, and answers with its number; `{"end": NUMBER}` waits for
its end. Where a process is stands in the file `marks`, written anew each millisecond by a thread of its own: the
functions of this project that it is in, outermost first. That file outlives it.
"""

import json
import mmap
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from ingest_assets.commands.output import output
from ingest_assets.commands.prune import plan, prune
from ingest_assets.line import Line
from ingest_assets.source import Source

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


def line(data: Path) -> Line:
    """The line of that source in a data folder."""
    return Line(SOURCE, data, run="victim")


def do(job: dict[str, Any], data: Path) -> None:
    """Load, replay, publish or prune."""
    endpoint, partition = job.get("endpoint", ""), job.get("partition")
    if job["what"] == "prune":
        prune(plan(data, [f"shop.{endpoint}"], 1, None), output(as_json=True))
    elif job["what"] == "publish":
        line(data).publish()
    else:
        own = line(data)
        with own.partition(endpoint, partition):
            own.load(endpoint, partition, replay=job["what"] == "replay")


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


if __name__ == "__main__":
    print("ready", flush=True)
    _serve()
