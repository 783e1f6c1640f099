"""Which process asked for something, told so that any other can see later whether it is still there."""

import functools
import os
from pathlib import Path


def this_process() -> str:
    """The name of this process: its number and when it began, so that a number used again is not mistaken."""
    return _name_of(os.getpid())


def is_alive(process: str) -> bool:
    """Whether a process of this name still runs; one that was killed and not yet waited for does not."""
    if process == this_process():
        return True
    pid, _, began = process.partition(":")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state, now_began = _stat(int(pid))
    return state not in ("Z", "X") and now_began == began


@functools.lru_cache(maxsize=1)
def _name_of(pid: int) -> str:
    return f"{pid}:{_stat(pid)[1]}"


def _stat(pid: int) -> tuple[str, str]:
    """A process's state and when it began, where the system tells (proc(5))."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return told[0], told[19]
    except (OSError, IndexError):
        return "", ""
