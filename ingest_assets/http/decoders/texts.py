"""A body as text: its encoding undone; line by line, with no line longer than a record may be, or piece by piece."""

import codecs
import io
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.pieces import cut
from ingest_assets.http.sizes import too_large

_BUFFER_BYTES = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _known(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"{name!r} is no encoding; expected such as utf-8, windows-1252 or utf-16") from None
    return name


Encoding = Annotated[str, AfterValidator(_known)]


def same_encoding(one: str, other: str) -> bool:
    """Whether a text reads the same in both; one that is not known says nothing.

    >>> same_encoding("UTF8", "utf-8"), same_encoding("us-ascii", "utf-8"), same_encoding("latin-1", "utf-8")
    (True, True, False)
    """
    try:
        names = {codecs.lookup(name).name for name in (one, other)} - {"ascii"}
    except LookupError:
        return True
    return len(names) < 2


class _Body(io.RawIOBase):
    """A body that fills what it is asked for, as far as it goes."""

    def __init__(self, body: BinaryIO) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        size = 0
        while size < len(into) and (piece := self._body.read(len(into) - size)):
            into[size : size + len(piece)] = piece
            size += len(piece)
        return size


def looked_into(body: BinaryIO) -> "tuple[io.BufferedReader[Any], bytes]":
    """A body whose first bytes are given, too; they are still to be read."""
    stream: io.BufferedReader[Any] = io.BufferedReader(_Body(body), _BUFFER_BYTES)
    return stream, stream.peek()


class InUtf8:
    """The pieces of a body, from another encoding into UTF-8."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def piece(self, piece: bytes, *, last: bool = False) -> bytes:
        """The next one; of a character that is not whole yet, its bytes come with the one after it."""
        try:
            return self._decoder.decode(piece, last).encode()
        except UnicodeError:
            problem = cut("it ends inside a character") if last else not_in(self._encoding)
        raise problem


def not_in(encoding: str) -> RequestFailed:
    """The failure for bytes that are no text of an encoding."""
    return RequestFailed(
        f"expected text in {encoding}, found bytes that are none: name another `encoding` in `decoder`"
    )


class Lines:
    """The lines of a body with their ends, as a text of `encoding`, or of what its byte order mark says.

    What is no UTF-8 is kept as it is, so that its record can be set aside; in other encodings it is an error.
    `open` counts what was given since it was last set to 0: more than `most` is an error.
    """

    def __init__(self, stream: "io.BufferedReader[Any]", start: bytes, encoding: str, most: int) -> None:
        self._encoding = next((name for mark, name in _MARKS if start.startswith(mark)), encoding)
        is_utf8 = codecs.lookup(self._encoding).name in ("utf-8", "utf-8-sig")
        self._text = io.TextIOWrapper(stream, self._encoding, "surrogateescape" if is_utf8 else "strict", newline="")
        self._most = most
        self.open = 0
        self.ended = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(self._most + 1)
        except UnicodeError:
            line = None
        if line is None:
            raise not_in(self._encoding)
        if not line:
            raise StopIteration
        self.open += len(line)
        if self.open > self._most:
            raise too_large(self._most)
        self.ended = line[-1] in "\r\n"
        return line
