"""What every decoder gives: the records of a page in blocks, and what was learned of it on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ingest_assets.http.decoders.parsing import SPACE, UNREADABLE, parsed, raw_list

MAX_RECORD_BYTES = 64 << 20


@dataclass(frozen=True)
class Block:
    """Some records in a row: the text of a JSON array, or JSON lines. `first` is the first one's place in the page.

    `view` may be a part of the body, and `text` is a copy of it then, made where somebody asks for it.
    `flaws` says what is wrong with those that are no records, by place in the block. `split` are the texts of the
    records, where it was taken apart already.
    """

    view: bytes | memoryview
    lines: bool
    first: int
    count: int
    flaws: Mapping[int, str] = field(default_factory=dict)
    split: Sequence[bytes] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, texts: Sequence[bytes], *, lines: bool, first: int, flaws: Mapping[int, str]) -> "Block":
        r"""The block of these records.

        >>> Block.of([b"{}", b"[]"], lines=True, first=3, flaws={1: "no object"}).text
        b'{}\n[]'
        """
        text = b"\n".join(texts) if lines else b"[%s]" % b",".join(texts)
        return cls(text, lines=lines, first=first, count=len(texts), flaws=flaws, split=texts)

    @property
    def size(self) -> int:
        """How many bytes the text has."""
        return len(self.view)

    @cached_property
    def text(self) -> bytes:
        """The whole text."""
        return bytes(self.view)

    def records(self) -> Sequence[bytes]:
        """The text of each record, in order, without the space around it; empty where the API sent nothing.

        Texts are bytes, or msgspec.Raw: anything that takes a buffer takes them.

        >>> [bytes(record) for record in Block(b'[ {"a": 1} , 2]', lines=False, first=0, count=2).records()]
        [b'{"a": 1}', b'2']
        """
        if self.split is not None:
            return self.split
        if self.lines:
            return [line for line in map(trimmed, self.text.split(b"\n")) if line]
        try:
            return raw_list.decode(self.text)
        except UNREADABLE:
            from ingest_assets.http.structure import split_array

            return [record.strip(SPACE) for record in split_array(self.text)]


def trimmed(line: bytes) -> bytes:
    return line.strip(SPACE)


class Decoded:
    """The blocks of a page, to be iterated once; what it says of the page is known when the last one was given.

    `open_end` is whether its last line has no end where others have one: cut there, its last value looks whole.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._last: bytes | memoryview | None = None
        self.envelope: Any = None
        self.records = 0
        self.open_end = False

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.records += block.count
            yield block

    @property
    def last_record(self) -> Any:
        """The page's last record, parsed, its numbers exact; None where there is none, or it is not JSON."""
        try:
            return parsed(bytes(self._last)) if self._last is not None else None
        except (ValueError, RecursionError):
            return None
