"""The envelope of a JSON page: parsed, the place of its records checked and taken out of it."""

import json
from typing import Any

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.parsing import Twins, parsed
from ingest_assets.http.decoders.pieces import cut
from ingest_assets.http.selector import Selector

KEYS_SHOWN = 10


def envelope_of(text: bytes, selector: Selector, found: bool) -> Any:
    """The envelope parsed, the place of the records taken out of it."""
    twins = Twins()
    try:
        envelope = parsed(text, twins)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise cut("more follows after its end") from None  # the error holds the body
        raise RequestFailed(f"expected JSON, found an error outside the records: {error.msg}") from None
    except (ValueError, RecursionError):
        raise RequestFailed("expected JSON, found text that is not, outside the records") from None
    if selector.keys:
        _take_records_out(envelope, selector, twins, found)
        return envelope
    if not found:
        raise _not_there(selector, (), envelope)
    return None


def _take_records_out(envelope: Any, selector: Selector, twins: Twins, found: bool) -> None:
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
    keys = ", ".join(sorted(holder)[:KEYS_SHOWN]) + (", …" if len(holder) > KEYS_SHOWN else "")
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
        keys = ", ".join(sorted(value)[:KEYS_SHOWN])
        return f"an object with the keys {keys}" if keys else "an empty object"
    names = {type(None): "null", bool: "a boolean", str: "a text", list: "a list"}
    return names.get(type(value), "a number")
