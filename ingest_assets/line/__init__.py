"""The line of one source: fetch a partition, load a partition, one process a partition.

    API ──► extract ──► snapshot ──► normalize ──► load ──► warehouse

line      fetch, load, replay: pace  how patiently, watcher  who is told, helped  by a second process
opened    a line as file and environment say
clients   what asks the API: credential, limits and breaker put together
standing  where its endpoints stand: stored, loaded, waiting
folders   where data, locks and traces are

Without Dagster, so that it can be used as a library; `ingest_assets.assets` calls nothing else to move data.
"""

import hashlib

from ingest_assets.line.folders import data_folder, partition_lock, trace_file
from ingest_assets.line.line import Line
from ingest_assets.line.opened import opened
from ingest_assets.line.pace import Pace
from ingest_assets.line.watcher import Unwatched, Watcher
from ingest_assets.raw.snapshots import Snapshot

__all__ = [
    "Line",
    "Pace",
    "Unwatched",
    "Watcher",
    "data_folder",
    "data_version",
    "opened",
    "partition_lock",
    "trace_file",
]


def data_version(snapshot: Snapshot) -> str:
    """A hash of a fetch's stored responses: the same where the API told the same."""
    text = "\n".join(entry.sha256 for entry in snapshot.pages)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
