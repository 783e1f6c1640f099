"""A lock between processes that the kernel gives back when its holder dies.

flock on a file of its own, never on the database's: DuckDB's lock is a POSIX one, and vanishes when its
process opens and closes the same file by other means. The holder writes who it is into the file, so that
those who wait can say whom they wait for.
"""

import contextlib
import fcntl
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest_assets.errors import Locked

_POLL_SECONDS = 0.02
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


def _tell(descriptor: int, holder: Mapping[str, Any]) -> None:
    told = json.dumps(holder).encode().ljust(_TOLD_BYTES)
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


@contextlib.contextmanager
def held(file: Path, what: str, wait_seconds: float, poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Hold the lock on `file` (made if missing, mode 0600) while inside; `what` is shown to those who wait.

    Who waits looks about every `poll_seconds`: make it short where the lock is held for moments. Raises `Locked` after
    `wait_seconds`, naming the holder's process, what it does and for how long. Not re-entrant: asking again inside
    waits for itself and fails.
    """
    descriptor = _opened(file)
    try:
        until = time.monotonic() + wait_seconds
        while not _try(descriptor):
            if time.monotonic() >= until:
                raise Locked(
                    f"{file.name} is held by {_holder(file)}; waited {wait_seconds:.0f} s. Try later, or end it"
                )
            time.sleep(poll_seconds * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter, not a secret
        _tell(descriptor, {"pid": os.getpid(), "what": what, "since": time.time()})
        yield
    finally:
        os.close(descriptor)
