"""The first page of a walk, for people to look at: nothing is stored, and nothing counts."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.errors import RequestFailed, Ruled, WalkIncomplete
from ingest_assets.extract.connections import connections, refuse_others
from ingest_assets.extract.cut_lists import cuts
from ingest_assets.extract.ending import refuse_errors, telling_errors
from ingest_assets.extract.expected import counted, refuse_open_end, refuse_unmarked
from ingest_assets.extract.job_files import parts
from ingest_assets.extract.jobs import Control, Jobs
from ingest_assets.extract.more import more
from ingest_assets.extract.request import File, Walk, first_request, shown
from ingest_assets.extract.ruled import is_empty, noted, nothing_in
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.decoders import Block
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.decoders.texts import same_encoding
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.place import beside, whole
from ingest_assets.raw.jobs import InMemory

_SPILL_BYTES = 1 << 20
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]{1,40})", re.IGNORECASE | re.ASCII)


class Peek(Struct, frozen=True):
    """A first page: where it came from, how many records it holds, the first block of them, and what is odd.

    `stops` is why a walk could not go on after it, though the page itself came; `left` is what the answer told of the
    API's scarcest allowance.
    """

    url: str
    bytes: int
    records: int
    first: Block | None
    oddities: tuple[str, ...]
    stops: str | None = None
    parent: Mapping[str, str] = field(default_factory=dict)
    left: str | None = None


def peek(client: Client, walk: Walk, control: Control | None = None) -> Peek:
    """Ask for the first page as a fetch would; raises what a fetch would raise.

    Where the API makes the records by a job, one is made, and of its files the first is read.
    """
    if walk.endpoint.job is None:
        return _peek_unless_skipped(client, walk)
    jobs = Jobs(walk, InMemory(), control or Control(), lambda: datetime.now(UTC))
    with jobs.cancelling(client):
        made = jobs.made(client, walk)
    if made.files is None:
        return _peek(client, replace(walk, job=made.values), client.fetch)
    if not made.files:
        return Peek("", 0, 0, None, ("the job made no files: has the partition no records?",), left=client.left)
    part, first = next(parts(walk, made.files)), File("", 0)
    return _peek(client, walk.of(part), lambda _, receive: jobs.download(client, walk, first, receive))


def _peek_unless_skipped(client: Client, walk: Walk) -> Peek:
    try:
        return _peek(client, walk, client.fetch)
    except Ruled as error:
        if error.means != "skip_parent" or walk.part is None:
            raise
        told = f"the first parent, {shown(walk.part.key)}, is skipped by a rule of `responses`: {error.rule}"
        return Peek(first_request(walk).url, 0, 0, None, (told,), parent=walk.part.parent, left=client.left)


def _peek(client: Client, walk: Walk, fetch: Callable[[PageRequest, Callable[[Response], Peek]], Peek]) -> Peek:
    request = first_request(walk)

    def receive(response: Response) -> Peek:
        nothing = is_empty(response)
        if not nothing:
            refuse_unmarked(walk, response)
        with tempfile.SpooledTemporaryFile(max_size=_SPILL_BYTES) as body:
            for chunk in response.chunks():
                body.write(chunk)
            size = body.tell()
            body.seek(0)
            into, decode = cast("BinaryIO", body), walk.endpoint.decoder.decode
            decoded = nothing_in(walk, response, into) if nothing else decode(into, walk.endpoint.records)
            first: Block | None = None
            cut, nested = cuts(walk), connections(walk)
            with telling_errors(walk, response.status, lambda: _again(into)):
                for block in decoded:
                    first = first or block
                    if nested is not None:
                        nested.add_all(block.records())
                    if cut is not None:
                        cut.add_all(block)
            refuse_open_end(walk, response, decoded)
            response.learn(decoded.envelope)
            refuse_others(walk, decoded.envelope)
            page = Page(
                0, request, response.status, response.headers, decoded.envelope, decoded.records, decoded.last_record
            )
        odd, stops = [*_oddities(walk, page), *_shared(walk, first)], _stops(walk, page)
        if told := next(iter(noted(response).values()), None):
            odd, stops = [f"the first page is the last, or empty, by a rule of `responses`: {told}"], None
        return Peek(response.url, size, decoded.records, first, tuple(odd), stops)

    parent = walk.part.parent if walk.part is not None else {}
    peeked = replace(fetch(request, receive), left=client.left, parent=parent)
    try:
        counted(client, walk, datetime.now(UTC))
    except RequestFailed as error:
        return replace(peeked, stops=peeked.stops or str(error))
    return peeked


def _again(body: BinaryIO) -> BinaryIO:
    body.seek(0)
    return body


def _stops(walk: Walk, page: Page) -> str | None:
    """Why a walk would fail at this page, if so."""
    endpoint = walk.endpoint
    try:
        refuse_errors(walk, "the first page", page.status, page.envelope)
        endpoint.paginator.next(page)
        told = endpoint.total.told(page) if endpoint.total is not None else None
    except (WalkIncomplete, RequestFailed) as error:
        return str(error)
    if endpoint.total is not None and told is None:
        return f"total: the first page holds no number {endpoint.total}{beside(endpoint.total, page)}"
    return None


def _is_last(walk: Walk, page: Page) -> bool:
    try:
        return walk.endpoint.paginator.finished(page) is not None
    except (WalkIncomplete, RequestFailed):
        return False


def _charset(walk: Walk, page: Page) -> list[str]:
    """That the answer says another encoding than the one that it is read in."""
    read, told = walk.endpoint.decoder.read_as, _CHARSET.search(page.headers.get("content-type", ""))
    if told is None or read is None or same_encoding(told[1], read):
        return []
    hint = "say so by `encoding` of `decoder`" if walk.endpoint.decoder.texts else "tell its people: JSON is UTF-8"
    return [f"the answer says charset={told[1]}, and is read as {read}: where the answer is right, {hint}"]


def _shared(walk: Walk, first: Block | None) -> list[str]:
    """That records share the value by which the page after the last of them is asked for."""
    from ingest_assets.http.paginators.cursors import LastRecord

    paginator, is_counted = walk.endpoint.paginator, walk.endpoint.total is not None or walk.endpoint.count is not None
    if first is None or is_counted or not isinstance(paginator, LastRecord):
        return []
    values = Counter(str(value) for text in first.records() if (value := _value(text, paginator.field)) is not None)
    if max(values.values(), default=0) < 2:
        return []
    told = (
        f"records share the value of {paginator.field!r}, by which the next page is asked for: where a page ends "
        "between two that do, the second may be on none. Take a field of which each record has its own, or name the "
        "API's count by `total:` or `count:`"
    )
    return [told]


def _value(text: bytes | memoryview, path: str) -> Any:
    try:
        return dig(msgspec.json.decode(text), path)
    except UNREADABLE:
        return None


def _oddities(walk: Walk, page: Page) -> list[str]:
    """What a person should know before the first real fetch."""
    endpoint, odd = walk.endpoint, list[str]()
    if not page.records:
        odd.append("the first page holds no records: is that so, or does `records` point elsewhere?")
    odd += _charset(walk, page)
    odd += [
        f"the first page has no header {name!r}, by which the walk would go on: is it the right name, "
        "or is there one page only?"
        for name in endpoint.paginator.headers
        if name not in page.headers
    ]
    total = endpoint.paginator.records_total
    if total is not None and page.records and whole(total.find(page)) == page.records:
        odd.append(f"the total {total} is the number of records of the first page: is it the count of that page alone?")
    is_last = _is_last(walk, page)
    if endpoint.total is not None and not is_last and page.records and whole(endpoint.total.find(page)) == page.records:
        odd.append(
            f"the total {endpoint.total} is no more than the records of the first page, and another page follows"
        )
    if is_last and (told := more(page)):
        odd.append(
            f"only this page would be read, and the answer tells of more by {told}: look at `paginator`, docs/paging.md"
        )
    if endpoint.window and endpoint.changes in (None, "unseen"):
        odd.append("changes: what changes after its window is not seen; say `lookback`, `feed` or `immutable`")
    return odd
