"""Whether a feed has a hole: the API keeps what it tells for a while, and nobody has looked for longer than that."""

from collections.abc import Iterator
from datetime import datetime

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract import ruled
from ingest_assets.extract.request import Walk
from ingest_assets.raw.snapshots import Snapshot, Snapshots

_GOOD = ("complete", "incomplete")  # the latter of what it reached of the parents


def check_gap(walk: Walk, snapshots: Snapshots, now: datetime) -> None:
    """Raise WalkIncomplete where the API may have let go of what came after the last record that is known.

    A feed that tells nothing for long has an old record, and no hole as long as somebody looks.
    """
    feed = walk.endpoint.feed
    if feed is None or feed.keeps is None or feed.cursor is not None:
        return
    old = {key: time for key, time in _known(walk) if time < now - feed.keeps}
    stored = snapshots.of(walk.source.name, walk.name, walk.partition).newest_first() if old else ()
    for snapshot in stored:
        if not old or snapshot.manifest.started < now - feed.keeps:
            break
        for key in _looked_at(walk, snapshot):
            old.pop(key, None)
    if not old:
        return
    oldest = min(old.values())
    raise WalkIncomplete(
        f"{walk.label}: the last record known is of {oldest.isoformat()}, {(now - oldest).days} days ago, and the API "
        f"keeps {feed.keeps.days} days, in which no fetch has looked: what lies between is lost to this feed. Load the "
        f"missing part another way, then move on by `{walk.moving_on}`"
    )


def _known(walk: Walk) -> Iterator[tuple[str, datetime]]:
    """The time of the last record that is known, by the key of its parent; without parents that is empty."""
    positions = [("", walk.position)] if walk.parts is None else [(part.key, part.position) for part in walk.parts]
    return ((key, datetime.fromisoformat(position)) for key, position in positions if position is not None)


def _looked_at(walk: Walk, snapshot: Snapshot) -> Iterator[str]:
    """The keys of what a fetch has read to its end."""
    end = snapshot.manifest.ended
    if end is None or end.verdict not in _GOOD[: 1 + (walk.parts is not None)]:
        return
    if walk.parts is None:
        yield ""
        return
    for part in snapshot.parts:
        if part.problem is None and not ruled.is_skipped(part.reason):
            yield part.key
