"""What a source file names and no record of a first page has: a slip there would otherwise show as nulls, later."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ingest_assets.http.decoders import Block
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import MISSING, dig
from ingest_assets.http.place import kind
from ingest_assets.normalize.names import cleaned
from ingest_assets.source import Endpoint

_NAMED = 12
_MORE = frozenset(["hasmore", "hasnext", "hasnextpage", "morepages"])


def unseen(endpoint: Endpoint, block: Block) -> list[str]:
    """Columns, lists and the sign of deletion that none of these records has, and what stands there instead."""
    records = [one for raw in block.records() if isinstance(one := _decoded(raw), dict)]
    looks = (_deleted, _columns, _lists, _cut_lists)
    return [told for look in looks for told in look(endpoint, records)] if records else []


def _at(record: Any, path: str) -> Any:
    """What a column's path leads to, or MISSING: unlike places in an answer, it knows nothing but keys."""
    for key in path.split("."):
        record = record.get(key, MISSING) if isinstance(record, Mapping) else MISSING
    return record


def _decoded(raw: bytes | memoryview) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:  # its record goes to quarantine, which is told
        return None


def _deleted(endpoint: Endpoint, records: Sequence[Any]) -> Iterator[str]:
    told = endpoint.deleted
    if told is None:
        return
    found = [value for record in records if (value := _at(record, told.path)) is not MISSING]
    kinds = {kind(value) for value in found if value is not None}
    if not found:
        yield (
            f"deleted: none of the records has {told.path!r}{_instead(records, told.path)}. All is well where only "
            "deleted ones have it"
        )
    elif kinds and kind(told.equals) not in kinds:
        yield f"deleted: {told.path!r} holds {' or '.join(sorted(kinds))}, and `equals` is {kind(told.equals)}"


def _columns(endpoint: Endpoint, records: Sequence[Any]) -> Iterator[str]:
    names = {_letters(name) for record in records for name in _flat(record)}
    for name, column in endpoint.columns.items():
        if column.given or column.required or name in endpoint.primary_key:
            continue
        if column.path is not None and all(_at(record, column.path) is MISSING for record in records):
            told = _dotted(column.path) if any(column.path in record for record in records) else None
            yield f"column {name!r}: none of the records has {column.path!r}{told or _instead(records, column.path)}"
        elif column.path is None and _letters(name) not in names:
            yield (
                f"column {name!r}: none of the records has a value of that name{_instead(records, '')}. Where it is "
                "called otherwise, say `path:`"
            )


def _lists(endpoint: Endpoint, records: Sequence[Any]) -> Iterator[str]:
    yield from _missing("children", endpoint.children, records)


def _missing(field: str, paths: Iterable[str], records: Sequence[Any]) -> Iterator[str]:
    there = {path for record in records for path in _list_paths(record)}
    for path in paths:
        if path not in there:
            known = ", ".join(sorted(there)[:_NAMED]) or "none"
            yield f"{field}: none of the records has a list {path!r}; the lists there are: {known}"


def _cut_lists(endpoint: Endpoint, records: Sequence[Any]) -> Iterator[str]:
    """Lists that would be read on and are not there, and lists that are there, say that they are cut, and are not."""
    yield from _missing("cut_lists", endpoint.cut_lists, records)
    named = {told.has_more for told in endpoint.cut_lists.values()}
    kept_whole = tuple(f"{column.path or name}." for name, column in endpoint.columns.items() if column.type == "json")
    for path in dict.fromkeys(path for record in records for path in _says_more(record)):
        if path not in named and not path.startswith(kept_whole):
            yield (
                f"{path!r} says in some records that a list inside of them was cut, and its rest would not be read: "
                "name it under `cut_lists`, docs/paging.md"
            )


def _says_more(record: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The paths below a record's own keys that say of a list beside them that it has more."""
    for key, inner in record.items():
        if isinstance(inner, Mapping):
            yield from _says_more(inner, f"{before}{key}.")
        elif before and _letters(key) in _MORE and inner is True:
            yield before + key


def _instead(records: Sequence[Any], path: str) -> str:
    """The keys beside a value that is not there."""
    parents = (dig(record, path.rpartition(".")[0]) if "." in path else record for record in records)
    keys = list(dict.fromkeys(key for parent in parents if isinstance(parent, Mapping) for key in parent))
    more = ", …" if len(keys) > _NAMED else ""
    return f"; the keys there are: {', '.join(keys[:_NAMED])}{more}" if keys else ""


def _dotted(path: str) -> str:
    """What is said of a path that is one key of a record, with its dots."""
    named = cleaned(path)
    return f": a dot leads into an object, and here it is part of a key; column {named!r} without `path:` finds it"


def _letters(name: str) -> str:
    """A name as it is compared with a key of the API's, which may be spelled otherwise: `createdAt`, `created_at`."""
    return re.sub(r"[\W_]", "", name.lower())


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, inner in value.items():
        yield before + key
        if isinstance(inner, Mapping):
            yield from _flat(inner, before + key)


def _list_paths(value: Any, path: str = "") -> Iterator[str]:
    """The paths of the lists in a record, those inside lists, too."""
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        here = f"{path}.{key}" if path else key
        if isinstance(inner, list):
            yield here
        for one in inner if isinstance(inner, list) else [inner]:
            yield from _list_paths(one, here)
