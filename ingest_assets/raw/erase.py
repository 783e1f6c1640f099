"""Records taken out of stored pages: each leaves a mark in its place, so that all others keep theirs.

    before   pages.zst      {"data": [{"id": 1, …}, {"id": 2, …}]}
    after    pages.1.zst    {"data": [{"id": 1, …}, {"forgotten":true}     ]}

A body keeps its length: the mark is filled up with spaces. The pages are written into a new segment; the index, put in
place as a whole, is what makes it count, and the former segment is removed then. So a process may die at any moment.
A snapshot never changes otherwise.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from ingest_assets.http.page import PageRequest
from ingest_assets.raw import body, disk
from ingest_assets.raw.bodies import compressed, marked, replaced
from ingest_assets.raw.forgotten import Forgotten, at, told
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry, to_line
from ingest_assets.raw.reading import SEGMENT, Snapshot

_HIDDEN = "(forgotten)"


class Found(Struct, frozen=True):
    """Records of one page that are to go: their positions, and the text of each."""

    page: int
    positions: tuple[int, ...]
    texts: tuple[bytes, ...]


def erase(snapshot: Snapshot, found: Sequence[Found], keys: Sequence[str], when: datetime) -> None:
    """Take these records out of an ended snapshot; `keys` are texts that cursors of pages beside them may hold.

    Whatever an interrupted call left behind is removed too, also where nothing is found.
    """
    with disk.writing(snapshot.folder):
        if found:
            segment = _free_name(snapshot)
            entries = _written(snapshot, {one.page: one for one in found}, keys, segment, when)
            _put(snapshot.folder / INDEX, entries)
        _remove_former(snapshot.folder)


def _free_name(snapshot: Snapshot) -> str:
    used = {entry.segment for entry in snapshot.pages}
    return next(name for name in (f"pages.{n}.zst" for n in range(1, len(used) + 2)) if name not in used)


def _written(
    snapshot: Snapshot, found: Mapping[int, Found], keys: Sequence[str], segment: str, when: datetime
) -> list[IndexEntry]:
    """The pages in a new segment, durably: those of `found` anew, the others byte by byte."""
    entries, offset = [], 0
    with disk.opened(snapshot.folder / segment, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as into:
        for entry in snapshot.pages:
            frame = _frame(snapshot, entry, found.get(entry.number), keys, into, offset)
            beside = any(number in found for number in (entry.number - 1, entry.number, entry.number + 1))
            entry = _hidden(entry, keys) if beside else entry
            entries.append(replace(entry, **asdict(frame), segment=segment, **_marks(entry, found, when)))
            offset += frame.length
        os.fsync(into)
    return entries


def _marks(entry: IndexEntry, found: Mapping[int, Found], when: datetime) -> dict[str, Any]:
    if entry.number not in found:
        return {}
    positions = tuple(sorted({*entry.forgotten, *found[entry.number].positions}))
    note = dict(entry.note)
    if positions[-1] == entry.records - 1 and "last_record" in note:
        note["last_record"] = None
    return {"forgotten": positions, "forgotten_at": when.astimezone(UTC).isoformat(), "note": note}


def _frame(
    snapshot: Snapshot, entry: IndexEntry, found: Found | None, keys: Sequence[str], into: int, offset: int
) -> body.Frame:
    needles = (marked(found.texts) | _cursors(entry, keys)) if found else {}
    if needles:
        with snapshot.body(entry) as stored:
            return compressed(replaced(stored, needles), into, offset)
    length = 0
    with (snapshot.folder / entry.segment).open("rb") as former:
        former.seek(entry.offset)
        while chunk := former.read(min(body.CHUNK_BYTES, entry.length - length)):
            disk.write_at(into, chunk, offset + length)
            length += len(chunk)
    return replace(entry.frame, offset=offset)


def _cursors(entry: IndexEntry, keys: Sequence[str]) -> dict[bytes, bytes]:
    """Texts of the page's envelope that hold a key, as JSON may write them, with stars in place of the key."""
    texts = {text: _starred(text, keys) for text in _texts(entry.note.get("envelope"))}
    return {
        written: starred
        for text, hidden in texts.items()
        for written, starred in zip(_writings(text), _writings(hidden), strict=True)
        if hidden != text and len(written) == len(starred)
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _writings(text: str) -> list[bytes]:
    plain = [json.dumps(text), json.dumps(text, ensure_ascii=False)]
    return [one.encode() for one in (*plain, *(one.replace("/", "\\/") for one in plain))]


def _starred(text: str, keys: Sequence[str]) -> str:
    for key in keys:
        text = re.sub(_whole(key), "*" * len(key), text)
    return text


def _whole(key: str) -> str:
    return rf"(?<!\w){re.escape(key)}(?!\w)"


def _hidden(entry: IndexEntry, keys: Sequence[str]) -> IndexEntry:
    """What the index tells of a page, without the keys that its cursors hold."""
    request = PageRequest(
        **asdict(entry.request)
        | {
            "url": _without(entry.request.url, keys),
            "params": tuple((name, _without(value, keys)) for name, value in entry.request.params),
            "headers": tuple((name, _without(value, keys)) for name, value in entry.request.headers),
            "path": tuple((name, _without(value, keys)) for name, value in entry.request.path),
            "body": _without(entry.request.body, keys),
        }
    )
    headers = {name: _without(value, keys) for name, value in entry.headers.items()}
    return replace(entry, request=request, headers=headers, note=_without(dict(entry.note), keys))


def _without(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner, keys) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, keys) for inner in value]
    if isinstance(value, str):
        for key in keys:
            value = re.sub(_whole(key), _HIDDEN, value)
        return value
    if isinstance(value, int) and not isinstance(value, bool) and str(value) in keys:
        return None
    return value


def _put(index: Path, entries: Sequence[IndexEntry]) -> None:
    draft = index.with_name(f"{INDEX}.new")
    with disk.opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as into:
        offset = 0
        for entry in entries:
            line = to_line(entry)
            disk.write_at(into, line, offset)
            offset += len(line)
        os.fsync(into)
    draft.replace(index)
    disk.sync_folder(index.parent)


def _remove_former(folder: Path) -> None:
    """Segments that the index does not name, and drafts."""
    named = {entry.segment for entry in Snapshot(folder).pages} or {SEGMENT}
    left = [f for f in folder.iterdir() if (f.suffix == ".zst" and f.name not in named) or f.suffix == ".new"]
    for file in left:
        file.unlink()
    if left:
        disk.sync_folder(folder)


def tidy(snapshot: Snapshot, rules: Forgotten, when: datetime) -> None:
    """Take the keys out that a walk had to keep for its cursors, now that it has ended."""
    ends = [entry for entry in snapshot.pages if entry.forgotten and entry.forgotten[-1] == entry.records - 1]
    keys = {
        told(at(entry.note.get("last_record"), path)) for entry in ends for rule in rules.rules for path in rule.paths
    }
    if ends:
        found = [Found(entry.number, entry.forgotten, ()) for entry in ends]
        erase(snapshot, found, sorted(key for key in keys if key), when)


def find(
    snapshot: Snapshot, records: Callable[[IndexEntry], Iterator[tuple[int, bytes]]], is_one: Callable[[bytes], bool]
) -> list[Found]:
    """The records of a snapshot that `is_one` says are to go, page by page; marks of former calls are passed over."""
    found = []
    for entry in snapshot.pages:
        known = set(entry.forgotten)
        here = [(place, text) for place, text in records(entry) if place not in known and is_one(text)]
        if here:
            found.append(Found(entry.number, tuple(p for p, _ in here), tuple(t for _, t in here)))
    return found
