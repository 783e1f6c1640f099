"""A lock between processes that the kernel gives back when its holder dies.

flock on a file of its own, never on the database's: DuckDB's lock is a POSIX one, and vanishes when its
process opens and closes the same file by other means. The holder writes who it is into the file, so that
those who wait can say whom they wait for.

Who waits stands in line: it locks the byte of its moment, by a lock of the open file (fcntl's OFD locks), which is gone
as soon as its process is. Who has none before it is next. Without that each release were a lottery, and one wait in a
hundred of eight writers as long as what thirty others do inside.
"""

import contextlib
import fcntl
import json
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ingest_assets.errors import Locked

_POLL_SECONDS = 0.02
# Somebody before us may be stopped (Ctrl-Z) and never come: what is found free so often is taken out of turn.
_LOOK_SECONDS, _LOOKS = 1.0, 3
_IN_LINE = sys.platform == "linux"  # elsewhere whoever looks first gets it: such locks, or their form, differ
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2): type, whence, start, length, process
# What is shorter is filled up to it: a file system takes far longer to cut a file than to write over it.
_TOLD_BYTES = 200


def _holder(file: Path) -> str:
    try:
        told = json.loads(file.read_text())
        age = max(0, time.time() - told["since"])
        return f"process {told['pid']} ({told['what']}), for {age:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not said who it is"


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Place:
    """A place in the line for a lock; it is a moment of the machine's clock, which all processes share."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._in_line = descriptor, _IN_LINE
        self._moment = time.monotonic_ns()
        self._look, self._seen_free = time.monotonic() + _LOOK_SECONDS, 0
        while not self._stands():
            self._moment += 1  # somebody came in the same nanosecond

    def got_it(self) -> bool:
        """Whether the lock is ours now: it was our turn, or nobody whose turn it was took it."""
        if self._is_next():
            return _try(self._descriptor)
        if time.monotonic() < self._look:
            return False
        self._look += _LOOK_SECONDS
        if not _try(self._descriptor):
            self._seen_free = 0
            return False
        self._seen_free += 1
        if self._seen_free < _LOOKS:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return self._seen_free >= _LOOKS

    def leave(self) -> None:
        """Stand in line no more."""
        if self._in_line:
            _asked(self._descriptor, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, self._moment, 1)

    def _stands(self) -> bool:
        if not self._in_line:
            return True
        try:
            _asked(self._descriptor, fcntl.F_OFD_SETLK, fcntl.F_WRLCK, self._moment, 1)
        except BlockingIOError:
            return False
        except OSError:  # a system or a disk without such locks
            self._in_line = False
        return True

    def _is_next(self) -> bool:
        return not self._in_line or _is_free(self._descriptor, self._moment)


def _is_free(descriptor: int, length: int) -> bool:
    """Whether nobody stands in line at the first so many moments; 0 is all of them."""
    return _asked(descriptor, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, 0, length) == fcntl.F_UNLCK


def _asked(descriptor: int, command: int, kind: int, start: int, length: int) -> int:
    """The kind of lock that fcntl answers with."""
    told = fcntl.fcntl(descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    return int(_FLOCK.unpack(told)[0])


_as_text = lru_cache(maxsize=16)(json.dumps)


def _tell(descriptor: int, what: str) -> None:
    holder = f'{{"since": {time.time():.1f}, "pid": {os.getpid()}, "what": {_as_text(what)}}}'
    told = holder.encode().ljust(_TOLD_BYTES)
    os.pwrite(descriptor, told, 0)
    if os.fstat(descriptor).st_size > len(told):  # what a longer-named holder wrote would follow
        os.ftruncate(descriptor, len(told))


def _opened(file: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(file, flags, 0o600)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, flags, 0o600)


def _at_once(descriptor: int) -> bool:
    """Whether the lock is ours now, since nobody holds it or waits for it: then nobody has to stand in line."""
    try:
        return (not _IN_LINE or _is_free(descriptor, 0)) and _try(descriptor)
    except OSError:  # a system or a disk without such locks
        return False


def _wait(descriptor: int, file: Path, wait_seconds: float, poll_seconds: float) -> None:
    place, until = _Place(descriptor), time.monotonic() + wait_seconds
    while not place.got_it():
        if time.monotonic() >= until:
            raise Locked(f"{file.name} is held by {_holder(file)}; waited {wait_seconds:.0f} s. Try later, or end it")
        time.sleep(poll_seconds * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter, not a secret
    place.leave()


@contextlib.contextmanager
def held(file: Path, what: str, wait_seconds: float, poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Hold the lock on `file` (made if missing, mode 0600) while inside; `what` is shown to those who wait.

    Those who wait get it in the order in which they came. Each looks about every `poll_seconds`: make it short where
    the lock is held for moments. Raises `Locked` after `wait_seconds`, naming the holder's process, what it does and
    for how long. Not re-entrant: asking again inside waits for itself and fails.
    """
    descriptor = _opened(file)
    try:
        if not _at_once(descriptor):
            _wait(descriptor, file, wait_seconds, poll_seconds)
        _tell(descriptor, what)
        yield
    finally:
        os.close(descriptor)
