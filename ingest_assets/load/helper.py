"""A second process that makes rows of stored pages (`second`), of one fetch after the other, where a core is free.

It writes no file that has a name, and ends when the process that began it does, whatever ends that.
"""

import contextlib
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ingest_assets.errors import Locked
from ingest_assets.load.link import Asked, Knows, Made, files, received, send, send_files
from ingest_assets.locks import held

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ingest_assets.process import Process; Process(); "
    "from ingest_assets.load.second import work; work(int(sys.argv[2]))"
)


class Helper:
    """Such a process; to be closed. `what` is shown to those who would have one, too.

    A data folder, whose `locks` these are, has so many `places` for them, by default one fewer than there are cores:
    Locked where no more may begin. OSError where the system starts no process.
    """

    def __init__(self, locks: Path, what: str, places: int | None = None) -> None:
        with contextlib.ExitStack() as opened:
            opened.enter_context(_place(locks, _cores() - 1 if places is None else places, what))
            self._link, self.pid = _begun(opened)
            self._opened = opened.pop_all()

    def ask(self, asked: Asked, pipe: int) -> None:
        """Have it make rows of the pages that it takes from a pipe of shares; what it told before has been read."""
        with contextlib.suppress(OSError):  # it is gone: so `told` raises
            send(self._link, pickle.dumps(asked))
            send_files(self._link, [pipe])

    @property
    def has_told(self) -> bool:
        """Whether there is a message, or nobody any more to send one."""
        with contextlib.suppress(BlockingIOError):
            self._link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return True
        return False

    def told(self) -> Knows | Made:
        """What it tells next; EOFError or OSError where it is gone."""
        told: Knows | Made = pickle.loads(received(self._link))  # noqa: S301 -- from a process of our own
        return told

    def files(self, made: Made) -> list[int]:
        """The open files of rows that it has made; EOFError where others came."""
        return files(self._link, len(made.tables))

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._opened.close()


def _begun(opened: contextlib.ExitStack) -> tuple[socket.socket, int]:
    ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
    process = subprocess.Popen(  # noqa: S603 -- our own command with our own arguments
        [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # Ctrl-C is for the process that began it, which ends this one
    )
    opened.callback(process.wait)
    opened.callback(process.kill)
    theirs.close()
    return ours, process.pid


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _place(locks: Path, places: int, what: str) -> Iterator[None]:
    with contextlib.ExitStack() as opened:
        for number in range(1, places + 1):
            with contextlib.suppress(Locked):
                opened.enter_context(held(locks / f"meanwhile-{number}.lock", f"making rows of {what}", 0))
                break
        else:
            raise Locked("no core is free for a second process")
        yield
