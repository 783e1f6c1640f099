"""Finds the records of a JSON text by its quotes and brackets alone, in memory that does not grow with it.

A parser refuses a page for one bad record; here it is only cut out like the others. Nothing recurses, and
numpy looks at half a megabyte at a time: the positions of quotes, brackets and commas, those inside strings
taken away, and for each how many brackets are open after it.
"""

import json
from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from ingest_assets.errors import RequestFailed
from ingest_assets.http.sizes import BLOCK_BYTES, MAX_ENVELOPE_BYTES, too_large

_PIECE_BYTES = 1 << 19
_SPACE = b" \t\r\n"

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPEN_LIST, _OPEN_OBJECT = b"[{"
_MARKS = b'"\\{}[],'
_IS_MARK = bytes(1 if byte in _MARKS else 0 for byte in range(256))
_STEP = np.zeros(256, np.int64)
_STEP[list(b"{[")] = 1
_STEP[list(b"}]")] = -1

_Ints = NDArray[np.int64]
_Bytes = NDArray[np.uint8]


class _Tokens(Struct, frozen=True):
    """Quotes, brackets and commas outside of strings: where, which, and how many brackets are open after each."""

    at: _Ints
    char: _Bytes
    depth: _Ints


class _Scan(Struct):
    """Where the scan of a text stands between two pieces."""

    depth: int = 0
    in_string: bool = False
    escaping: bool = False

    def tokens(self, piece: bytes) -> _Tokens:
        """The tokens of the next piece."""
        text = np.frombuffer(piece, np.uint8)
        at = np.flatnonzero(np.frombuffer(piece.translate(_IS_MARK), np.bool_))
        char = text[at]
        at, char = self._without_escaped(at, char, len(piece))
        quote = char == _QUOTE
        inside = (np.cumsum(quote) + self.in_string) % 2 == 1
        self.in_string = bool(inside[-1]) if len(inside) else self.in_string
        outside = quote | ~inside
        at, char = at[outside], char[outside]
        depth = np.cumsum(_STEP[char]) + self.depth
        self.depth = int(depth[-1]) if len(depth) else self.depth
        return _Tokens(at, char, depth)

    def _without_escaped(self, at: _Ints, char: _Bytes, size: int) -> tuple[_Ints, _Bytes]:
        """Backslashes taken away, and the quotes that an odd number of them escapes (RFC 8259 §7)."""
        slash = char == _BACKSLASH
        carried, self.escaping = self.escaping, False
        if not slash.any() and not carried:
            return at, char
        escaped = np.zeros(size + 1, np.bool_)
        slashes = at[slash]
        if carried and not (len(slashes) and slashes[0] == 0):
            escaped[0] = True
        if len(slashes):
            first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
            length = np.diff(np.append(first, len(slashes)))
            end = slashes[first] + length
            odd = length % 2 == 1
            if carried and slashes[0] == 0:
                odd[0] = not odd[0]
            escaped[end[odd]] = True
        self.escaping = bool(escaped[size])
        kept = ~slash & ~((char == _QUOTE) & escaped[at])
        return at[kept], char[kept]


class Located(Struct):
    """What is known of a body once it was read to its end: its envelope, with null in place of the records."""

    envelope: bytearray = field(default_factory=bytearray)
    found: bool = False
    last: bytes | None = None
    unclosed: str | None = None


