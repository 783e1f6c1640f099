"""From the bytes of a page to its records, each as the text that the API sent, in blocks of a few megabytes.

Nothing is parsed but the *envelope*, which is the body without the records. A body is read once, from begin to
end, and memory does not grow with it:

    {"has_more": true, "data": [ {…}, {…}, {…}, {…} ], "total": 4}
     └──── envelope ─────────┘  └ block ┘ └ block ┘ └── envelope ┘

Small bodies are split by msgspec. Large ones, and those that msgspec refuses as a whole for the sake of one
record (a lone surrogate, a thousand levels of nesting), are split by their quotes and brackets alone, see
`ingest_assets.http.structure`; both ways give the same records, and a bad record is a record like any other.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from typing import Annotated, Any, BinaryIO, Literal, NoReturn

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http import nested
from ingest_assets.http.selector import Selector
from ingest_assets.http.structure import BLOCK_BYTES, Located, is_whole, locate, split_array, too_large

_SMALL_BYTES = 16 << 20
_READ_BYTES = 1 << 19
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_KEYS_SHOWN = 10
_FIELD_BYTES = 64  # of one field in a record's text, about: a block of records is as large as any other
MAX_RECORD_BYTES = 64 << 20

_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)


@dataclass(frozen=True)
class Block:
    """Some records in a row: the text of a JSON array, or JSON lines. `first` is the first one's place in the page."""

    text: bytes
    lines: bool
    first: int
    count: int

    def records(self) -> list[bytes | memoryview]:
        """The text of each record, in order, without the space around it; empty where the API sent nothing.

        >>> [bytes(record) for record in Block(b'[ {"a": 1} , 2]', lines=False, first=0, count=2).records()]
        [b'{"a": 1}', b'2']
        """
        if self.lines:
            return [line for line in map(_trimmed, self.text.split(b"\n")) if line]
        try:
            return [memoryview(raw) for raw in _raw_list.decode(self.text)]
        except msgspec.MsgspecError:
            return [record.strip(_SPACE) for record in split_array(self.text)]


def _trimmed(line: bytes) -> bytes:
    return line.strip(_SPACE)


class Decoded:
    """The blocks of a page, to be iterated once; what it says of the page is known when the last one was given."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._last: bytes | memoryview | None = None
        self.envelope: Any = None
        self.records = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.records += block.count
            yield block

    @property
    def last_record(self) -> Any:
        """The page's last record, parsed, its numbers exact; None where there is none, or it is not JSON."""
        try:
            return _parsed(bytes(self._last)) if self._last is not None else None
        except (ValueError, RecursionError):
            return None


class Json(BaseModel):
    """The body is one JSON document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["json"] = "json"

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        """The page's blocks. While they are iterated this is raised:

        TransientFailure where the body is cut: empty, its structure not closed, or followed by more;
        RequestFailed where it is no JSON, or the records are not where the selector says.

        >>> import io
        >>> page = Json().decode(io.BytesIO(b'{"data": [{"id": 1}], "has_more": false}'), Selector(path="data"))
        >>> [block.text for block in page], page.records, page.envelope, page.last_record
        ([b'[{"id": 1}]'], 1, {'has_more': False}, {'id': 1})
        >>> body = io.BytesIO(b'{"hourly": {"time": [1, 2], "rain": [0.0, null]}}')
        >>> page = Json().decode(body, Selector(path="hourly", layout="columns"))
        >>> [block.text for block in page]
        [b'[{"time":1,"rain":0.0},{"time":2,"rain":null}]']
        """
        if selector.layout == "columns":
            return _ColumnsPage(body, selector, max_record_bytes)
        made = _NestedPage if selector.steps else _JsonPage
        return made(body, selector, max_record_bytes)


class JsonLines(BaseModel):
    """Each line of the body is one record. A body without lines is a page without records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["jsonl"]

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        r"""The page's blocks; TransientFailure where the last line is not complete JSON, for then the body is cut.

        >>> import io
        >>> page = JsonLines(type="jsonl").decode(io.BytesIO(b'{"id": 1}\n{"id": 2}\n'), Selector())
        >>> [block.count for block in page], page.last_record
        ([2], {'id': 2})
        """
        if selector.path:
            raise RequestFailed(f"records: {selector.path!r}: in JSON lines each line is a record; leave `records` out")
        if selector.layout == "columns":
            raise RequestFailed("records: in JSON lines each line is a record; leave `layout: columns` out")
        return _JsonLinesPage(body, max_record_bytes)


