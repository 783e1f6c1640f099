"""XML (1.0 with namespaces) read once, from begin to end, into records and what stands around them.

The standard library's expat reads it: it streams, it needs no dependency, and it stops at a document type declaration
before one entity is known, so that there is nothing to expand and nothing to fetch. lxml builds trees and brings a
parser that has to be told not to; defusedxml wraps just this one.

    <day at="1"><item id="5"><name lang="en">x</name><tag>a</tag><tag>b</tag></item></day>
    {"@at": "1", "@id": "5", "name": "x", "name@lang": "en", "tag": [{"value": "a"}, {"value": "b"}]}

(with keep: "@at" and lists: [tag])

So each value has its place whatever else comes with it: an attribute more, or one element in the place of several,
changes no other column.
"""

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from msgspec import Struct, field

from ingest_assets.errors import RequestFailed
from ingest_assets.http.sizes import MAX_ENVELOPE_BYTES, too_large

MOST_LEVELS = 100
TEXT = "value"
_MOST_SEEN = 100
_AROUND = 64  # bytes of memory and more that an element or attribute takes beside its texts

Path = tuple[str, ...]


class Marks(Struct, frozen=True):
    """Where records are, which of their elements are lists, what they take from around them, and what means no value.

    `prefixes` are the prefixes by which namespaces are called, whatever the document calls them.
    """

    record: Path
    keep: Path
    lists: frozenset[Path]
    prefixes: Mapping[str, str]
    nulls: frozenset[str]
    most_bytes: int


