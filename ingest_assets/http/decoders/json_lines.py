"""One JSON value a line."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Block, Decoded, trimmed
from ingest_assets.http.decoders.kind import LinesModel
from ingest_assets.http.decoders.parsing import SPACE, parsed
from ingest_assets.http.decoders.pieces import chunks, cut
from ingest_assets.http.selector import Selector
from ingest_assets.http.sizes import BLOCK_BYTES, too_large


class JsonLines(LinesModel):
    """Each line of the body is one record. A body without lines is a page without records."""

    type: Literal["jsonl"]

    def refused(self, selector: Selector) -> str | None:
        """That a path leads nowhere: there are lines only."""
        if selector.path:
            return f"records: {selector.path!r}: in JSON lines each line is a record; leave `records` out"
        if selector.layout == "columns":
            return "records: in JSON lines each line is a record; leave `layout: columns` out"
        return None

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        r"""The page's blocks; TransientFailure where the last line is not complete JSON, for then the body is cut.

        >>> import io
        >>> page = JsonLines(type="jsonl").decode(io.BytesIO(b'{"id": 1}\n{"id": 2}\n'), Selector())
        >>> [block.count for block in page], page.last_record
        ([2], {'id': 2})
        """
        if (refused := self.refused(selector)) is not None:
            raise RequestFailed(refused)
        return _JsonLinesPage(body, max_record_bytes)


class _JsonLinesPage(Decoded):
    def __init__(self, body: BinaryIO, max_record_bytes: int) -> None:
        super().__init__(self._split(chunks(body), max_record_bytes))

    def _split(self, pieces: Iterable[bytes], max_record_bytes: int) -> Iterator[Block]:
        held: list[bytes] = []
        size = line = first = 0
        for piece in pieces:
            end = piece.rfind(b"\n") + 1
            line = len(piece) - end if end else line + len(piece)
            if end and size + end >= BLOCK_BYTES:
                block = self._block([*held, piece[:end]], first)
                first += block.count
                held, size, piece = [], 0, piece[end:]
                yield block
            held.append(piece)
            size += len(piece)
            if line > max_record_bytes:
                raise too_large(max_record_bytes)
        block = self._block(held, first)
        if self._last is not None and not _complete(bytes(self._last)):
            raise cut("its last line is not complete JSON")
        if block.count:
            yield block

    def _block(self, parts: list[bytes], first: int) -> Block:
        text = b"".join(parts)
        if last := trimmed(text.rstrip(SPACE).rpartition(b"\n")[2]):
            self._last = last
        return Block(text, lines=True, first=first, count=sum(1 for line in text.split(b"\n") if line.strip(SPACE)))


def _complete(line: bytes) -> bool:
    if line[:1] in (b"{", b"["):
        from ingest_assets.http.structure import is_whole

        return is_whole(line)
    try:
        parsed(line)
    except ValueError:
        return False
    return True
