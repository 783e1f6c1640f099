"""The parts of a fetch: which there are, what is stored of each, and how each ended.

    fetch ─┬─ part ── page ── page ── …       in the order of the parts, and of the pages in each:
           ├─ part ── page                    so the snapshot is the same, whatever came first
           │    └─ part that its pages need
           └─ part ── page ── page

The usual fetch has one part, the partition as a whole: it has no key, and its end is that of the fetch.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.extract.chain import End
from ingest_assets.extract.expected import in_all
from ingest_assets.extract.request import File, Of, Part, Walk, first_request, request_from, request_key
from ingest_assets.extract.ruled import BY_RULE
from ingest_assets.extract.spans import cut, named
from ingest_assets.extract.storing import PART
from ingest_assets.http.page import PageRequest
from ingest_assets.http.total import Expected
from ingest_assets.raw.parts import PartEnd
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot


def key_of(part: Part | None) -> str:
    """The key of a part; that of the partition as a whole is empty."""
    return "" if part is None else part.key


def began(walk: Walk, requests: Iterable[PageRequest]) -> int | None:
    """The place of the last request that is the walk's first; None where none is."""
    keys = list(map(request_key, requests))
    first = request_key(first_request(walk)) if keys else None  # most parts are new, and there may be many
    return max((place for place, key in enumerate(keys) if key == first), default=None)


class StoredPages:
    """The pages that a fetch had when its walk went on, part by part; in memory a page takes a few bytes."""

    def __init__(self, opened: OpenSnapshot) -> None:
        self._pages, self._numbers = opened.pages, defaultdict[str, list[int]](list)
        for entry in self._pages:
            key = entry.note.get(PART, "")
            if key not in opened.parts or opened.parts[key].problem is not None:
                self._numbers[key].append(entry.number)

    def of(self, walk: Walk) -> Iterator[IndexEntry]:
        """Those of the part that is walked, in order: from where it began, the last time if it had to begin anew."""
        numbers = self._numbers.get(key_of(walk.part), [])
        if walk.part is not None:
            numbers = numbers[began(walk, (self._pages[number].request for number in numbers)) or 0 :]
        return (self._pages[number] for number in numbers)

    def count(self, part: Part | None) -> int:
        """How many there are of one part."""
        return len(self._numbers.get(key_of(part), ()))


class Walked(Struct, frozen=True):
    """A part that is being walked, or has been: `come` are the names of its pages that wait for their turn.

    `before` is true where it had ended before this walk went on.
    """

    part: Part | None
    come: deque[str] = field(default_factory=deque)
    end: Future[End] = field(default_factory=Future)
    before: bool = False


def walked_before(opened: OpenSnapshot, part: Part | None) -> Walked | None:
    """A part that ended before the walk went on; None for any other."""
    key = key_of(part)
    if key not in opened.parts or opened.parts[key].problem is not None:
        return None
    walked = Walked(part, before=True)
    walked.end.set_result(_ended_before(opened.parts[key]))
    return walked


def parts_of(walk: Walk) -> list[Part | None]:
    """The parts that a fetch begins with, in their order; None stands for the partition as a whole."""
    window, bounds, parents = walk.endpoint.window, walk.bounds, walk.parts
    whole: list[Part | None] = [None] if parents is None else list(parents)
    if window is None or bounds is None or window.pieces == 1:
        return whole
    spans = cut(*bounds, window.pieces, window.format)
    return [_piece(part, span) for part in whole for span in spans]


def _piece(part: Part | None, span: tuple[datetime, datetime]) -> Part:
    if part is None:
        return Part(named(*span), bounds=span)
    return replace(part, key=f"{part.key} {named(*span)}", bounds=span, under=part.key)


def together(ends: Sequence[End]) -> End:
    """How a fetch ended whose parts ended so; a fetch of one part as that did.

    >>> together([End("no_next", Expected(2), 2), End("short_page", Expected(3), 4)])
    End(reason='all_parts_ended', expected=Expected(records=5, tells='exactly'), received=6, position=None, more=())
    """
    if len(ends) == 1:
        return ends[0]
    if not ends:
        return End("no_parts")
    by_rule = [end.reason for end in ends if end.reason.startswith(BY_RULE)]
    told = f", {len(by_rule):,} of them {by_rule[0]}" if by_rule else ""
    return End(f"all_parts_ended{told}", in_all([end.expected for end in ends]), sum(end.received for end in ends))


def noted(part: Part | None, end: End) -> PartEnd:
    """The end of a part, to be kept beside its pages."""
    told = None if end.expected is None else end.expected.records
    means = "exactly" if end.expected is None else end.expected.tells
    key, under = key_of(part), part.under if part is not None else ""
    return PartEnd(
        key, end.reason, told, means, end.received, end.position, [_to_json(one) for one in end.more], under=under
    )


def _ended_before(kept: PartEnd) -> End:
    """The end that `noted` made.

    >>> from ingest_assets.http.page import PageRequest
    >>> cut = Part("b", {"shop": "1"}, request=PageRequest("https://x.example", (("page", "2"),)))
    >>> _ended_before(noted(Part("a"), End("cap_reached", more=(cut,)))).more == (cut,)
    True
    """
    told = None if kept.expected is None else Expected(kept.expected, kept.expected_is)
    return End(kept.reason, told, kept.received, kept.position, tuple(_from_json(told) for told in kept.more))


def _to_json(part: Part) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(part)
    return told | {"bounds": None if part.bounds is None else [bound.isoformat() for bound in part.bounds]}


def _from_json(told: Mapping[str, Any]) -> Part:
    bounds, request = told["bounds"], told["request"]
    return Part(
        told["key"],
        told["values"],
        None if bounds is None else (datetime.fromisoformat(bounds[0]), datetime.fromisoformat(bounds[1])),
        None if request is None else request_from(request),
        None if told["of"] is None else Of(**told["of"]),
        told["parent"],
        told["position"],
        tuple(told["batch"]),
        File(**told["file"]) if told.get("file") is not None else None,
        told.get("under", ""),
    )
