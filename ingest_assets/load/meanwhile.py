"""Rows made by two processes: while a walk goes on, so that a load has little left to do, or of what is stored.

this process                                                second process (`second`)
    pages stored ─── shares of them ───► pipe ─────────────► takes one after the other, makes rows as any load does
    walk ended                             │
    load        ◄── the registry that it goes on with ──────
                ◄── takes shares, too ─────┘
        makes rows of them
                ◄── what became of the records, and files of rows that have no name ──┘

It is a help and nothing else. What it made is taken only where it is what the load would make: from this very index,
under the registry that the load begins with. Wherever it fails, is late to begin or dies, the load makes the rows.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest_assets.errors import Locked
from ingest_assets.load.helper import Helper
from ingest_assets.load.link import Asked, Knows, Made
from ingest_assets.load.shares import Shares
from ingest_assets.load.troubles import Unsuited
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot

if TYPE_CHECKING:
    from ingest_assets.load.both import Taken  # what it needs takes long to import, and the second process can begin

_WORTH_BYTES = 4_000_000  # so large a stored fetch is worth that two processes share its pages
_WORTH_BEGINNING_BYTES = 25_000_000  # of what is stored: one process has made half of it when another one begins
_SHARE_BYTES = 1_000_000
_MOST_SHARES = 2_000  # as many as any pipe takes


class Meanwhile:
    """The pages of one fetch, whose rows a helper makes, and who takes them; to be closed, and the helper with it.

    `share` is how many bytes of pages one takes at a time, at least. What it made is not waited for where it has not
    begun yet, unless `waits` says so.
    """

    def __init__(
        self,
        helper: Helper,
        snapshot: Snapshot,
        work: Work,
        registry: Registry,
        staging: Path,
        share: int = _SHARE_BYTES,
        *,
        waits: bool = False,
    ) -> None:
        self.fetch, self.helper = snapshot.fetch, helper
        self._work, self._registry, self._staging, self._waits = work, registry, staging, waits
        self._is_new = True
        with contextlib.ExitStack() as failed:
            failed.callback(helper.close)
            self._shares = Shares(share)
            failed.pop_all()
        asked = Asked(work, snapshot.folder.absolute(), registry.to_json(), staging.absolute())
        helper.ask(asked, self._shares.pipe)

    def look(self, pages: int, size: int) -> None:
        """Say that so many pages of the fetch are stored, of `size` bytes in all."""
        self._shares.offer(pages, size)

    def taken(self, snapshot: Snapshot, registry: Registry, opened: contextlib.ExitStack) -> "Taken | None":
        """What was made of a fetch that has ended, once; None where it is not just what a load makes.

        That is so for another fetch, another registry to begin with, pages that were changed since, and a process that
        failed, or has not begun yet. The files of rows are there until `opened` is closed. Raises Widened as `filled`
        does. The helper is closed wherever it did not come to its end.
        """
        from ingest_assets.load import both

        if snapshot.fetch != self.fetch or registry != self._registry or not self._is_new:
            return None
        self._is_new = False
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            with contextlib.suppress(OSError, EOFError, Unsuited):
                shares = self._shares.ended(len(snapshot.pages))
                known = told = self._newest()
                mine = None
                if isinstance(known, Knows):
                    mine = both.own(self._work, snapshot, known, shares, self._staging, opened)
                while isinstance(told, Knows):
                    told = self.helper.told()
                theirs = both.others(snapshot, told, self.helper.files(told), opened)
                found = both.together(self._work, len(snapshot.pages), theirs, mine, known, opened)
                failed.pop_all()
                self._shares.close()
                return found
        return None

    def _newest(self) -> Knows | Made:
        """The newest of what the second process has told; Unsuited where it has not begun, and is not waited for."""
        if not (self._waits or self.helper.has_told) and self._shares.untouched:
            raise Unsuited
        told = self.helper.told()
        while isinstance(told, Knows) and self.helper.has_told:
            told = self.helper.told()
        return told

    def close(self) -> None:
        """End the helper, whatever it is at."""
        self._shares.close()
        self.helper.close()


class Help:
    """What a second process makes of the fetches of a load: of the one that was `walked` just now, and of large ones.

    To be closed. A process is begun at once where there is enough for it in what is stored, and names and types are
    known: where both processes find new ones, they do not fit together.
    """

    def __init__(
        self,
        work: Work,
        snapshots: Sequence[Snapshot],
        registry: Registry,
        staging: Path,
        locks: Path,
        walked: Meanwhile | None,
    ) -> None:
        self._work, self._staging, self._walked = work, staging, walked
        sizes = {s.fetch: s.manifest.ended.bytes for s in snapshots if s.manifest.ended}
        mine = None if walked is None else walked.fetch
        self._sizes = {fetch: size for fetch, size in sizes.items() if size > _WORTH_BYTES and fetch != mine}
        self._helper: Helper | None = None
        if registry != Registry.empty() and sum(self._sizes.values()) > _WORTH_BEGINNING_BYTES:
            with contextlib.suppress(Locked, OSError):  # the load does it all then
                self._helper = Helper(locks, work.label)

    def taken(self, snapshot: Snapshot, registry: Registry, opened: contextlib.ExitStack) -> "Taken | None":
        """See `Meanwhile.taken`; where it was of no use for what is stored, there is no more of it."""
        if self._walked is not None and self._walked.fetch == snapshot.fetch:
            with contextlib.closing(self._walked):
                return self._walked.taken(snapshot, registry, opened)
        if self._helper is None or snapshot.fetch not in self._sizes:
            return None
        size, about = self._sizes[snapshot.fetch], (self._helper, snapshot, self._work, registry, self._staging)
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            with contextlib.suppress(OSError):  # no pipe to be had
                shared = Meanwhile(*about, max(_SHARE_BYTES, size // _MOST_SHARES), waits=True)
                shared.look(len(snapshot.pages), size)
                if (found := shared.taken(snapshot, registry, opened)) is not None:
                    failed.pop_all()
                    return found
        return None

    def close(self) -> None:
        """End the process, if there is one."""
        if self._helper is not None:
            self._helper.close()
            self._helper = None
