"""A page whose records are one list.

Small bodies are split by msgspec. Large ones, and those that msgspec refuses as a whole for the sake of one
record (a lone surrogate, a thousand levels of nesting), are split by their quotes and brackets alone, see
`ingest_assets.http.structure`; both ways give the same records, and a bad record is a record like any other.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, BinaryIO

import msgspec

from ingest_assets.http.decoders.decoded import Block, Decoded
from ingest_assets.http.decoders.envelope import envelope_of
from ingest_assets.http.decoders.parsing import UNREADABLE, address, raw, raw_list, raw_object
from ingest_assets.http.decoders.pieces import begin_of, chunks, cut
from ingest_assets.http.selector import Selector


class JsonPage(Decoded):
    """A page whose records are one list at a path of keys."""

    def __init__(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> None:
        super().__init__(self._split(body, selector, max_record_bytes))

    def _split(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[Block]:
        pieces = chunks(body)
        begin, small = begin_of(pieces)
        if small and (split := _split_small(begin, selector)) is not None:
            text, records, envelope = split
            self.envelope = envelope_of(envelope, selector, found=True)
            if records:
                self._last = memoryview(records[-1])
                yield Block(text, lines=False, first=0, count=len(records), split=records)
            return
        yield from self._by_structure(chain([begin], pieces), selector, max_record_bytes)

    def _by_structure(self, pieces: Iterable[bytes], selector: Selector, max_record_bytes: int) -> Iterator[Block]:
        from ingest_assets.http.structure import Located, locate

        located = Located()
        first = 0
        for text, count in locate(pieces, selector.keys, located, max_record_bytes, single=selector.single == "record"):
            self._last = located.last
            yield Block(text, lines=False, first=first, count=count)
            first += count
        if problem := located.unclosed:
            raise cut(problem)
        self.envelope = envelope_of(bytes(located.envelope), selector, located.found)


def _split_small(body: bytes, selector: Selector) -> tuple[bytes | memoryview, list[msgspec.Raw], bytes] | None:
    """The array's text, its records and the envelope's text; None where msgspec finds anything amiss."""
    try:
        if selector.single != "record" and (records := _at_once(body, selector.keys)):
            origin = address(body)
            start = body.rindex(b"[", 0, address(records[0]) - origin)
            end = body.index(b"]", address(records[-1]) - origin + len(memoryview(records[-1]))) + 1
            return memoryview(body)[start:end], records, body[:start] + b"null" + body[end:]
        return _step_by_step(body, selector)
    except (*UNREADABLE, KeyError):
        return None


def _at_once(body: bytes, keys: tuple[str, ...]) -> list[msgspec.Raw] | None:
    """The records at a path, found by reading the body once; None where the keys cannot be told to the decoder."""
    decoder = _decoder(keys)
    if decoder is None:
        return None
    found = decoder.decode(body)
    for _ in keys:
        (found,) = msgspec.structs.astuple(found)
    records: list[msgspec.Raw] = found
    return records


@lru_cache(maxsize=256)
def _decoder(keys: tuple[str, ...]) -> msgspec.json.Decoder[Any] | None:
    kind: Any = list[msgspec.Raw]
    try:
        for key in reversed(keys):
            kind = msgspec.defstruct("Envelope", [("inside", kind)], rename={"inside": key}, gc=False)
    except ValueError:  # a key with a quote, a backslash or a control character
        return None
    return msgspec.json.Decoder(kind)


def _step_by_step(body: bytes, selector: Selector) -> tuple[bytes | memoryview, list[msgspec.Raw], bytes]:
    part = raw.decode(body)
    for key in selector.keys:
        part = raw_object.decode(part)[key]
    alone = selector.single == "record" and bytes(memoryview(part)[:1]) == b"{"
    records = [part] if alone else raw_list.decode(part)
    if not records:  # an empty list may stay where it is: whatever is at the path is taken out of the envelope
        return b"[]", [], body
    start = address(part) - address(body)
    end = start + len(memoryview(part))
    text = b"[" + body[start:end] + b"]" if alone else memoryview(body)[start:end]
    return text, records, body[:start] + b"null" + body[end:]
