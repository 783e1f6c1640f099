"""The records of a snapshot's pages, their nested lists complete: those that were cut are on pages of their own."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest

import msgspec

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders import MAX_RECORD_BYTES, Block, Decoder
from ingest_assets.http.decoders.parsing import address, raw_object
from ingest_assets.http.selector import Selector
from ingest_assets.raw.index import IndexEntry
from ingest_assets.raw.reading import Snapshot

OF = "of"
"""Where the note of a page tells that it is a part of a nested list: of which page, record and list."""
ITEMS = "items"
"""Where such a page's note has how many elements it holds: it counts as no records of its own."""

UNCHANGED = "unchanged_since"
"""Where the note of a page has the number of the fetch in which it came over the network."""

END, EMPTY = "end", "empty"
"""Where the note of a page says by which rule of the source file it is the last one, or holds no records at all."""

_TOLD = f'"{OF}":{{"list":'.encode()  # as the index writes it
Rest = dict[int, dict[str, list[int]]]


class StoredRecords:
    """The pages of a snapshot that hold records, and the records of each; a file's `cut_lists` decides nothing here."""

    def __init__(self, snapshot: Snapshot, decoder: Decoder, selector: Selector) -> None:
        self._snapshot, self._decoder, self._selector = snapshot, decoder, selector
        self._rest = defaultdict[int, Rest](dict)
        for entry in snapshot.pages if snapshot.tells(_TOLD) else ():
            if (of := entry.note.get(OF)) is not None:
                self._rest[of["page"]].setdefault(of["position"], {}).setdefault(of["list"], []).append(entry.number)

    def pages(self) -> Iterator[IndexEntry]:
        """The pages in order, without those of nested lists, and those that hold no records whatever is in them."""
        return (entry for entry in self._snapshot.pages if OF not in entry.note and EMPTY not in entry.note)

    def blocks(self, entry: IndexEntry) -> Iterator[Block]:
        """The records of a page, block by block."""
        rest = self._rest.get(entry.number, {})
        with self._snapshot.body(entry) as body:
            for block in self._decoder.decode(body, self._selector):
                is_cut = any(block.first <= place < block.first + block.count for place in rest)
                yield self._whole(block, rest) if is_cut else block

    def _whole(self, block: Block, rest: Rest) -> Block:
        texts = []
        for position, text in enumerate(map(bytes, block.records()), block.first):
            for name, numbers in rest.get(position, {}).items():
                text = _with_list(text, tuple(name.split(".")), self._elements(numbers))
            if len(text) > MAX_RECORD_BYTES:
                raise RequestFailed(f"a record is larger than {MAX_RECORD_BYTES >> 20} MB with its nested lists")
            texts.append(text)
        return Block.of(texts, lines=block.lines, first=block.first, flaws=block.flaws)

    def _elements(self, numbers: list[int]) -> list[bytes]:
        """The elements of a nested list, by its pages; of one asked for twice, around a rest, what came last."""
        found, entries = list[bytes](), [self._snapshot.pages[number] for number in numbers]
        for entry, following in zip_longest(entries, entries[1:]):
            if following is not None and following.request == entry.request:
                continue
            selector = Selector.model_validate(entry.note[OF]["records"])
            with self._snapshot.body(entry) as body:
                for block in self._decoder.decode(body, selector):
                    found += map(bytes, block.records())
        return found


def _with_list(text: bytes, keys: tuple[str, ...], elements: list[bytes]) -> bytes:
    """A record's text with these elements as its list at a path, and everything else as it was.

    >>> _with_list(b'{"id": 1, "lines": {"data": [1], "more": true}}', ("lines", "data"), [b"1", b"2"])
    b'{"id": 1, "lines": {"data": [1,2], "more": true}}'
    """
    part: bytes | msgspec.Raw = text
    for key in keys:
        part = raw_object.decode(part)[key]
    begin = address(part) - address(text)
    return text[:begin] + b"[" + b",".join(elements) + b"]" + text[begin + len(memoryview(part)) :]
