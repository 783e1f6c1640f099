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
_MOST_PLACES = 10_000
_NONE: Mapping[str, str] = {}
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


class _Place(Struct, eq=False):
    """Where elements of a name stand, below others; what is so of each of them is looked for once.

    `inside` is the path in the record, None outside of records; `on_the_way` whether records are inside of it, or it is
    one; `gaps` are lists right in it. `inner` are the places in it, by the names that the parser tells.
    """

    name: str
    level: int
    on_the_way: bool
    inside: Path | None
    is_list: bool
    gaps: tuple[str, ...]
    inner: dict[str, "_Place"] = field(default_factory=dict)


class _Element(Struct, eq=False):
    """An element that is not closed; `outside` is how much had been held around the records before it."""

    place: _Place
    attributes: Mapping[str, str]
    outside: int
    parts: list[str] = field(default_factory=list)
    children: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Its own text; of an element with others in it, without the space between them."""
        parts = self.parts
        text = parts[0] if len(parts) == 1 else "".join(parts)
        return text.strip() if self.children else text


class Elements:
    """Takes a document piece by piece; gives its records in the order in which they end.

    `records` and `flaws` (by place among them) are taken away by whoever reads, `size` is about their size in bytes.
    `list_found` is whether the element was there that records stand in, `seen` are names of what stands there.
    """

    def __init__(self, marks: Marks, encoding: str | None) -> None:
        self._marks, self._nulls = marks, marks.nulls
        self.envelope: dict[str, Any] = {}
        document = _Place("", 0, on_the_way=True, inside=None, is_list=False, gaps=())
        self._open = [_Element(document, _NONE, 0, children=self.envelope)]
        self._outside = self._fed = self._pending = self._places = 0
        self._names: dict[str, str] = {}
        self._flaw: str | None = None
        self.records: list[dict[str, Any]] = []
        self.flaws: dict[int, str] = {}
        self.size = 0
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

    def _place(self, above: _Place, raw: str) -> _Place:
        """A place that was not met before, or is one of too many to be remembered."""
        name, record, at = self._name(raw), self._marks.record, above.level
        if at >= MOST_LEVELS:
            raise RequestFailed(f"its elements are more than {MOST_LEVELS} levels deep, the most that are read")
        inside = None if above.inside is None else (*above.inside, name)
        on_the_way = above.on_the_way and at < len(record) and name == record[at]
        if above.on_the_way and at == len(record) - 1 and len(self.seen) < _MOST_SEEN:
            self.seen.setdefault(name)
        if on_the_way:
            inside = () if at == len(record) - 1 else None
            self.list_found |= at >= len(record) - 2
        lists = self._marks.lists
        gaps = () if inside is None else tuple(one[-1] for one in lists if one[:-1] == inside)
        place = _Place(name, at + 1, on_the_way, inside, inside in lists, gaps)
        if self._places < _MOST_PLACES:
            self._places += 1
            above.inner[raw] = place
        return place

    def _begin(self, raw: str, told: Mapping[str, str]) -> None:
        above, outside = self._open[-1].place, self._outside
        place = above.inner.get(raw) or self._place(above, raw)
        attributes, size = _NONE, _AROUND
        if told:
            attributes = {self._name(key): value for key, value in told.items()}
            size += sum(map(len, attributes.values())) + _AROUND * len(attributes)
        self._count(size, place)
        self._open.append(_Element(place, attributes, outside))

    def _text(self, text: str) -> None:
        element = self._open[-1]
        self._count(len(text), element.place)
        element.parts.append(text)

    def _count(self, size: int, place: _Place) -> None:
        """Bound what is held: a record, or all that is around the records."""
        if place.inside is None:
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
        if element.place.inside:
            self._end_inside(element, self._open[-1].children)
        elif element.place.inside is None:
            self._end_outside(element, self._open[-1].children)
        else:
            self._end_record(element)

    def _end_outside(self, element: _Element, holder: dict[str, Any]) -> None:
        """What stands around the records: one element is a value, several of a name are a list.

        Of those on the way to records only the first is kept, since there may be as many as records.
        """
        told: Any = element.text
        if element.attributes or element.children:
            told = _with_text({f"@{key}": value for key, value in element.attributes.items()} | element.children, told)
        name = element.place.name
        if name not in holder:
            holder[name] = told
        elif element.place.on_the_way:
            self._outside = element.outside
        elif isinstance(holder[name], list):
            holder[name].append(told)
        else:
            holder[name] = [holder[name], told]

    def _end_record(self, element: _Element) -> None:
        whole = self._whole(element)
        if self._marks.keep:
            kept = {f"@{name}": value for name in self._marks.keep if (value := self._around(name)) is not None}
            if twice := sorted(kept.keys() & {f"@{name}" for name in element.attributes}):
                self._flaw = f"{twice[0]!r} stands in the record and in `keep`"
            whole = {**kept, **whole}
        if self._flaw is not None:
            self.flaws[len(self.records)] = self._flaw
        self.records.append(whole)
        self.size += self._pending
        self._pending, self._flaw = 0, None

    def _around(self, name: str) -> str | None:
        """The attribute of the nearest element around a record that has it."""
        return next((one.attributes[name] for one in reversed(self._open) if name in one.attributes), None)

    def _end_inside(self, element: _Element, holder: dict[str, Any]) -> None:
        place = element.place
        name = place.name
        if place.is_list:
            holder.setdefault(name, []).append(self._whole(element))
            return
        if name in holder:
            path = ".".join(place.inside or ())
            self._flaw = f"the element {path!r} stands twice: name it in `lists` of `decoder`"
            holder[name] = [holder[name], self._inner(element)]
        else:
            holder[name] = self._inner(element)
        for key, value in element.attributes.items():
            holder[f"{name}@{key}"] = self._value(value)

    def _whole(self, element: _Element) -> dict[str, Any]:
        """A record, or an element of a list: attributes, elements, text."""
        told = {f"@{key}": self._value(value) for key, value in element.attributes.items()}
        text, has_others = element.text, bool(element.children)
        told |= self._without_gaps(element)
        has_no_text = has_others or (element.place.inside == () and not text.strip()) or TEXT in told
        return told if has_no_text and not text.strip() else self._noted(told, text)

    def _noted(self, told: dict[str, Any], text: str) -> dict[str, Any]:
        if TEXT in told:
            self._flaw = f"an element {TEXT!r} stands beside the text of its record"
        return {**told, TEXT: self._value(text)}

    def _inner(self, element: _Element) -> Any:
        text = element.text
        if not (element.children or element.place.gaps):
            return None if text in self._nulls else text
        children = self._without_gaps(element)
        return self._noted(children, text) if text else children

    def _without_gaps(self, element: _Element) -> dict[str, Any]:
        """Its elements, with the lists that have none: that there are none is told."""
        children = element.children
        for name in element.place.gaps:
            children.setdefault(name, [])
        return children

    def _value(self, text: str) -> str | None:
        return None if text in self._nulls else text


def _with_text(told: dict[str, Any], text: str) -> dict[str, Any]:
    return {**told, TEXT: text} if text else told


def _refuse_doctype(*_: Any) -> None:
    raise RequestFailed(
        "its document type declaration (<!DOCTYPE …>) is not read: entities can make a body of any size, or ask for "
        "files"
    )
