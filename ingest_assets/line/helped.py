"""When a walk is large enough for a second process that makes its rows meanwhile."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ingest_assets.errors import Locked
from ingest_assets.extract.progress import Progress

if TYPE_CHECKING:
    from ingest_assets.load.helper import Helper
    from ingest_assets.load.meanwhile import Meanwhile

Shown = Callable[[Progress], None]

_WORTH_BYTES = 4_000_000  # a walk that has grown so large is likely to be larger than what a process takes to start


class Helped:
    """Has such a process begin for a walk, and keeps it until the load that follows; to be closed.

    It begins with a walk that is likely to be large, as the endpoint's walk before it was, and the first one of all is:
    so it is ready as pages come. For another walk it begins once that has grown large.
    """

    def __init__(self) -> None:
        self.meanwhile: Meanwhile | None = None
        self._ready: Helper | None = None
        self._walked = dict[str, int]()

    @contextlib.contextmanager
    def walking(
        self,
        endpoint: str,
        show: Shown,
        stored: Callable[[], int | None],
        begin: "Callable[[], Helper]",
        make: "Callable[[Helper], Meanwhile]",
    ) -> Iterator[Shown]:
        """Inside, what is shown of a walk of an endpoint is also told to the process, which makes rows of large ones.

        `stored` tells the bytes of a walk before it, None where there is none. It is asked if nothing was walked here.
        """
        self.close()
        expected = self._walked[endpoint] if endpoint in self._walked else stored()
        if expected is None or expected > _WORTH_BYTES:
            with contextlib.suppress(Locked, OSError):  # the load does it all then
                self._ready = begin()
        tried = False

        def shown(progress: Progress) -> None:
            nonlocal tried
            show(progress)
            self._walked[endpoint] = progress.bytes
            if progress.anew is not None:
                self.close()
                tried = False
            if self.meanwhile is None and not tried and progress.bytes > _WORTH_BYTES:
                tried = True
                with contextlib.suppress(Locked, OSError):
                    self._ready = self._ready or begin()
                    self.meanwhile, self._ready = make(self._ready), None
            if self.meanwhile is not None:
                self.meanwhile.look(progress.pages, progress.bytes)

        try:
            yield shown
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    def close(self) -> None:
        """End the process, if there is one."""
        self._let_go()
        if self.meanwhile is not None:
            self.meanwhile.close()
            self.meanwhile = None