class _Search:
    """Walks down a path of keys, token by token, looking only at tokens of the level it is on.

    `single`: whether an object may stand where the list is due.
    """

    def __init__(self, keys: tuple[str, ...], *, single: bool) -> None:
        self._keys, self._single = keys, single
        self._matched = 0
        self._level = 0
        self._value_next = True
        self._key_next = False
        self._key_start: int | None = None
        self._over = False

    def found(self, tokens: _Tokens, text: bytearray, base: int) -> int | None:
        """Which token opens what holds the records, if one of these does. `base` is the piece's place in `text`."""
        level_of = tokens.depth - (_STEP[tokens.char] == 1)
        begin = 0
        while not self._over:
            level = self._level
            for index in (np.flatnonzero(level_of[begin:] <= level) + begin).tolist():
                if self._is_records(int(tokens.char[index]), int(level_of[index]), text, base + int(tokens.at[index])):
                    return index
                if self._over or self._level != level:
                    begin = index + 1
                    break
            else:
                return None
        return None

    def _is_records(self, char: int, level: int, text: bytearray, at: int) -> bool:
        if self._value_next:
            return self._enters(char)
        if level < self._level:
            self._over = True
        elif char == _COMMA:
            self._key_next = True
        elif char == _QUOTE and self._key_next:
            self._take_key(text, at)
        return False

    def _enters(self, char: int) -> bool:
        """Whether the value of the path's last key holds records; else go into the object, or give up."""
        self._value_next = False
        if self._matched == len(self._keys):
            self._over = True
            return char == _OPEN_LIST or (self._single and char == _OPEN_OBJECT)
        self._over = char != _OPEN_OBJECT
        self._level, self._key_next = self._level + 1, True
        return False

    def _take_key(self, text: bytearray, at: int) -> None:
        if self._key_start is None:
            self._key_start = at
            return
        raw, self._key_start, self._key_next = text[self._key_start : at + 1], None, False
        if _key(raw) == self._keys[self._matched]:
            self._matched += 1
            self._value_next = True


def _key(raw: bytearray) -> str | None:
    try:
        return str(json.loads(raw))
    except ValueError:
        return None


class _Records:
    """Gathers the inside of the records' list, and gives it back in blocks that end between two records.

    `alone`: what is gathered is the only record itself, in the place of a list, with its brackets.
    """

    def __init__(self, depth: int, max_record_bytes: int, *, alone: bool) -> None:
        self._depth = depth
        self.alone = alone
        self._max_record_bytes = max_record_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._commas = 0
        self._open = 0  # bytes since the last comma

    def end(self, tokens: _Tokens, begin: int) -> int | None:
        """Which token, from `begin` on, closes the list."""
        closing = np.flatnonzero(tokens.depth[begin:] < self._depth)
        return begin + int(closing[0]) if len(closing) else None

    def commas(self, tokens: _Tokens, begin: int, end: int | None) -> _Ints:
        """Where the commas between records are, among these tokens."""
        part = slice(begin, end)
        between = (tokens.char[part] == _COMMA) & (tokens.depth[part] == self._depth)
        at: _Ints = tokens.at[part][between & (not self.alone)]
        return at

    def add(self, piece: bytes, commas: _Ints) -> None:
        """Take the next part of the list; `commas` are places in it."""
        self._parts.append(piece)
        self._size += len(piece)
        self._commas += len(commas)
        self._open = len(piece) - int(commas[-1]) - 1 if len(commas) else self._open + len(piece)
        if self._open > self._max_record_bytes:
            raise too_large(self._max_record_bytes)

    def full(self) -> tuple[bytes, int] | None:
        """A block of what came before the last comma, and how many records it holds, once it is large enough."""
        if self._size - self._open < BLOCK_BYTES:
            return None
        inside = b"".join(self._parts)
        cut = len(inside) - self._open
        block, count = b"[" + inside[: cut - 1] + b"]", self._commas
        self._parts, self._size, self._commas = [inside[cut:]], self._open, 0
        return block, count

    def rest(self) -> tuple[bytes, int, bytes]:
        """The last block once the list is closed, how many records it holds, and the last of them."""
        inside = b"".join(self._parts)
        count = self._commas + 1 if self._commas or inside.strip(_SPACE) else 0
        return b"[" + inside + b"]", count, inside[len(inside) - self._open :]


