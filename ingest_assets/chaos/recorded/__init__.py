"""What stored responses say against a source file: mistakes that a made-up API cannot know.

stored      the last stored pages of each partition of an endpoint, as they came
paging      the paginator, walked over them again
records     key, columns, times, totals, sizes
windows     partitions beside each other
said        what the file itself says wrongly: secrets in the clear, limits above what answers tell
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from ingest_assets.chaos.recorded import paging, records, said, windows
from ingest_assets.chaos.recorded.stored import Finding, Stored, stored
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Source

_LOOKS: tuple[Callable[[Source, str, list[Stored]], Iterator[Finding]], ...] = (
    paging.findings,
    records.findings,
    windows.findings,
    said.limits,
)


__all__ = ["Finding", "findings"]


def findings(source: Source, name: str, data: Path) -> tuple[int, list[Finding]]:
    """How many stored pages of an endpoint were looked at, and what they say against the file.

    `source` has its settings in place. A mistake that explains others stands before them.
    """
    walks = stored(Snapshots(data / "raw"), source, name)
    found = [*said.secrets(source, name)]
    for look in _LOOKS if walks else ():
        found += look(source, name, walks)
    return sum(len(walk.pages) for walk in walks), list(dict.fromkeys(found))
