"""Which process asked for something, told so that any other can see later whether it is still there."""

import functools
import os
from pathlib import Path


def this_process() -> str:
    """The name of this process: its number, when it began (numbers are used again), and whose number that is.

    Each container counts its processes by itself: the last part is its PID namespace (pid_namespaces(7)).
    """
    return _name_of(os.getpid())


def can_be_seen(process: str) -> bool:
    """Whether this process would see one of that name: not where it runs in another container."""
    return process.rpartition(":")[2] == _namespace()


def is_alive(process: str) -> bool:
    """Whether a process of this name still runs, as far as it can be seen.

    One that was killed and not yet waited for does not.
    """
    if process == this_process() or not can_be_seen(process):
        return True
    pid, began, _ = process.split(":")
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
    return f"{pid}:{_stat(pid)[1]}:{_namespace()}"


@functools.cache
def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """A process's state and when it began, where the system tells (proc(5))."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return told[0], told[19]
    except (OSError, IndexError):
        return "", ""
