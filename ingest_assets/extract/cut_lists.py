"""Nested lists that came cut: each is read by itself, as a part of the fetch that follows the page of its record.

    page 3   {"id": "in_1", "lines": {"data": [10 lines], "has_more": true, "url": "/v1/invoices/in_1/lines"}}
    page 7   {"data": [100 lines], "has_more": true}      ┐ of page 3, record 0, list lines.data: when records are read
    page 8   {"data": [7 lines], "has_more": false}       ┘ from the snapshot, these 107 take the place of the 10

The list is read from its start, so that it is one reading and no seam can be wrong. What a page's note says of its cut
lists is enough to go on with them after a rest.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import asdict

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract.request import NO_SEGMENT, Of, Part, Walk, filled_by, headers_of, request_from, values_of
from ingest_assets.http.decoders import Block
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import MISSING, PageRequest, find
from ingest_assets.http.paginators.signs import truth
from ingest_assets.http.place import kind, whole
from ingest_assets.raw.snapshots import IndexEntry
from ingest_assets.source import CutList

CUT = "cut"
"""Where the note of a page tells which of its records' lists are cut."""
_NAMED = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Cuts:
    """The cut lists of one page's records."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self.found: list[dict[str, Any]] = []

    def add_all(self, block: Block) -> None:
        """Note those of some records; WalkIncomplete where it cannot be told, or not where all of a list is."""
        for position, text in enumerate(block.records(), block.first):
            try:
                record = _decoder.decode(text)
            except UNREADABLE:
                continue  # it goes to quarantine
            for name, told in self._walk.endpoint.cut_lists.items():
                where = f"{self._walk.label}: cut_lists: {name}: record {position}"
                if _is_cut(record, name, told, where):
                    request = _request(self._walk, record, told, where)
                    told_again = json.loads(json.dumps(asdict(request), default=str))  # as it comes from the index
                    self.found.append({"list": name, "position": position, "request": told_again})


def cuts(walk: Walk) -> Cuts | None:
    """What notes the cut lists of a page; None where the file names none."""
    return Cuts(walk) if walk.endpoint.cut_lists else None


def parts(walk: Walk, entry: IndexEntry) -> Iterator[Part]:
    """The parts of the fetch that read the cut lists of a stored page."""
    before = f"{walk.part.key}, " if walk.part is not None else ""
    for told in entry.note.get(CUT, ()):
        key = f"{before}{told['list']} of record {told['position']} of page {entry.number}"
        yield Part(key, request=request_from(told["request"]), of=Of(told["list"], entry.number, told["position"]))


def _is_cut(record: Any, name: str, told: CutList, where: str) -> bool:
    there = find(record, name)
    if not isinstance(there, list):
        _refuse_inner(record, name, where)
        return False  # a thinner shape of the record, which has no list to be cut
    if told.total is not None:
        number = whole(find(record, told.total))
        if number is None:
            raise WalkIncomplete(f"{where}: expected a whole number at {told.total!r}, which tells whether it was cut")
        return number > len(there)
    said = find(record, told.has_more or "")
    more = truth(said)
    if more is None:
        raise WalkIncomplete(
            f"{where}: expected true or false at {told.has_more!r}, which tells whether it was cut, found {kind(said)}"
        )
    return more


def _refuse_inner(record: Any, name: str, where: str) -> None:
    """Raise WalkIncomplete where the path leads through a list: each of its elements would have a list of its own."""
    steps = name.split(".")
    for taken in range(1, len(steps)):
        if isinstance(find(record, outer := ".".join(steps[:taken])), list):
            raise WalkIncomplete(
                f"{where}: {outer!r} is a list, and lists inside of its elements are not read on. Make an endpoint of "
                f"{outer!r} where the API has one, and cut_lists of that"
            )


def _request(walk: Walk, record: Any, told: CutList, where: str) -> PageRequest:
    values = values_of(walk)

    def value(name: str) -> str:
        found = find(record, name)
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            return str(found)
        if found is MISSING and name in values:
            return values[name]
        raise WalkIncomplete(
            f"{where}: expected a text or number at {name!r} to ask for all of it, found {kind(found)}"
        )

    def segment(name: str) -> str:
        found = value(name)
        if found in NO_SEGMENT:
            raise WalkIncomplete(f"{where}: {{{name}}} is {found!r}, which is no part of a path")
        return quote(found, safe=":")

    def put(part: Any) -> Any:
        return filled_by(part, lambda match: value(match[1]), _NAMED)

    base = (walk.endpoint.base_url or walk.source.base_url).rstrip("/")
    if told.url is not None:
        from ingest_assets.http.paginators.links import next_url

        url = next_url(base, value(told.url))
    else:
        path = filled_by((told.path or "").lstrip("/"), lambda match: segment(match[1]), _NAMED)
        url = f"{base}/{path}"
    body, params = put(told.body), {name: put(_text(param)) for name, param in told.params.items()}
    if body is not None and told.body_as == "form":
        body, params = {**body, **params}, {}
    request = PageRequest(url, tuple(params.items()), told.method, headers_of(walk), body, told.body_as)
    return told.paginator.begun(request)


def _text(value: Mapping[str, Any] | str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
