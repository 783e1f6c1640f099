"""When a walk is large enough for a second process that makes its rows meanwhile."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ingest_assets.errors import Locked
from ingest_assets.extract.progress import Progress

if TYPE_CHECKING:
    from ingest_assets.load.meanwhile import Meanwhile

_WORTH_BYTES = 4_000_000  # a walk that has grown so large is likely to be larger than what a process takes to start


class Helped:
    """Begins such a process for a walk that has grown large, and has it until the load that follows; to be closed."""

    def __init__(self) -> None:
        self.meanwhile: Meanwhile | None = None

    def watching(
        self, show: Callable[[Progress], None], begin: "Callable[[], Meanwhile]", *, worth: bool
    ) -> Callable[[Progress], None]:
        """What is shown of a walk is also told to the process, which begins once that is `worth` it."""
        self.close()
        tried = not worth

        def shown(progress: Progress) -> None:
            nonlocal tried
            show(progress)
            if progress.anew is not None:
                self.close()
                tried = not worth
            if self.meanwhile is None and not tried and progress.bytes > _WORTH_BYTES:
                tried = True
                with contextlib.suppress(Locked, OSError):  # the load does it all then
                    self.meanwhile = begin()
            if self.meanwhile is not None:
                self.meanwhile.look(progress.pages, progress.bytes)

        return shown

    def close(self) -> None:
        """End the process, if there is one."""
        if self.meanwhile is not None:
            self.meanwhile.close()
            self.meanwhile = None
