"""Whether the reader's copy is as young as a source's `publish` says, where that is not at the end of each run.

Runs, and the source's sensor, publish by that pace. Where neither comes any more, readers see an old table, and each
partition's load was well: so it is looked at by itself.
"""

from datetime import datetime, timedelta

from ingest_assets.durations import spoken
from ingest_assets.load.looked import Found
from ingest_assets.load.warehouse import Warehouse

_GRACE = timedelta(minutes=15)  # for a run that is at work, and for the sensor's next tick
_NEWEST = "SELECT max(loaded) FROM _ingest.fetches WHERE source = ? AND endpoint = ?"
_NEWER = (
    "SELECT count(loaded), min(loaded) FROM _ingest.fetches WHERE source = ? AND endpoint = ? "
    "AND loaded > coalesce(CAST(? AS TIMESTAMPTZ), '-infinity')"
)


def published(warehouse: Warehouse, name: tuple[str, str], pace: timedelta, now: datetime) -> Found:
    """Nothing was loaded longer ago than `publish` says, and is not in the reader's copy."""
    when, newer, oldest = warehouse.published, 0, None
    if not warehouse.is_current and warehouse.writer.exists():
        newer, oldest = _since_then(warehouse, name)
    told = {"newer loads": newer, **({"published": when.isoformat()} if when else {})}
    if oldest is None or now - max(oldest, when or oldest) <= pace + _GRACE:
        return Found("", told, serious=False)
    ago = f"is of {spoken((now - when).total_seconds())} ago" if when else "is not there"
    came = f"{newer:,} load{'s' if newer > 1 else ''} of this table came since"
    problem = (
        f"the reader's copy {ago}, and {came}; `publish` says every {spoken(pace.total_seconds())}. Next: ingest "
        f"reader publish; the sensor {name[0]}_sensor does it where it is on"
    )
    return Found(problem, told, serious=False)


def _since_then(warehouse: Warehouse, name: tuple[str, str]) -> tuple[int, datetime | None]:
    """How many loads of a table are not in the reader's copy, and when the first of them was."""
    newest = None
    if warehouse.reader.exists():
        with warehouse.reading() as connection:
            ((newest,),) = connection.execute(_NEWEST, list(name)).fetchall()
    with warehouse.looking(f"looking for what is loaded of {'.'.join(name)} since it was published") as connection:
        ((newer, oldest),) = connection.execute(_NEWER, [*name, newest]).fetchall()
    return newer, oldest
