"""Rows made by a second process while a walk goes on: where a core is free, a load has little left to do after it.

walk's process                                              second process (`second`)
    pages stored ─── shares of them ───► pipe ─────────────► takes one after the other, makes rows as any load does
    walk ended                             │
    load        ◄── the registry that it goes on with ──────
                ◄── takes shares, too ─────┘
        makes rows of them
                ◄── what became of the records, and files of rows that have no name ──┘

It is a help and nothing else. What it made is taken only where it is what the load would make: from this very index,
under the registry that the load begins with. Wherever it fails, is late to begin or dies, the load makes the rows. It
writes no file that has a name, and ends when the walk's process does, whatever ends that.
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
from typing import TYPE_CHECKING

from ingest_assets.errors import Locked
from ingest_assets.load.link import Asked, Knows, Made, files, received, send
from ingest_assets.load.shares import Shares
from ingest_assets.load.troubles import Unsuited
from ingest_assets.load.work import Work
from ingest_assets.locks import held
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot

if TYPE_CHECKING:
    from ingest_assets.load.both import Taken  # what it needs takes long to import, and the second process can begin

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ingest_assets.process import Process; Process(); "
    "from ingest_assets.load.second import work; work(int(sys.argv[2]), int(sys.argv[3]))"
)
_SHARE_BYTES = 1_000_000


class Meanwhile:
    """A second process that makes rows of the pages of one fetch while it is walked; to be closed.

    A data folder has so many `places` for them, by default one fewer than there are cores: Locked where no more may
    begin. OSError where the system starts no process. `share` is how many bytes of pages one takes at a time, at least.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        work: Work,
        registry: Registry,
        staging: Path,
        locks: Path,
        places: int | None = None,
        share: int = _SHARE_BYTES,
    ) -> None:
        self.fetch = snapshot.fetch
        self._work, self._registry, self._staging = work, registry, staging
        with contextlib.ExitStack() as opened:
            places = _cores() - 1 if places is None else places
            opened.enter_context(_place(locks, places, f"{work.source}.{work.endpoint}"))
            self._shares = opened.enter_context(contextlib.closing(Shares(share)))
            self._link, self.pid = _begun(opened, self._shares.pipe)
            asked = Asked(work, snapshot.folder.absolute(), registry.to_json(), staging.absolute())
            with contextlib.suppress(OSError):  # it is gone: so `taken` gets nothing
                send(self._link, pickle.dumps(asked))
            self._opened = opened.pop_all()

    def look(self, pages: int, size: int) -> None:
        """Say that so many pages of the walk are stored, of `size` bytes in all."""
        self._shares.offer(pages, size)

    def taken(self, snapshot: Snapshot, registry: Registry, opened: contextlib.ExitStack) -> "Taken | None":
        """What was made of a fetch that has ended, once; None where it is not just what a load makes.

        That is so for another fetch, another registry to begin with, pages that were changed since, and a process that
        failed, or has not begun yet. The files of rows are there until `opened` is closed. Raises Widened as `filled`
        does.
        """
        from ingest_assets.load import both

        if snapshot.fetch != self.fetch or registry != self._registry or self._link.fileno() < 0:
            return None
        try:
            shares = self._shares.ended(len(snapshot.pages))
            known = told = self._newest()
            mine = None
            if isinstance(known, Knows):
                mine = both.own(self._work, snapshot, known, shares, self._staging, opened)
            while isinstance(told, Knows):
                told = self._told()
            theirs = both.others(snapshot, told, files(self._link, len(told.tables)), opened)
            return both.together(self._work, len(snapshot.pages), theirs, mine, known, opened)
        except (OSError, EOFError, Unsuited):
            return None
        finally:
            self.close()

    def _newest(self) -> Knows | Made:
        """The newest of what the second process has told; Unsuited where it has not begun."""
        if not self._is_told() and self._shares.untouched:
            raise Unsuited
        told = self._told()
        while isinstance(told, Knows) and self._is_told():
            told = self._told()
        return told

    def _is_told(self) -> bool:
        """Whether there is a message, or nobody any more to send one."""
        with contextlib.suppress(BlockingIOError):
            self._link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return True
        return False

    def _told(self) -> Knows | Made:
        told: Knows | Made = pickle.loads(received(self._link))  # noqa: S301 -- from a process of our own
        return told

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._opened.close()


def _begun(opened: contextlib.ExitStack, pipe: int) -> tuple[socket.socket, int]:
    ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
    command = [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno()), str(pipe)]
    process = subprocess.Popen(  # noqa: S603 -- our own command with our own arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno(), pipe],
        start_new_session=True,  # Ctrl-C is for the walk's process, which ends this one
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
