"""Several parents in one request: which of them a batch holds, and which of those the answers leave out."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract.request import Walk
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import dig

ANSWERED = "answered"
"""Where the note of a page of a batch has the parents that its records are of."""
_NAMED = 5


class Answered:
    """The parents of a batch that one page's records are of; `path` is where a record tells its own."""

    def __init__(self, path: str, asked: Iterable[str]) -> None:
        self._path, self._asked = path, frozenset(asked)
        self._found = set[str]()

    def add_all(self, records: Iterable[bytes | memoryview]) -> None:
        """Note whose the records are."""
        for text in records:
            value = _value(text, self._path)
            if isinstance(value, str | int) and str(value) in self._asked:
                self._found.add(str(value))

    def told(self) -> list[str]:
        """What the note of the page says."""
        return sorted(self._found)


def answered(walk: Walk) -> Answered | None:
    """What notes a page's parents; None where the walk is no batch, or the file does not say where a record tells."""
    path = walk.endpoint.parents.answers
    return Answered(path, walk.part.batch) if path is not None and walk.part is not None and walk.part.batch else None


def check(walk: Walk, notes: Iterable[Mapping[str, Any]]) -> None:
    """Raise WalkIncomplete where pages of these notes hold no record of a parent that was asked for."""
    if answered(walk) is None or walk.part is None:
        return
    found = {parent for note in notes for parent in note.get(ANSWERED, ())}
    left = [parent for parent in walk.part.batch if parent not in found]
    if left:
        more = f", and {len(left) - _NAMED:,} more" if len(left) > _NAMED else ""
        raise WalkIncomplete(
            f"{walk.label}: {len(left):,} of {len(walk.part.batch):,} that were asked for in one request are not "
            f"among the answers: {', '.join(left[:_NAMED])}{more}"
        )


def _value(text: bytes | memoryview, path: str) -> Any:
    try:
        return dig(msgspec.json.decode(text), path)
    except UNREADABLE:
        return None