def locate(
    pieces: Iterable[bytes],
    keys: tuple[str, ...],
    located: Located,
    max_record_bytes: int,
    *,
    single: bool = False,
) -> Iterator[tuple[bytes, int]]:
    """Blocks of the records' list at a path of keys, each a JSON array's text and how many records it holds.

    `located` is filled as the body is read and complete after the last block. Where it says `unclosed`, the
    body is cut. Where nothing was found there are no blocks, and the envelope is the whole body. With `single`, an
    object in the place of the list is the only record.
    """
    scan, search = _Scan(), _Search(keys, single=single)
    records: _Records | None = None
    for piece in (part for whole_piece in pieces for part in _parts(whole_piece)):
        tokens = scan.tokens(piece)
        begin = start = 0
        if not located.found:
            opening = _opening(search, located, tokens, piece)
            if opening is None:
                continue
            alone = int(tokens.char[opening]) == _OPEN_OBJECT
            records = _Records(int(tokens.depth[opening]), max_record_bytes, alone=alone)
            begin, start = opening + 1, int(tokens.at[opening]) + (not alone)
        if records is None:
            _append(located, piece)
            continue
        closing = records.end(tokens, begin)
        stop = len(piece) if closing is None else int(tokens.at[closing]) + records.alone
        records.add(piece[start:stop], records.commas(tokens, begin, closing) - start)
        if (block := records.full()) is not None:
            yield block
        if closing is not None:
            text, count, located.last = records.rest()
            after, records = stop + (not records.alone), None
            if count:
                yield text, count
            _append(located, piece[after:])
    if records is not None:
        located.unclosed = "its list of records is not closed"
    elif scan.in_string or scan.depth > 0:
        located.unclosed = "it ends inside a text" if scan.in_string else "its structure is not closed"


def _parts(piece: bytes) -> Iterator[bytes]:
    return (piece[at : at + _PIECE_BYTES] for at in range(0, len(piece), _PIECE_BYTES))


def _append(located: Located, piece: bytes) -> None:
    located.envelope += piece
    if len(located.envelope) > MAX_ENVELOPE_BYTES:
        raise RequestFailed(
            f"more than {MAX_ENVELOPE_BYTES >> 20} MB lie outside the records: is the path in `records` right?"
        )


def _opening(search: _Search, located: Located, tokens: _Tokens, piece: bytes) -> int | None:
    """The token that opens the list, if it is in this piece; what comes before it goes to the envelope."""
    base = len(located.envelope)
    _append(located, piece)
    opening = search.found(tokens, located.envelope, base)
    if opening is not None:
        located.found = True
        del located.envelope[base + int(tokens.at[opening]) :]
        located.envelope += b"null"
    return opening


def split_array(text: bytes) -> list[bytes]:
    """The text of each element of a JSON array that is closed, with the space around it.

    >>> split_array(b'[{"a": [1, 2]}, "x,]\\\\"", 3]')
    [b'{"a": [1, 2]}', b' "x,]\\\\""', b' 3']
    """
    scan, commas = _Scan(), [text.index(b"[")]
    base = 0
    for piece in _parts(text):
        tokens = scan.tokens(piece)
        commas += (tokens.at[(tokens.char == _COMMA) & (tokens.depth == 1)] + base).tolist()
        base += len(piece)
    ends = [*commas[1:], text.rindex(b"]")]
    elements = [text[begin + 1 : end] for begin, end in zip(commas, ends, strict=True)]
    return [] if len(elements) == 1 and not elements[0].strip(_SPACE) else elements


def fields_of(text: bytes) -> int:
    """How many pairs of key and value an object that is closed has, keys that stand twice counted twice.

    >>> fields_of(b'{"a": [1, 2], "a": {"b,": 1}}'), fields_of(b"{ }")
    (2, 0)
    """
    scan, commas = _Scan(), 0
    for piece in _parts(text):
        tokens = scan.tokens(piece)
        commas += int(np.count_nonzero((tokens.char == _COMMA) & (tokens.depth == 1)))
    return commas + 1 if commas or text.strip(_SPACE)[1:-1].strip(_SPACE) else 0


def is_whole(text: bytes) -> bool:
    """Whether the text is one object or list from its first to its last byte, whatever is inside.

    >>> is_whole(b'{"a": [1}'), is_whole(b'{"a": nope}'), is_whole(b"{}{}")
    (False, True, False)
    """
    if text[:1] not in (b"{", b"[") or text[-1:] not in (b"}", b"]"):
        return False
    scan, base, closed = _Scan(), 0, -1
    for piece in _parts(text):
        tokens = scan.tokens(piece)
        if closed < 0 and len(zero := np.flatnonzero(tokens.depth <= 0)):
            closed = base + int(tokens.at[zero[0]])
        base += len(piece)
    return scan.depth == 0 and closed == len(text) - 1
