"""Pages whose records stand in several places: lists in lists, dictionaries, or columns side by side."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

import msgspec

from ingest_assets.errors import RequestFailed
from ingest_assets.http import nested
from ingest_assets.http.decoders import pieces
from ingest_assets.http.decoders.decoded import Block, Decoded
from ingest_assets.http.decoders.envelope import KEYS_SHOWN, envelope_of
from ingest_assets.http.decoders.json_list import JsonPage
from ingest_assets.http.decoders.parsing import SPACE, UNREADABLE, address, raw, raw_list, raw_object
from ingest_assets.http.decoders.pieces import BOM, begin_of, chunks, cut
from ingest_assets.http.selector import Selector
from ingest_assets.http.sizes import BLOCK_BYTES
from ingest_assets.http.structure import is_whole

_FIELD_BYTES = 64  # of one field in a record's text, about: a block of records is as large as any other


class NestedPage(Decoded):
    """A page whose records stand in several places: in each element of a list, or as values of a dictionary."""

    def __init__(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> None:
        super().__init__(self._split(body, selector, max_record_bytes))

    def _split(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[Block]:
        by_key = selector.steps[0][0] == "{}"
        texts = (self._of_dictionary if by_key else self._of_list)(body, selector, max_record_bytes)
        held, size, first = list[bytes](), 0, 0
        for text in texts:
            held.append(text)
            size += len(text)
            self._last = text
            if size >= BLOCK_BYTES:
                yield Block(b"[" + b",".join(held) + b"]", lines=False, first=first, count=len(held))
                held, size, first = [], 0, first + len(held)
        if held:
            yield Block(b"[" + b",".join(held) + b"]", lines=False, first=first, count=len(held))

    def _of_list(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[bytes]:
        outer = JsonPage(body, Selector(path=".".join(selector.keys), absent=selector.absent), max_record_bytes)
        for block in outer:
            for element in block.records():
                yield from nested.records(selector, bytes(element), max_record_bytes)
        self.envelope = outer.envelope

    def _of_dictionary(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[bytes]:
        text, small = begin_of(chunks(body))
        if not small:
            raise _too_large_as_one(selector, "a dictionary")
        part = _at(text, selector)
        if part is None:
            self.envelope = envelope_of(text, selector, found=False)
            return
        start = address(part) - address(text)
        end = start + len(memoryview(part))
        yield from nested.values(selector, text[start:end], max_record_bytes)
        self.envelope = envelope_of(text[:start] + b"null" + text[end:], selector, found=True)


def _too_large_as_one(selector: Selector, what: str) -> RequestFailed:
    return RequestFailed(
        f"records: {selector.path!r}: a page of {what} is read as one, and this is larger than "
        f"{pieces.SMALL_BYTES >> 20} MB: ask for less at once, by smaller pages or partitions"
    )


def _unreadable(selector: Selector) -> RequestFailed:
    return RequestFailed(
        f"records: {selector.path!r}: a page of this kind is read as one, and this cannot be: a text in it is not "
        "UTF-8 or has half a surrogate pair, or something in it is too deep"
    )


class ColumnsPage(Decoded):
    """A page whose records are given field by field. Its body is read as one, and so may not be large."""

    def __init__(self, body: BinaryIO, selector: Selector, _max_record_bytes: int) -> None:
        super().__init__(self._split(body, selector))

    def _split(self, body: BinaryIO, selector: Selector) -> Iterator[Block]:
        text, small = begin_of(chunks(body))
        if not small:
            raise _too_large_as_one(selector, "columns")
        part = _at(text, selector)
        if part is None:
            self.envelope = envelope_of(text, selector, found=False)
            return
        start = address(part) - address(text)
        end = start + len(memoryview(part))
        self.envelope = envelope_of(text[:start] + b"null" + text[end:], selector, found=True)
        columns = _columns(text[start:end], selector)
        rows, first = zip(*columns.values(), strict=True), 0
        names = [json.dumps(name).encode() for name in columns]
        while records := list(islice(rows, max(1, BLOCK_BYTES // (_FIELD_BYTES * len(names))))):
            texts = [_record(names, values) for values in records]
            self._last = texts[-1]
            yield Block(b"[" + b",".join(texts) + b"]", lines=False, first=first, count=len(texts))
            first += len(texts)


def _at(body: bytes, selector: Selector) -> msgspec.Raw | None:
    """What is at the path, or None where nothing is; TransientFailure where the body is cut, or RequestFailed."""
    part = msgspec.Raw(body)
    try:
        part = raw.decode(body)
        for key in selector.keys:
            part = raw_object.decode(part)[key]
    except KeyError:
        return None
    except UNREADABLE as error:
        if not is_whole(body.removeprefix(BOM).strip(SPACE)):
            raise cut("its structure is not closed") from None
        if isinstance(error, msgspec.ValidationError):
            return None
        envelope_of(body, selector, found=True)  # says what is wrong where that is plain
        raise _unreadable(selector) from None
    return None if bytes(part) == b"null" else part


def _columns(text: bytes, selector: Selector) -> dict[str, list[msgspec.Raw]]:
    """The lists by the name of their field, all of one length; else RequestFailed, saying which are not."""
    named = f"records: {selector.path!r}"
    try:
        fields = raw_object.decode(text)
        columns = {name: raw_list.decode(field) for name, field in fields.items()}
    except msgspec.ValidationError:
        raise RequestFailed(f"{named}: layout: columns expects an object whose every field is a list") from None
    except UNREADABLE:
        raise _unreadable(selector) from None
    skeleton = text
    for field in sorted(fields.values(), key=address, reverse=True):
        start = address(field) - address(text)
        skeleton = skeleton[:start] + b"0" + skeleton[start + len(memoryview(field)) :]
    if len(twice := json.loads(skeleton, object_pairs_hook=list)) > len(columns):
        told = next(name for name, count in Counter(name for name, _ in twice).items() if count > 1)
        raise RequestFailed(f"{named}: the key {told!r} stands twice in one object")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length:,}" for name, length in [*lengths.items()][:KEYS_SHOWN])
        raise RequestFailed(f"{named}: its lists differ in length, so no record can be told: {shown}")
    if not columns:
        raise RequestFailed(f"{named}: layout: columns expects an object of lists, found an empty object")
    return columns


def _record(names: Sequence[bytes], values: Sequence[msgspec.Raw]) -> bytes:
    return b"{" + b",".join(b"%s:%s" % (name, bytes(value)) for name, value in zip(names, values, strict=True)) + b"}"
