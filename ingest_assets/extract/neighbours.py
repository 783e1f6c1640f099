"""Whether the API looks at a window's bounds at all: one that does not know their names gives the same each day."""

from collections.abc import Iterator
from datetime import timedelta

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract.request import Walk
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot, Snapshots
from ingest_assets.raw.stored import Stored

_FEWEST = 2  # one record may stand on the border of two periods


def check_bounds(walk: Walk, opened: OpenSnapshot, snapshots: Snapshots) -> None:
    """Raise WalkIncomplete where the first page holds the very records of that of the period before or after.

    Looked at where a key lives in one partition: elsewhere periods may well hold the same.
    """
    if not _tells_apart(walk) or not len(opened.pages) or (first := opened.pages[0]).records < _FEWEST:
        return
    for key in _beside(walk):
        other = _newest(snapshots.of(walk.source.name, walk.name, key))
        if other is not None and other.note.get("told") == first.note["told"]:
            window = walk.endpoint.window
            names = [repr(name) for name in (window.from_, window.until) if name] if window is not None else []
            told = f"parameters {' and '.join(names)}" if names else "bounds"
            raise WalkIncomplete(
                f"{walk.label}: the first page holds the very records of partition {key}. Does the API know the {told}?"
            )


def _tells_apart(walk: Walk) -> bool:
    endpoint = walk.endpoint
    if endpoint.window is None or endpoint.window.stop_at is not None or endpoint.write not in ("merge", "history"):
        return False
    every = endpoint.partitions.every if endpoint.partitions is not None else None
    of_key = {endpoint.columns[name].from_partition for name in endpoint.primary_key if name in endpoint.columns}
    return bool(endpoint.primary_key) and not endpoint.keys_cross_partitions and every not in of_key


def _beside(walk: Walk) -> Iterator[str]:
    """The keys of the periods before and after, of the same account."""
    periods, told, bounds, own = walk.endpoint.periods, walk.endpoint.partitions, walk.bounds, walk.slice
    if periods is None or told is None or bounds is None or own.period is None:
        return
    yield told.key(periods.key(bounds[0] - timedelta(microseconds=1)), own.by)
    yield told.key(periods.next(own.period), own.by)


def _newest(stored: Stored) -> IndexEntry | None:
    """The first page of the newest fetch that counts."""
    for snapshot in stored.newest_first():
        end = snapshot.manifest.ended
        if end is not None and end.verdict in ("complete", "open", "incomplete"):
            return snapshot.pages[0] if len(snapshot.pages) else None
    return None
