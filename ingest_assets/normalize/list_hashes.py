"""The hash of each list of a record, as the record has it: by that a list that came again as it was is known.

The text of a list is not in what a decoder gives of it, so each record is looked through once more, for its lists.
"""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import xxhash
from msgspec import UNSET, Raw, UnsetType

from ingest_assets.http.decoders.parsing import UNNAMEABLE
from ingest_assets.normalize.names import Path

Digests = list[bytes | None]
_NOTHING = (UNSET, Raw(b"null"))


class ListHashes:
    """Finds what stands at these paths in records."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        struct = _struct(paths)
        self._decoder = None if struct is None else msgspec.json.Decoder(struct)

    def of(self, records: Sequence[Any]) -> list[Digests]:
        """By path, of the text of each record: xxh3_128 of what stands there as text; None where nothing or null does.

        >>> [[digest is not None for digest in found] for found in ListHashes([("a",)]).of([b'{"a": []}', b'{}'])]
        [[True, False]]
        """
        if not self._paths:
            return []
        if self._decoder is not None:
            try:
                decoded = list(map(self._decoder.decode, records))
            except msgspec.ValidationError:  # what is an object elsewhere is none here
                pass
            else:
                return [_digests(_inside(decoded, path)) for path in self._paths]
        return [_digests([_walked(record, path) for record in records]) for path in self._paths]


def _digests(texts: Sequence[Any]) -> Digests:
    return [None if text in _NOTHING else xxhash.xxh3_128_digest(text) for text in texts]


def _name(key: str) -> str:
    return f"f_{key.encode().hex()}"


def _struct(paths: Collection[Path]) -> type[msgspec.Struct] | None:
    """A struct of what leads to these lists alone; None where one is in the way of another, or a key has no field."""
    below: dict[str, list[Path]] = {}
    for key, *rest in paths:
        below.setdefault(key, []).append(tuple(rest))
    fields = list[Any]()
    for key, rests in below.items():
        kind = _kind(rests)
        if kind is None or UNNAMEABLE.search(key):
            return None
        fields.append((_name(key), kind, UNSET))
    return msgspec.defstruct("Lists", fields, rename={_name(key): key for key in below}, gc=False)


def _kind(rests: Sequence[Path]) -> Any:
    if rests == [()]:
        return Raw | UnsetType
    inner = None if () in rests else _struct(rests)
    return None if inner is None else inner | None | UnsetType


def _inside(decoded: Sequence[Any], path: Path) -> list[Any]:
    first, *rest = map(_name, path)
    found = list(map(attrgetter(first), decoded))
    for name in rest:
        found = [getattr(value, name, UNSET) for value in found]  # null has none
    return found


def _walked(text: Any, path: Path) -> Any:
    for key in path:
        if bytes(text)[:1] != b"{":
            return UNSET
        fields: Mapping[str, Any] = msgspec.json.decode(text, type=dict[str, Raw])
        if key not in fields:
            return UNSET
        text = fields[key]
    return text