class _Element(Struct):
    """An element that is not closed; `inside` is its path in its record, None outside of records.

    `outside` is how much had been held around the records before it.
    """

    name: str
    attributes: dict[str, str]
    inside: Path | None
    outside: int
    parts: list[str] = field(default_factory=list)
    children: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Its own text; of an element with others in it, without the space between them."""
        text = "".join(self.parts)
        return text.strip() if self.children else text


class Elements:
    """Takes a document piece by piece; gives its records in the order in which they end.

    `records` and `flaws` (by place among them) are taken away by whoever reads, `size` is about their size in bytes.
    `list_found` is whether the element was there that records stand in, `seen` are names of what stands there.
    """

    def __init__(self, marks: Marks, encoding: str | None) -> None:
        self._marks = marks
        self._open: list[_Element] = []
        self._matched = self._outside = self._fed = self._pending = 0
        self._names: dict[str, str] = {}
        self._flaw: str | None = None
        self.records: list[dict[str, Any]] = []
        self.flaws: dict[int, str] = {}
        self.size = 0
        self.envelope: dict[str, Any] = {}
        self.list_found = False
        self.seen: dict[str, None] = {}
        self._parser = expat.ParserCreate(encoding, namespace_separator=" ")
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Take the next piece; raises ExpatError where it is no XML, RequestFailed where it is not to be read."""
        self._fed += len(piece)
        self._parser.Parse(piece, last)
        if self._fed - max(self._parser.CurrentByteIndex, 0) > self._marks.most_bytes + len(piece):
            raise too_large(self._marks.most_bytes)  # one tag, of which nothing is told before its end

    def _name(self, raw: str) -> str:
        """A name with the prefix that the file gives its namespace, or else that of the document.

        Where the file gives that one to another namespace, the name has its namespace in place of a prefix.
        """
        if (name := self._names.get(raw)) is None:
            parts = raw.split(" ")  # the namespace, the name in it, the prefix of the document
            uri, local, prefix = ("", *parts, "") if len(parts) == 1 else (*parts, "")[:3]
            given = self._marks.prefixes
            foreign = uri != "" and uri not in given and prefix in given.values()
            prefix = given.get(uri, prefix)
            name = f"{{{uri}}}{local}" if foreign else f"{prefix}:{local}" if prefix else local
            self._names[raw] = name
        return name

    def _begin(self, raw: str, told: Mapping[str, str]) -> None:
        name, depth, record = self._name(raw), len(self._open), self._marks.record
        outside = self._outside
        attributes = {self._name(key): value for key, value in told.items()}
        if depth >= MOST_LEVELS:
            raise RequestFailed(f"its elements are more than {MOST_LEVELS} levels deep, the most that are read")
        above = self._open[-1].inside if self._open else None
        inside: Path | None = None if above is None else (*above, name)
        if depth == self._matched < len(record):
            if depth == len(record) - 1 and len(self.seen) < _MOST_SEEN:
                self.seen.setdefault(name)
            if name == record[depth]:
                self._matched += 1
                inside = () if self._matched == len(record) else None
                self.list_found |= self._matched >= len(record) - 1
        self._count(sum(map(len, attributes.values())) + _AROUND * (1 + len(attributes)), inside)
        self._open.append(_Element(name, attributes, inside, outside))

    def _text(self, text: str) -> None:
        element = self._open[-1]
        self._count(len(text), element.inside)
        element.parts.append(text)

    def _count(self, size: int, inside: Path | None) -> None:
        """Bound what is held: a record, or all that is around the records."""
        if inside is None:
            self._outside += size
            if self._outside > MAX_ENVELOPE_BYTES:
                raise RequestFailed(
                    f"more than {MAX_ENVELOPE_BYTES >> 20} MB lie outside the records: is the path in `records` right?"
                )
            return
        self._pending += size
        if self._pending > self._marks.most_bytes:
            raise too_large(self._marks.most_bytes)

    def _end(self, _raw: str) -> None:
        element = self._open.pop()
        on_the_way = len(self._open) < self._matched
        self._matched -= on_the_way
        if element.inside is None:
            self._end_outside(element, on_the_way=on_the_way)
        elif element.inside == ():
            self._end_record(element)
        else:
            self._end_inside(element, self._open[-1].children)

    def _end_outside(self, element: _Element, *, on_the_way: bool) -> None:
        """What stands around the records: one element is a value, several of a name are a list.

        Of those on the way to records only the first is kept, since there may be as many as records.
        """
        told: Any = element.text
        if element.attributes or element.children:
            told = _with_text({f"@{key}": value for key, value in element.attributes.items()} | element.children, told)
        holder = self._open[-1].children if self._open else self.envelope
        if element.name not in holder:
            holder[element.name] = told
        elif on_the_way:
            self._outside = element.outside
        elif isinstance(holder[element.name], list):
            holder[element.name].append(told)
        else:
            holder[element.name] = [holder[element.name], told]

    def _end_record(self, element: _Element) -> None:
        whole = self._whole(element, ())
        kept = {f"@{name}": value for name in self._marks.keep if (value := self._around(name)) is not None}
        if twice := sorted(kept.keys() & {f"@{name}" for name in element.attributes}):
            self._flaw = f"{twice[0]!r} stands in the record and in `keep`"
        if self._flaw is not None:
            self.flaws[len(self.records)] = self._flaw
        self.records.append({**kept, **whole})
        self.size += self._pending
        self._pending, self._flaw = 0, None

    def _around(self, name: str) -> str | None:
        """The attribute of the nearest element around a record that has it."""
        return next((one.attributes[name] for one in reversed(self._open) if name in one.attributes), None)

    def _end_inside(self, element: _Element, holder: dict[str, Any]) -> None:
        path = element.inside or ()
        if path in self._marks.lists:
            holder.setdefault(element.name, []).append(self._whole(element, path))
            return
        if element.name in holder:
            self._flaw = f"the element {'.'.join(path)!r} stands twice: name it in `lists` of `decoder`"
            holder[element.name] = [holder[element.name], self._inner(element, path)]
        else:
            holder[element.name] = self._inner(element, path)
        for key, value in element.attributes.items():
            holder[f"{element.name}@{key}"] = self._value(value)

    def _whole(self, element: _Element, path: Path) -> dict[str, Any]:
        """A record, or an element of a list: attributes, elements, text."""
        told = {f"@{key}": self._value(value) for key, value in element.attributes.items()}
        told |= self._without_gaps(element.children, path)
        text = element.text
        has_no_text = element.children or (path == () and not text.strip()) or TEXT in told
        return told if has_no_text and not text.strip() else self._noted(told, text)

    def _noted(self, told: dict[str, Any], text: str) -> dict[str, Any]:
        if TEXT in told:
            self._flaw = f"an element {TEXT!r} stands beside the text of its record"
        return {**told, TEXT: self._value(text)}

    def _inner(self, element: _Element, path: Path) -> Any:
        text = element.text
        children = self._without_gaps(element.children, path)
        if not children:
            return self._value(text)
        return self._noted(children, text) if text else children

    def _without_gaps(self, children: dict[str, Any], path: Path) -> dict[str, Any]:
        """With the lists that have no element: that there are none is told."""
        empty: dict[str, Any] = {
            one[-1]: [] for one in self._marks.lists if one[:-1] == path and one[-1] not in children
        }
        return {**children, **empty} if empty else children

    def _value(self, text: str) -> str | None:
        return None if text in self._marks.nulls else text


def _with_text(told: dict[str, Any], text: str) -> dict[str, Any]:
    return {**told, TEXT: text} if text else told


def _refuse_doctype(*_: Any) -> None:
    raise RequestFailed(
        "its document type declaration (<!DOCTYPE …>) is not read: entities can make a body of any size, or ask for "
        "files"
    )
