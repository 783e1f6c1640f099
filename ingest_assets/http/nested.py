"""Records that do not stand in one list: in a list of each element of a list, or as the values of a dictionary.

{"days": [{"day": "05", "items": [{…}, {…}]}, {"day": "06", "items": [{…}]}]}      days[].items[], keep: day
{"rates": {"2026-01-05": {"EUR": 0.92, "GBP": 0.79}}}                              rates{}{}, key: [day, currency]
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.parsing import SPACE, UNREADABLE, raw_list, raw_object
from ingest_assets.http.selector import Selector
from ingest_assets.http.structure import Located, fields_of, locate, split_array

_KEYS_SHOWN = 10
_NOT_WHOLE = "one of the elements is not JSON that can be read as a whole"

Fields = tuple[tuple[str, bytes], ...]
Steps = Sequence[tuple[str, tuple[str, ...]]]


def records(selector: Selector, element: bytes, max_record_bytes: int) -> Iterator[bytes]:
    """The records in one element of the list that the selector's path begins with; RequestFailed where none fit.

    >>> days = Selector(path="days[].items[]", keep="day")
    >>> list(records(days, b'{"day": "05", "items": [{"id": 1}, {}]}', 1 << 20))
    [b'{"day":"05","id": 1}', b'{"day":"05"}']
    """
    yield from _readable(selector, _Way(selector, max_record_bytes).inside(element, selector.steps, ()))


def values(selector: Selector, holder: bytes, max_record_bytes: int) -> Iterator[bytes]:
    """The records of a dictionary that the selector's path leads to.

    >>> rates = Selector(path="rates{}", key="currency")
    >>> list(values(rates, b'{"EUR": {"rate": 1}, "USD": 1.08}', 1 << 20))
    [b'{"currency":"EUR","rate": 1}', b'{"currency":"USD","value":1.08}']
    """
    yield from _readable(selector, _Way(selector, max_record_bytes).each(holder, selector.steps, ()))


def _readable(selector: Selector, texts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from texts
    except UNREADABLE:
        raise RequestFailed(f"records: {selector.path!r}: {_NOT_WHOLE}") from None


class _Way:
    """The rest of a path, walked through one part of a body."""

    def __init__(self, selector: Selector, max_record_bytes: int) -> None:
        self._selector = selector
        self._named = f"records: {selector.path!r}"
        self._max_record_bytes = max_record_bytes

    def each(self, text: bytes, steps: Steps, fields: Fields) -> Iterator[bytes]:
        """What the elements or values of a list or dictionary hold, of which a step's mark is."""
        mark, keys = steps[0]
        if mark == "[]":
            for element in self._elements(text):
                yield from self.inside(element, steps, fields)
            return
        name = self._selector.key[-sum(step == "{}" for step, _ in steps)]
        for key, value in self._object(text, "a dictionary").items():
            told = (*fields, (name, json.dumps(key, ensure_ascii=False).encode()))
            yield from self._below(bytes(value), keys, steps[1:], told)

    def inside(self, element: bytes, steps: Steps, fields: Fields) -> Iterator[bytes]:
        """What one element of a list holds."""
        keys, rest = steps[0][1], steps[1:]
        if self._selector.keep and (keys or rest):
            told = self._object(element, "an object")
            fields = (*fields, *((name, bytes(told[name])) for name in self._selector.keep if name in told))
        yield from self._below(element, keys, rest, fields)

    def _below(self, text: bytes, keys: tuple[str, ...], rest: Steps, fields: Fields) -> Iterator[bytes]:
        """What is at these keys: a record, or what the next step goes on with."""
        try:
            found = self._at(text, keys)
        except UNREADABLE:
            yield from self._by_structure(text, keys, rest, fields)
            return
        if found is None:
            return
        if rest:
            yield from self.each(found, rest, fields)
        else:
            yield self._record(found, fields)

    def _at(self, text: bytes, keys: tuple[str, ...]) -> bytes | None:
        """What is at these keys; None where nothing has to be."""
        for key in keys:
            holder = self._object(text, "an object")
            if key not in holder and self._selector.absent == "refuse":
                there = ", ".join(sorted(holder)[:_KEYS_SHOWN]) or "none"
                raise RequestFailed(
                    f"{self._named}: there is no {key!r} in one of the elements; the keys there are: {there}. Where "
                    "that means no records, say `absent: empty`"
                )
            if key not in holder or (bytes(holder[key]) == b"null" and self._selector.absent == "empty"):
                return None
            text = bytes(holder[key])
        return text

    def _object(self, text: bytes, expected: str) -> Mapping[str, msgspec.Raw]:
        if not text.lstrip(SPACE).startswith(b"{"):
            raise RequestFailed(f"{self._named}: expected {expected}, found {_kind(text)} in one of the elements")
        found = raw_object.decode(text)
        if len(found) != fields_of(text):
            raise RequestFailed(f"{self._named}: a key stands twice in one object, in one of the elements")
        return found

    def _elements(self, text: bytes) -> list[bytes]:
        if text.startswith(b"{") and self._selector.single == "record":
            return [text]
        if text == b"null" and self._selector.absent == "empty":
            return []
        if not text.startswith(b"["):
            hint = {b"n": "`absent: empty`", b"{": "`single: record`"}.get(text[:1])
            raise RequestFailed(
                f"{self._named}: expected a list in each element, found {_kind(text)} in one of them"
                + (f". Where that is this API's habit, say {hint}" if hint else "")
            )
        return [bytes(raw) for raw in raw_list.decode(text)]

    def _by_structure(self, text: bytes, keys: tuple[str, ...], rest: Steps, fields: Fields) -> Iterator[bytes]:
        """The same for an element that msgspec refuses as a whole for the sake of one record in it."""
        located = Located()
        if self._selector.makes or rest != (("[]", ()),):
            raise RequestFailed(f"{self._named}: {_NOT_WHOLE}")
        for block, _ in locate([text], keys, located, self._max_record_bytes):
            for record in split_array(block):
                yield self._record(record.strip(SPACE), fields)
        if not located.found:
            raise RequestFailed(f"{self._named}: one of the elements is not JSON, or has no list at {'.'.join(keys)!r}")

    def _record(self, text: bytes, fields: Fields) -> bytes:
        """The record with the fields that it gets from its place."""
        if not fields:
            return text
        told = b",".join(json.dumps(name, ensure_ascii=False).encode() + b":" + value for name, value in fields)
        if not text.startswith(b"{"):
            return b"{%s,%s:%s}" % (told, json.dumps(self._selector.value, ensure_ascii=False).encode(), text)
        inside = text[1:].lstrip(SPACE)
        return b"{%s%s%s" % (told, b"" if inside.startswith(b"}") else b",", inside)


def _kind(text: bytes) -> str:
    first = text.lstrip(SPACE)[:1]
    names = {b"{": "an object", b"[": "a list", b'"': "a text", b"n": "null", b"t": "a boolean", b"f": "a boolean"}
    return names.get(first, "a number")
