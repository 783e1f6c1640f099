"""Which stored fetches nothing needs any more: without them every table, and what is fetched next, stays as it is."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from ingest_assets.load.plan import WHOLE
from ingest_assets.raw.snapshots import Snapshot


class Needs(Struct, frozen=True):
    """What the warehouse says of an endpoint: fetches that are loaded, and those that are cited or have deleted.

    `sweeps` are those that deleted what they did not bring; false of those that spared it.
    """

    loaded: Collection[int] = ()
    cited: Collection[int] = ()
    sweeps: Mapping[int, bool] = {}


def unneeded(
    fetches: Sequence[Snapshot], needs: Needs, *, keep: int = 1, before: datetime | None = None
) -> list[Snapshot]:
    """Those that could go: ended, not cited, none of the `keep` newest whole ones of their partition, begun `before`.

    One that is good and not loaded is still to be loaded; the newest one of a partition says where its walk, and its
    feed, goes on; of the parents' feeds each fetch may tell of another parent.
    """
    kept = {*needs.cited, *_newest(fetches, keep)}
    old = [s for s in fetches if before is None or s.manifest.started < before]
    return [s for s in old if s.fetch not in kept and _is_settled(s, needs)]


def _newest(fetches: Sequence[Snapshot], keep: int) -> set[int]:
    whole, newest = defaultdict[str | None, list[int]](list), dict[str | None, int]()
    for snapshot in fetches:
        newest[snapshot.manifest.partition] = snapshot.fetch
        if snapshot.manifest.ended and snapshot.manifest.ended.verdict in WHOLE:
            whole[snapshot.manifest.partition].append(snapshot.fetch)
    complete = [s.fetch for s in fetches if s.manifest.ended and s.manifest.ended.verdict == "complete"]
    return {*newest.values(), *complete[-1:], *(fetch for found in whole.values() for fetch in found[-keep:])}


def _is_settled(snapshot: Snapshot, needs: Needs) -> bool:
    end = snapshot.manifest.ended
    if end is None or isinstance(end.position, Mapping):
        return False
    is_loaded = snapshot.fetch in needs.loaded
    # One that was given up and is loaded still is about to be undone.
    return not is_loaded if end.verdict in ("failed", "given_up") else is_loaded
