"""A command as a whole process: how long it took, and what it cost."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Cost:
    """Of one run. `peak_mb` is that of its processes together; `load` is the machine's, of one minute, at its end."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    load: float


class Failed(Exception):
    """A command that did not end well."""


def measured(command: Sequence[str], environment: Mapping[str, str], output: Path) -> Cost:
    """The cost of a command and all that it starts and waits for; raises Failed with the end of what it wrote."""
    with output.open("wb") as written:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        with _watched(process.pid) as peak:
            _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)}: {output.read_text(errors='replace')[-2000:]}")
    return Cost(wall, used.ru_utime + used.ru_stime, max(used.ru_maxrss / 1024, *peak), os.getloadavg()[0])


@contextlib.contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """The most megabytes that a process and those below it had at once, looked at some times a second; at the end."""
    ended, peak = threading.Event(), [0.0]

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            with contextlib.suppress(OSError):  # one of them has ended while it was looked at
                peak[0] = max(peak[0], sum(map(_resident_mb, _tree(pid))))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        ended.set()
        watching.join()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _tree(int(child))


def _resident_mb(pid: int) -> float:
    """What is in memory of it, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