Decoder = Annotated[Json | JsonLines, Field(discriminator="type")]


def _cut(why: str) -> TransientFailure:
    return TransientFailure(f"cut body: {why}")


def _chunks(body: BinaryIO) -> Iterator[bytes]:
    """The body in pieces, without a byte order mark; the first piece begins with something to see."""
    start = b""
    while len(start) < len(_BOM) and (piece := body.read(_READ_BYTES)):
        start += piece
    start = start.removeprefix(_BOM)
    while not start.strip(_SPACE) and (piece := body.read(_READ_BYTES)):
        start = piece
    if start.lstrip(_SPACE).startswith(b"<"):
        raise RequestFailed("expected JSON, found HTML or XML: is the path right, or is this a sign-in page?")
    if start.strip(_SPACE):
        yield start
    while piece := body.read(_READ_BYTES):
        yield piece


class _JsonPage(Decoded):
    def __init__(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> None:
        super().__init__(self._split(body, selector, max_record_bytes))

    def _split(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[Block]:
        pieces = _chunks(body)
        begin, small = _begin(pieces)
        if small and (split := _split_small(begin, selector)) is not None:
            text, records, envelope = split
            self.envelope = _envelope(envelope, selector, found=True)
            if records:
                self._last = memoryview(records[-1])
                yield Block(text, lines=False, first=0, count=len(records))
            return
        yield from self._by_structure(chain([begin], pieces), selector, max_record_bytes)

    def _by_structure(self, pieces: Iterable[bytes], selector: Selector, max_record_bytes: int) -> Iterator[Block]:
        located = Located()
        first = 0
        for text, count in locate(pieces, selector.keys, located, max_record_bytes):
            self._last = located.last
            yield Block(text, lines=False, first=first, count=count)
            first += count
        if problem := located.unclosed:
            raise _cut(problem)
        self.envelope = _envelope(bytes(located.envelope), selector, located.found)


def _begin(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """What there is up to the size of a small body, and whether that is all of it."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _SMALL_BYTES:
            break
    if not size:
        raise _cut("it is empty")
    text = b"".join(held)
    if not text.lstrip(_SPACE).startswith((b"{", b"[")):
        raise RequestFailed("expected a JSON object or list, found other text: are the path and the decoder right?")
    return text, size <= _SMALL_BYTES


def _split_small(body: bytes, selector: Selector) -> tuple[bytes, list[msgspec.Raw], bytes] | None:
    """The array's text, its records and the envelope's text; None where msgspec finds anything amiss."""
    try:
        part = _raw.decode(body)
        for key in selector.keys:
            part = _raw_object.decode(part)[key]
        alone = selector.single == "record" and bytes(memoryview(part)[:1]) == b"{"
        records = [part] if alone else _raw_list.decode(part)
    except (msgspec.MsgspecError, KeyError):
        return None
    start = _address(part) - _address(body)
    end = start + len(memoryview(part))
    text = b"[" + body[start:end] + b"]" if alone else body[start:end]
    return text, records, body[:start] + b"null" + body[end:]


def _address(text: bytes | msgspec.Raw) -> int:
    pointer: int = np.frombuffer(text, np.uint8).__array_interface__["data"][0]
    return pointer


class _NestedPage(Decoded):
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
        outer = _JsonPage(body, Selector(path=".".join(selector.keys), absent=selector.absent), max_record_bytes)
        for block in outer:
            for element in block.records():
                yield from nested.records(selector, bytes(element), max_record_bytes)
        self.envelope = outer.envelope

    def _of_dictionary(self, body: BinaryIO, selector: Selector, max_record_bytes: int) -> Iterator[bytes]:
        text, small = _begin(_chunks(body))
        if not small:
            raise _too_large_as_one(selector, "a dictionary")
        part = _at(text, selector)
        if part is None:
            self.envelope = _envelope(text, selector, found=False)
            return
        start = _address(part) - _address(text)
        end = start + len(memoryview(part))
        yield from nested.values(selector, text[start:end], max_record_bytes)
        self.envelope = _envelope(text[:start] + b"null" + text[end:], selector, found=True)


def _too_large_as_one(selector: Selector, what: str) -> RequestFailed:
    return RequestFailed(
        f"records: {selector.path!r}: a page of {what} is read as one, and this is larger than "
        f"{_SMALL_BYTES >> 20} MB: ask for less at once, by smaller pages or partitions"
    )


class _ColumnsPage(Decoded):
    """A page whose records are given field by field. Its body is read as one, and so may not be large."""

    def __init__(self, body: BinaryIO, selector: Selector, _max_record_bytes: int) -> None:
        super().__init__(self._split(body, selector))

    def _split(self, body: BinaryIO, selector: Selector) -> Iterator[Block]:
        text, small = _begin(_chunks(body))
        if not small:
            raise _too_large_as_one(selector, "columns")
        part = _at(text, selector)
        if part is None:
            self.envelope = _envelope(text, selector, found=False)
            return
        start = _address(part) - _address(text)
        end = start + len(memoryview(part))
        self.envelope = _envelope(text[:start] + b"null" + text[end:], selector, found=True)
        columns = _columns(text[start:end], selector)
        rows, first = zip(*columns.values(), strict=True), 0
        names = [json.dumps(name).encode() for name in columns]
        while records := list(islice(rows, max(1, BLOCK_BYTES // (_FIELD_BYTES * len(names))))):
            texts = [_record(names, values) for values in records]
            self._last = texts[-1]
            yield Block(b"[" + b",".join(texts) + b"]", lines=False, first=first, count=len(texts))
            first += len(texts)


def _at(body: bytes, selector: Selector) -> msgspec.Raw | None:
    """What is at the path, or None where nothing is; TransientFailure where the body is cut."""
    part = msgspec.Raw(body)
    try:
        part = _raw.decode(body)
        for key in selector.keys:
            part = _raw_object.decode(part)[key]
    except KeyError:
        return None
    except msgspec.MsgspecError:
        if not is_whole(body.removeprefix(_BOM).strip(_SPACE)):
            raise _cut("its structure is not closed") from None
        return None
    return None if bytes(part) == b"null" else part


def _columns(text: bytes, selector: Selector) -> dict[str, list[msgspec.Raw]]:
    """The lists by the name of their field, all of one length; else RequestFailed, saying which are not."""
    named = f"records: {selector.path!r}"
    try:
        fields = _raw_object.decode(text)
        columns = {name: _raw_list.decode(field) for name, field in fields.items()}
    except msgspec.MsgspecError:
        raise RequestFailed(f"{named}: layout: columns expects an object whose every field is a list") from None
    skeleton = text
    for field in sorted(fields.values(), key=_address, reverse=True):
        start = _address(field) - _address(text)
        skeleton = skeleton[:start] + b"0" + skeleton[start + len(memoryview(field)) :]
    if len(twice := json.loads(skeleton, object_pairs_hook=list)) > len(columns):
        told = next(name for name, count in Counter(name for name, _ in twice).items() if count > 1)
        raise RequestFailed(f"{named}: the key {told!r} stands twice in one object")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length:,}" for name, length in [*lengths.items()][:_KEYS_SHOWN])
        raise RequestFailed(f"{named}: its lists differ in length, so no record can be told: {shown}")
    if not columns:
        raise RequestFailed(f"{named}: layout: columns expects an object of lists, found an empty object")
    return columns


def _record(names: Sequence[bytes], values: Sequence[msgspec.Raw]) -> bytes:
    return b"{" + b",".join(b"%s:%s" % (name, bytes(value)) for name, value in zip(names, values, strict=True)) + b"}"


class _Twins:
    """Notices keys that stand twice in one object, of which a parser keeps the last without a word."""

    def __init__(self) -> None:
        self._found: list[tuple[dict[str, Any], set[str]]] = []

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self._found.append((made, {key for key, count in counts.items() if count > 1}))
        return made

    def at(self, holder: dict[str, Any], key: str) -> bool:
        return any(found is holder and key in keys for found, keys in self._found)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parsed(text: bytes, twins: _Twins | None = None) -> Any:
    """JSON with exact numbers: whole ones as int, others as Decimal. Raises ValueError or RecursionError."""
    return json.loads(
        text.decode(),
        parse_float=Decimal,
        parse_constant=_refuse_constant,
        object_pairs_hook=(twins or _Twins()).object,
    )


def _envelope(text: bytes, selector: Selector, found: bool) -> Any:
    """The envelope parsed, the place of the records taken out of it."""
    twins = _Twins()
    try:
        envelope = _parsed(text, twins)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise _cut("more follows after its end") from None  # the error holds the body
        raise RequestFailed(f"expected JSON, found an error outside the records: {error.msg}") from None
    except (ValueError, RecursionError):
        raise RequestFailed("expected JSON, found text that is not, outside the records") from None
    if selector.keys:
        _take_records_out(envelope, selector, twins, found)
        return envelope
    if not found:
        raise _not_there(selector, (), envelope)
    return None


def _take_records_out(envelope: Any, selector: Selector, twins: _Twins, found: bool) -> None:
    """Check that each key of the path is there once, and a list (or what the file allows instead) at its end."""
    *way, last = selector.keys
    empty = selector.absent == "empty"
    holder = envelope
    for depth, key in enumerate([*way, last]):
        if holder is None and depth and empty:
            return
        if not isinstance(holder, dict):
            raise _not_there(selector, selector.keys[:depth], holder)
        if twins.at(holder, key):
            raise RequestFailed(f"records: {selector.path!r}: the key {key!r} stands twice in one object")
        if key not in holder and empty:
            return
        if key not in holder:
            raise _missing(selector, key, holder)
        if depth < len(way):
            holder = holder[key]
    if not found and not (empty and holder[last] is None):
        raise _no_list(selector, holder[last])
    del holder[last]


def _no_list(selector: Selector, found: Any) -> RequestFailed:
    hint = f". Where that means no records, write {{path: {selector.path}, absent: empty}}" if found is None else ""
    if isinstance(found, dict):
        hint = ". Where that is the only record, say `single: record`; where its keys are the records', a path with {}"
    return RequestFailed(f"records: {selector.path!r}: expected a list, found {_kind(found)}{hint}")


def _missing(selector: Selector, key: str, holder: dict[str, Any]) -> RequestFailed:
    keys = ", ".join(sorted(holder)[:_KEYS_SHOWN]) + (", …" if len(holder) > _KEYS_SHOWN else "")
    return RequestFailed(
        f"records: {selector.path!r}: there is no {key!r}; the keys there are: {keys or 'none'}. Mend `records`, or "
        f"where the API leaves it out when there are no records, write {{path: {selector.path}, absent: empty}}"
    )


def _not_there(selector: Selector, way: tuple[str, ...], found: Any) -> RequestFailed:
    expected = "an object" if selector.keys else "a list"
    place = f"at {'.'.join(way)!r}" if way else "as the body"
    hint = "" if selector.keys or not isinstance(found, dict) else ". Name the path of the list that holds the records"
    return RequestFailed(f"records: {selector.path!r}: expected {expected} {place}, found {_kind(found)}{hint}")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(sorted(value)[:_KEYS_SHOWN])
        return f"an object with the keys {keys}" if keys else "an empty object"
    names = {type(None): "null", bool: "a boolean", str: "a text", list: "a list"}
    return names.get(type(value), "a number")


class _JsonLinesPage(Decoded):
    def __init__(self, body: BinaryIO, max_record_bytes: int) -> None:
        super().__init__(self._split(_chunks(body), max_record_bytes))

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
            raise _cut("its last line is not complete JSON")
        if block.count:
            yield block

    def _block(self, parts: list[bytes], first: int) -> Block:
        text = b"".join(parts)
        if last := _trimmed(text.rstrip(_SPACE).rpartition(b"\n")[2]):
            self._last = last
        return Block(text, lines=True, first=first, count=sum(1 for line in text.split(b"\n") if line.strip(_SPACE)))


def _complete(line: bytes) -> bool:
    if line[:1] in (b"{", b"["):
        return is_whole(line)
    try:
        _parsed(line)
    except ValueError:
        return False
    return True
