"""Who is told how a line gets on."""

from typing import Protocol

from ingest_assets.errors import IngestError
from ingest_assets.extract.progress import Progress
from ingest_assets.http.traffic import Wait


class Watcher(Protocol):
    """Is told how a line gets on."""

    def page(self, progress: Progress) -> None:
        """A page was stored, or a walk goes on from stored ones."""

    def wait(self, label: str, wait: Wait) -> None:
        """A wait begins."""

    def loaded(self, label: str) -> None:
        """A partition is in the warehouse."""

    def failed(self, label: str, error: IngestError) -> None:
        """A partition could not be fetched or loaded."""


class Unwatched:
    """Nobody looks."""

    def page(self, progress: Progress) -> None:
        """See `Watcher`."""

    def wait(self, label: str, wait: Wait) -> None:
        """See `Watcher`."""

    def loaded(self, label: str) -> None:
        """See `Watcher`."""

    def failed(self, label: str, error: IngestError) -> None:
        """See `Watcher`."""
