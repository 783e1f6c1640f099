"""Values between delimiters, a record a line: CSV (RFC 4180, and what passes for it) and TSV.

    id,name,born            {"id":"1","name":"Ada, Countess","born":"1815-12-10"}
    1,"Ada, Countess",…     {"id":"2",…}

All values are texts, the empty one too; the contract says what they are. A line with too many or too few values is
given as the list of them, which is no record: it is set aside, and no value moves to another column.
"""

import contextlib
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import starmap
from typing import Any, BinaryIO, ClassVar, Literal

import msgspec
from pydantic import Field, model_validator

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Block, Decoded
from ingest_assets.http.decoders.kind import LinesModel
from ingest_assets.http.decoders.markup import is_page, not_records
from ingest_assets.http.decoders.parsing import UNNAMEABLE
from ingest_assets.http.decoders.pieces import cut
from ingest_assets.http.decoders.texts import Encoding, Lines, looked_into
from ingest_assets.http.selector import Selector
from ingest_assets.http.sizes import BLOCK_BYTES, too_large

_AROUND = 6  # bytes that JSON puts around a value and its name
_NAME_SHOWN = 40
_NOTHING = " \t\x1a"  # what some programs write behind the last line, DOS its mark of the end
_OTHER_DELIMITERS = ";\t|,"
_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[{"\]])')

csv.field_size_limit(MAX_RECORD_BYTES)  # there is one limit a process; Lines holds the one that counts


class Separated(LinesModel):
    """Each line of the body is one record: values between delimiters, all of them texts."""

    makes: ClassVar[bool] = True
    texts: ClassVar[bool] = True

    type: Literal["csv", "tsv"]
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="what stands between values; `,` in csv, a tab in tsv"
    )
    quote: str | None = Field(
        '"',
        min_length=1,
        max_length=1,
        description="what stands around values that hold delimiters; null: none",
    )
    escape: str | None = Field(
        None, min_length=1, max_length=1, description="what makes the next character a part of the value, such as \\"
    )
    skip_space: bool = Field(False, description="whether spaces behind a delimiter are no part of the value")
    encoding: Encoding = Field("utf-8", description="of the text; a byte order mark is believed more than this")
    skip_lines: int = Field(0, ge=0, description="lines before the header, or before the first record, to pass over")
    names: tuple[str, ...] = Field((), description="the columns, where no line of the body names them")
    null_values: tuple[str, ...] = Field((), description='texts that mean no value, such as "" or NA')

    @model_validator(mode="after")
    def _tells_apart(self) -> "Separated":
        marks = [mark for mark in (self._delimiter, self.quote, self.escape) if mark is not None]
        if len(set(marks)) < len(marks) or {"\r", "\n"} & set(marks):
            raise ValueError("delimiter, quote and escape have to be three different characters, and no line ends")
        if twice := _twice(self.names):
            raise ValueError(f"names: {twice!r} stands twice")
        return self

    @property
    def _delimiter(self) -> str:
        return self.delimiter or {"csv": ",", "tsv": "\t"}[self.type]

    @property
    def dialect(self) -> dict[str, Any]:
        """What the standard library's reader is told."""
        return {
            "delimiter": self._delimiter,
            "quotechar": self.quote,
            "quoting": csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            "escapechar": self.escape,
            "skipinitialspace": self.skip_space,
            "strict": True,
        }

    @property
    def read_as(self) -> str | None:
        """What the file says."""
        return self.encoding

    def refused(self, selector: Selector) -> str | None:
        """That a path leads nowhere: there are lines only."""
        if selector.path or selector.layout == "columns":
            return f"records: in {self.type.upper()} each line is a record; leave path and layout out"
        return None

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        r"""The page's blocks. While they are iterated this is raised:

        TransientFailure where the body is cut: empty, or its last line is short and has no end, or is inside quotes;
        RequestFailed where it is something else, or cannot be read as the file says.

        >>> import io
        >>> page = Separated(type="csv").decode(io.BytesIO(b'id,name\n1,"Ada, Countess"\n2,NA\n'), Selector())
        >>> [block.text for block in page], page.envelope
        ([b'[{"id":"1","name":"Ada, Countess"},{"id":"2","name":"NA"}]'], {'columns': ['id', 'name']})
        """
        return _SeparatedPage(self, body, selector, max_record_bytes)


def _twice(names: tuple[str, ...] | list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


class _SeparatedPage(Decoded):
    def __init__(self, told: Separated, body: BinaryIO, selector: Selector, max_record_bytes: int) -> None:
        super().__init__(self._split(body, max_record_bytes))
        self._told, self._may_be_empty = told, selector.absent == "empty"
        self._nulls = frozenset(told.null_values)

    def _split(self, body: BinaryIO, max_record_bytes: int) -> Iterator[Block]:
        stream, start = looked_into(body)
        if is_page(start) or (start.lstrip().startswith(b"<") and not self._told.names):
            raise not_records(start, self._told.type.upper())
        if not start:
            self._refuse_empty()
            return
        lines = Lines(stream, start, self._told.encoding, max_record_bytes)
        for _ in range(self._told.skip_lines):
            next(lines, None)
        lines.open = 0
        yield from self._read(lines, start)

    def _read(self, lines: Lines, start: bytes) -> Iterator[Block]:
        reader = csv.reader(lines, **self._told.dialect)
        names = list(self._told.names) or self._header(reader, lines, start)
        self.envelope = {"columns": names}
        width, around, maker = len(names), sum(len(name) + _AROUND for name in names), _maker(tuple(names))
        held, size, first, flaws = list[list[str]](), 0, 0, dict[int, str]()
        values: list[str] = []
        with self._told_what_is_wrong(reader):
            for values in reader:  # as little as possible of each: there are millions
                if len(values) != width:
                    if not values and width > 1:  # of a single column, a blank line may be a value: it is set aside
                        lines.open = 0
                        continue
                    flaws[len(held)] = (
                        f"line {reader.line_num:,}: {len(values)} values, where {width} columns are named"
                    )
                held.append(values)
                size += lines.open + around
                lines.open = 0
                if size >= BLOCK_BYTES:
                    yield self._block(maker, held, first, flaws)
                    held, size, first, flaws = [], 0, first + len(held), {}
        if not lines.ended and len(values) < width and "".join(values).strip(_NOTHING):
            raise cut("its last line has fewer values than the header, and no end")
        self.open_end = not lines.ended and self._told.skip_lines + reader.line_num > 1
        if held:
            yield self._block(maker, held, first, flaws)
        elif not first:
            self._refuse_lone(names)

    def _header(self, reader: Any, lines: Lines, start: bytes) -> list[str]:
        kind = self._told.type.upper()
        if _JSON.match(start):
            raise RequestFailed(f"expected {kind}, found JSON: are the path and the decoder right?")
        with self._told_what_is_wrong(reader):
            names: list[str] | None = next(filter(None, reader), None)
        lines.open = 0
        if names is None:
            self._refuse_empty()
            return []
        if (twice := _twice(names)) is not None:
            raise RequestFailed(
                f"the header names {_short(twice)!r} twice: give `names` in `decoder`, with skip_lines: 1"
            )
        if len(names) == 1 and (others := [mark for mark in _OTHER_DELIMITERS if mark in names[0]]):
            raise RequestFailed(
                f"the header is one name that holds {others[0]!r}: is that the `delimiter` of `decoder`?"
            )
        return names

    @contextlib.contextmanager
    def _told_what_is_wrong(self, reader: Any) -> Iterator[None]:
        try:
            yield
        except csv.Error as error:
            problem = str(error)
        else:
            return
        if "unexpected end of data" in problem:
            raise cut("it ends inside quotes")
        if "field larger" in problem:
            raise too_large(MAX_RECORD_BYTES)
        raise RequestFailed(
            f"line {reader.line_num:,} cannot be read: {problem}. Are `delimiter`, `quote` and `escape` of `decoder` "
            "right? Where quotes are a part of the values, say quote: null"
        )

    def _block(self, maker: Callable[..., Any], held: list[list[str]], first: int, flaws: dict[int, str]) -> Block:
        rows: list[list[Any]] = list(held)
        if nulls := self._nulls:
            rows = [[None if value in nulls else value for value in values] for values in held]
        if flaws:
            records = [values if place in flaws else maker(*values) for place, values in enumerate(rows)]
        else:
            records = list(starmap(maker, rows))
        self._last = _text(records[-1])
        try:
            text = msgspec.json.encode(records)
        except UnicodeEncodeError:
            text = b"[" + b",".join(map(_text, records)) + b"]"
        return Block(text, lines=False, first=first, count=len(records), flaws=flaws)

    def _refuse_empty(self) -> None:
        if not (self._told.names or self._may_be_empty):
            raise cut(
                "it is empty, without a header. Where that means no records, say `records: {path: '', absent: empty}`"
            )

    def _refuse_lone(self, names: list[str]) -> None:
        """One line of one value may be a message as well as a header."""
        if len(names) == 1 and not self._told.names:
            raise RequestFailed(
                f"expected {self._told.type.upper()}, found one line of text, {_short(names[0])!r}: is it a message? "
                "Where it is a header, say so by `names` and skip_lines: 1"
            )


@lru_cache(maxsize=8)  # the pages of a walk have the same names
def _maker(names: tuple[str, ...]) -> Callable[..., Any]:
    """What makes a record of its values: a struct, which takes less time than a dictionary, where it has the names."""
    if any(map(UNNAMEABLE.search, names)):
        return lambda *values: dict(zip(names, values, strict=True))
    fields = [(f"f{n}", str | None) for n in range(len(names))]
    return msgspec.defstruct("Row", fields, rename={f"f{n}": name for n, name in enumerate(names)}, gc=False)


def _text(record: Any) -> bytes:
    """A record's text; what was no UTF-8 is in it as it came, so that normalization sets it aside."""
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(record)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _short(name: str) -> str:
    return name if len(name) <= _NAME_SHOWN else f"{name[: _NAME_SHOWN - 1]}…"
