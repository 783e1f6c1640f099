"""XML: each element at a path is one record; see `elements` for what becomes of attributes, lists and texts."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Literal
from xml.parsers import expat

import msgspec
from pydantic import Field, field_validator

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Block, Decoded
from ingest_assets.http.decoders.elements import Elements, Marks
from ingest_assets.http.decoders.kind import DecoderModel
from ingest_assets.http.decoders.markup import is_page, not_records
from ingest_assets.http.decoders.pieces import cut
from ingest_assets.http.decoders.texts import Encoding, InUtf8, looked_into
from ingest_assets.http.selector import Selector
from ingest_assets.http.sizes import BLOCK_BYTES

_PIECE_BYTES = 1 << 16
_NAMES_SHOWN = 10
_NAME_SHOWN = 40
_PATH = re.compile(r"[^.\[\]{}@\s]+(\.[^.\[\]{}@\s]+)*")
_DECLARED = re.compile(rb"\s*<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
# Of others expat reads those of one byte a character only.
_OF_EXPAT = frozenset({"utf-8", "utf-16", "ascii", "iso8859-1"})
_UNFINISHED = frozenset(
    {
        expat.errors.codes[getattr(expat.errors, f"XML_ERROR_{name}")]
        for name in ("NO_ELEMENTS", "UNCLOSED_TOKEN", "PARTIAL_CHAR", "UNCLOSED_CDATA_SECTION")
    }
)


class Xml(DecoderModel):
    """Elements of an XML document, all values texts. No document type, no entities of its own, nothing from outside."""

    makes: ClassVar[bool] = True
    texts: ClassVar[bool] = True

    type: Literal["xml"]
    lists: tuple[str, ...] = Field(
        (), description="elements of a record that may come several times, such as category or orders.order"
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict,
        description="prefixes for namespaces, by which they are called whatever the document calls them: {dc: http://…}",
    )
    null_values: tuple[str, ...] = Field(("",), description="texts that mean no value")
    encoding: Encoding | None = Field(None, description="of the text, where the document does not tell or is wrong")

    @field_validator("lists")
    @classmethod
    def _are_paths(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [path for path in given if not _PATH.fullmatch(path)]:
            raise ValueError(f"{wrong[0]!r} is no path of elements, such as category or orders.order")
        return given

    @property
    def read_as(self) -> str | None:
        """What the file says."""
        return self.encoding

    def refused(self, selector: Selector) -> str | None:
        """That there is no element to look for, or something else than elements."""
        path = selector.path.replace("[]", "")
        if not path:
            return "records: in XML the path of the record elements is needed, from the root on: rss.channel.item"
        if "{" in path or selector.layout == "columns" or selector.single == "record" or not _PATH.fullmatch(path):
            return f"records: {selector.path!r}: in XML this is a path of elements, from the root on: rss.channel.item"
        if wrong := [name for name in selector.keep if not name.startswith("@")]:
            return f"records: keep: {wrong[0]!r}: in XML attributes are kept, written with @, such as @time"
        return None

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        """The page's blocks. While they are iterated this is raised:

        TransientFailure where the body is cut; RequestFailed where it is no XML, is not to be read, or has no such
        element.

        >>> import io
        >>> body = b'<days more="2"><day at="5"><rate of="EUR">1.1</rate></day></days>'
        >>> page = Xml(type="xml").decode(io.BytesIO(body), Selector(path="days.day[].rate[]", keep="@at"))
        >>> [block.text for block in page], page.envelope
        ([b'[{"@at":"5","@of":"EUR","value":"1.1"}]'], {'days': {'@more': '2', 'day': {'@at': '5'}}})
        """
        if (refused := self.refused(selector)) is not None:
            raise RequestFailed(refused)
        return _XmlPage(self, body, selector, max_record_bytes)


class _XmlPage(Decoded):
    def __init__(self, told: Xml, body: BinaryIO, selector: Selector, max_record_bytes: int) -> None:
        super().__init__(self._split(body))
        self._selector = selector
        self._path = tuple(selector.path.replace("[]", "").split("."))
        marks = Marks(
            record=self._path,
            keep=tuple(name.removeprefix("@") for name in selector.keep),
            lists=frozenset(tuple(path.split(".")) for path in told.lists),
            prefixes={uri: prefix for prefix, uri in told.namespaces.items()},
            nulls=frozenset(told.null_values),
            most_bytes=max_record_bytes,
        )
        self._marks, self._encoding = marks, told.encoding

    def _split(self, body: BinaryIO) -> Iterator[Block]:
        stream, start = looked_into(body)
        if is_page(start):
            raise not_records(start, "XML")
        if not start.strip():
            raise cut("it is empty")
        first, foreign = 0, _foreign(self._encoding, start)
        into = None if foreign is None else InUtf8(foreign)
        self._elements = Elements(self._marks, self._encoding if into is None else "utf-8")
        while piece := stream.read(_PIECE_BYTES):
            self._feed(piece if into is None else into.piece(piece))
            if self._elements.size >= BLOCK_BYTES:
                block = self._block(first)
                first += block.count
                yield block
        self._feed(b"" if into is None else into.piece(b"", last=True), last=True)
        if self._elements.records:
            yield self._block(first)
        elif not first:
            self._refuse_nothing()
        self.envelope = self._elements.envelope

    def _feed(self, piece: bytes, *, last: bool = False) -> None:
        try:
            self._elements.feed(piece, last=last)
        except expat.ExpatError as error:
            problem = error
        else:
            return
        if last and problem.code in _UNFINISHED:
            raise cut("its elements are not closed")
        raise RequestFailed(
            f"expected XML, found what is none in line {problem.lineno:,}: {expat.ErrorString(problem.code)}. Are the "
            "path, and the `encoding` of `decoder`, right?"
        )

    def _block(self, first: int) -> Block:
        elements = self._elements
        records, flaws = elements.records, elements.flaws
        elements.records, elements.flaws, elements.size = [], {}, 0
        self._last = msgspec.json.encode(records[-1])
        return Block(msgspec.json.encode(records), lines=False, first=first, count=len(records), flaws=flaws)

    def _refuse_nothing(self) -> None:
        """A page without records is one whose list is there and empty, or what the file says is one."""
        elements, path = self._elements, self._selector.path
        root = next(iter(elements.envelope))
        if root != self._path[0]:
            raise RequestFailed(
                f"records: {path!r}: expected the root element {self._path[0]!r}, found {_short(root)!r}"
            )
        if self._selector.absent == "empty" or (elements.list_found and not elements.seen):
            return
        there = ", ".join(map(_short, [*elements.seen][:_NAMES_SHOWN])) or "none"
        raise RequestFailed(
            f"records: {path!r}: there is no such element; those beside which it would stand are: {there}. Mend "
            f"`records`, or where there are no records then, write {{path: {path}, absent: empty}}"
        )


def _foreign(told: str | None, start: bytes) -> str | None:
    """The encoding of a document, as the file or its own begin says, where it is one that expat does not read."""
    declared = _DECLARED.match(start)
    marked = "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"
    name = told or (declared[1].decode() if declared else marked)
    try:
        "".encode(name)
        return None if codecs.lookup(name).name in _OF_EXPAT else name
    except LookupError:
        pass
    raise RequestFailed(
        f"the document says that its encoding is {name!r}, which is not known: name it by `encoding` of `decoder`"
    )


def _short(name: str) -> str:
    return name if len(name) <= _NAME_SHOWN else f"{name[: _NAME_SHOWN - 1]}…"
