"""What is to be erased: a key of an endpoint, and what is stored of it."""

from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct, field

from ingest_assets.raw.erase import Found
from ingest_assets.raw.forgotten import Keys, at, told

_NUMERIC = ("bigint", "hugeint", "double", "decimal")


class Key(Struct, frozen=True):
    """What is to be forgotten: some columns, their values as typed, and where in a record they are."""

    columns: tuple[str, ...]
    values: tuple[str, ...]
    paths: tuple[Keys, ...]
    types: tuple[str, ...]

    def has(self, record: Any) -> bool:
        """Whether a parsed record is of this key; 7, 7.0 and "7" are one where the column is a number."""
        values = [told(at(record, path)) for path in self.paths]
        return all(map(_same, values, self.values, self.types))


def _same(value: str | None, wanted: str, kind: str) -> bool:
    if value is None or value == wanted:
        return value == wanted
    if kind == "uuid":
        return value.lower() == wanted.lower()
    try:
        return kind.startswith(_NUMERIC) and Decimal(value) == Decimal(wanted)
    except InvalidOperation:
        return False


class Stored(Struct):
    """What is stored of a key: records by fetch, and the ways in which key and primary key are written there."""

    found: dict[int, list[Found]] = field(default_factory=dict)
    writings: set[tuple[str, ...]] = field(default_factory=set)
    keys: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def records(self) -> int:
        """How many records, all versions counted."""
        return sum(len(one.positions) for found in self.found.values() for one in found)

    @property
    def pages(self) -> int:
        """On how many pages they stand."""
        return sum(map(len, self.found.values()))

    @property
    def places(self) -> list[tuple[int, int, int]]:
        """Fetch, page and position of each."""
        return [(f, one.page, p) for f, found in self.found.items() for one in found for p in one.positions]
