"""Who watches the walks of this process: the step's log in Dagster, and a terminal where there is one."""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest_assets.errors import IngestError
from ingest_assets.extract.progress import Progress
from ingest_assets.http.traffic import Wait
from ingest_assets.line import Watcher

_LOG_EVERY_SECONDS = 10.0
_WAIT_TOLD_SECONDS = 5.0


@dataclass
class LogWatcher:
    """Writes a line to a log now and then: a walk of hours is seen to move, one of seconds adds nothing."""

    log: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    _last: float = field(default=0.0, init=False)

    def page(self, progress: Progress) -> None:
        """See `Watcher`."""
        if progress.anew:
            self.log(f"{progress.label}: begins anew, the unfinished walk is given up: {progress.anew}")
        if progress.resumed:
            self.log(
                f"{progress.label}: goes on after page {progress.pages - 1}, {progress.records:,} records are stored"
            )
        now = self.clock()
        if not self._last:
            self._last = now
        if now - self._last >= _LOG_EVERY_SECONDS:
            self._last = now
            self.log(f"{progress.label}: {progress.pages:,} pages, {progress.records:,} records")

    def wait(self, label: str, wait: Wait) -> None:
        """See `Watcher`."""
        if wait.kind == "retry" or wait.seconds >= _WAIT_TOLD_SECONDS:
            self.log(f"{label}: waits {wait.seconds:.1f} s: {wait.why}")

    def loaded(self, label: str) -> None:
        """See `Watcher`; Dagster shows the event itself."""

    def failed(self, label: str, error: IngestError) -> None:
        """See `Watcher`; the step says it at its end."""


_terminal: contextvars.ContextVar[Watcher | None] = contextvars.ContextVar("terminal", default=None)


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """While inside, steps that run in this thread tell this watcher too."""
    token = _terminal.set(watcher)
    try:
        yield
    finally:
        _terminal.reset(token)


@dataclass(frozen=True)
class Watchers:
    """All who are to be told: the log, and whoever watches this thread."""

    all: tuple[Watcher, ...]

    @classmethod
    def here(cls, log: Callable[[str], object]) -> "Watchers":
        """The log, and the one set by `watched`."""
        terminal = _terminal.get()
        return cls((LogWatcher(log),) if terminal is None else (LogWatcher(log), terminal))

    def page(self, progress: Progress) -> None:
        """See `Watcher`."""
        for watcher in self.all:
            watcher.page(progress)

    def wait(self, label: str, wait: Wait) -> None:
        """See `Watcher`."""
        for watcher in self.all:
            watcher.wait(label, wait)

    def loaded(self, label: str) -> None:
        """See `Watcher`."""
        for watcher in self.all:
            watcher.loaded(label)

    def failed(self, label: str, error: IngestError) -> None:
        """See `Watcher`."""
        for watcher in self.all:
            watcher.failed(label, error)
