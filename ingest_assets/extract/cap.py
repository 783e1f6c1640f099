"""What an API gives of one query is capped: a window that holds as much is cut in two, and read again.

    a day, 15,000 records ─┬─ 00:00/12:00   6,000
                           └─ 12:00/24:00   9,000 …      each by itself, cut again where it holds too much

A window holds too much where the total of its first page says so, where as many records came as the cap allows
(whatever the API said then), or where the API refuses to go on deep inside. What was read until then comes again in
the pieces, and counts as duplicates.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC

from msgspec.structs import replace

from ingest_assets.errors import RequestFailed, Ruled, WalkIncomplete
from ingest_assets.extract.expected import expected
from ingest_assets.extract.request import Part, Walk
from ingest_assets.extract.spans import cut, named
from ingest_assets.extract.trail import Trail
from ingest_assets.source import Cap

REASON = "cap_reached"


class TooMuch(Exception):
    """A window holds as many records as the API gives of a query; `halves` are the parts to be read in its place."""

    def __init__(self, halves: tuple[Part, ...]) -> None:
        super().__init__("the window holds as many records as the API gives of a query")
        self.halves = halves


def check(walk: Walk, trail: Trail) -> None:
    """Raise TooMuch where the pages so far show it, and WalkIncomplete where their window is too short to be cut."""
    most = _most(walk)
    if most is not None and (found := _found(walk, trail, most.records)):
        raise TooMuch(_cut(walk, most, found))


def refusals(walk: Walk, trail: Trail) -> contextlib.AbstractContextManager[None]:
    """Takes a refusal deep inside of a window as `check` takes its pages; any other stays one."""
    most = _most(walk)
    return contextlib.nullcontext() if most is None else _refusals(walk, trail, most)


@contextlib.contextmanager
def _refusals(walk: Walk, trail: Trail, most: Cap) -> Iterator[None]:
    try:
        yield
    except Ruled:
        raise
    except RequestFailed as error:
        if error.status not in (None, *most.statuses) or 2 * trail.received < most.records:
            raise
        found = f"{trail.received:,} records, and the API refuses to go on: {error}"
        raise TooMuch(_cut(walk, most, found)) from error


def _most(walk: Walk) -> Cap | None:
    return walk.endpoint.window.cap if walk.endpoint.window is not None else None


def _found(walk: Walk, trail: Trail, most: int) -> str | None:
    """What says that there is too much, if anything does."""
    told = expected(walk, trail.first, None, 0)
    if told is not None and told.tells != "about" and told.records > most:
        return f"{told} records, as the API says"
    return f"{trail.received:,} records" if trail.received >= most else None


def _cut(walk: Walk, most: Cap, found: str) -> tuple[Part, ...]:
    window, bounds, part = walk.endpoint.window, walk.bounds, walk.part
    if window is None or bounds is None:
        return ()
    lower, upper = bounds
    pieces = cut(lower, upper, 2, window.format)
    if len(pieces) == 1 or upper.astimezone(UTC) - lower.astimezone(UTC) <= most.smallest:
        raise WalkIncomplete(
            f"{walk.label}: cap: the window {named(lower, upper)} holds {found}, and the API gives {most.records:,} of "
            f"a query. It is not cut any further (smallest: {most.smallest}, format: {window.format}); ask for less at "
            "once by another filter, such as partitions `by`"
        )
    before = f"{part.key} " if part is not None and part.values else ""
    of = part if part is not None else Part("")
    return tuple(replace(of, key=before + named(*piece), bounds=piece, under=of.owner) for piece in pieces)
