"""A command as a whole process: how long it took, and what it cost."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Of one run. `peak_mb` is that of its largest process; `load` is the machine's, of one minute, at its end."""

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
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)}: {output.read_text(errors='replace')[-2000:]}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.getloadavg()[0])
