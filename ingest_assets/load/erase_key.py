"""What is to be erased: a key of an endpoint, and what is stored of it."""

import itertools
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.values import Unfit
from ingest_assets.raw.erase import Found
from ingest_assets.raw.forgotten import PARTITION, Keys, at, told

_WHOLE = ("bigint", "hugeint", "decimal")
_NUMERIC = (*_WHOLE, "double")


class Sought(Struct, frozen=True):
    """One column of a key: its value as typed, and as the column holds it, None where it holds no such value."""

    column: ColumnPlan
    value: str
    typed: Any
    path: Keys

    def is_in(self, record: Any) -> bool:
        """Whether a parsed record has the value, as its row would hold it or as it was typed.

        7, 7.0 and "7" are one where the column is a number.
        """
        held = self.held(record)
        if held is not None and (held == self.typed or self.column.is_money):
            return bool(held == self.typed)  # 1999 is not sought where 19.99 was sent as 1999
        return _same(told(at(record, self.path)), self.value, self.column.spec.type)

    def held(self, record: Any) -> Any:
        """What the column holds of a parsed record; None where that has no value, or one that does not fit."""
        return _held(self.column, record)

    def may_be_in(self, text: bytes) -> bool:
        """Whether a record's text may hold the value; most texts do not, and need not be read for it."""
        declared = self.column.declared
        is_plain = declared is None or (declared.default is None and not declared.spellings and not declared.given)
        if not is_plain or self.column.spec.type not in ("varchar", "uuid"):
            return True  # it may be written in other ways, such as 2e3 for 2000
        return str(self.typed or self.value).encode().lower() in text.lower()

    @property
    def writings(self) -> tuple[str, ...]:
        """The value as typed, and how records that the fetch has not read yet may write it."""
        declared = self.column.declared
        if declared is not None and declared.spellings is not None:
            return (self.value, *(text for text, name in declared.spellings.items() if name == self.typed))
        return tuple(dict.fromkeys((self.value, told(self.typed) or self.value)))


class Key(Struct, frozen=True):
    """What is to be forgotten: some columns and their values."""

    sought: tuple[Sought, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(one.column.spec.name for one in self.sought)

    @property
    def values(self) -> tuple[str, ...]:
        """Their values as typed."""
        return tuple(one.value for one in self.sought)

    @property
    def paths(self) -> tuple[Keys, ...]:
        """Where in a record they are."""
        return tuple(one.path for one in self.sought)

    @property
    def writings(self) -> Iterator[tuple[str, ...]]:
        """The ways in which the values may be written, as they were typed first."""
        return itertools.product(*(one.writings for one in self.sought))

    @property
    def is_typed(self) -> bool:
        """Whether all columns can hold their value, so that rows can be asked for it."""
        return all(one.typed is not None for one in self.sought)

    def has(self, record: Any) -> bool:
        """Whether a parsed record is of this key."""
        return all(one.is_in(record) for one in self.sought)

    def may_be_in(self, text: bytes) -> bool:
        """Whether a record's text may be one of this key."""
        return b"\\" in text or all(one.may_be_in(text) for one in self.sought)

    def stands_in(self, text: bytes) -> bool:
        """Whether all values stand in a text as they were typed: all that is known of one that cannot be read."""
        lowered = text.lower()
        return all(value.encode().lower() in lowered for value in self.values)


class Identity(Struct, frozen=True):
    """What tells whose version a record is: columns of the primary key, None where nothing came of one, and paths."""

    columns: tuple[ColumnPlan | None, ...] = ()
    paths: tuple[Keys, ...] = ()

    def of(self, record: Any) -> set[tuple[Any, ...]]:
        """The key of a parsed record, as its row would hold it and as it is written; none where a value is missing."""
        written = tuple(told(at(record, path)) for path in self.paths)
        held = tuple(None if column is None else _held(column, record) for column in self.columns)
        return {one for one in (written, held) if one and None not in one}


def _held(column: ColumnPlan, record: Any) -> Any:
    if column.given_by is not None:
        column = replace(column, given=record.get(PARTITION, {}))
    try:
        return column.held(record)
    except (Unfit, InvalidOperation):
        return None


def typed(connection: duckdb.DuckDBPyConnection, kind: str, text: str) -> Any:
    """What a text is in a column of this type, None where it is none of its values, or would be rounded to one."""
    cast = f"TRY_CAST($1 AS {kind})"
    # DuckDB makes moments by way of pytz, which nothing here needs.
    cast = f"CAST({cast} AS TIMESTAMP)" if kind == "timestamptz" else cast
    (value,) = connection.execute(f"SELECT {cast}", [text]).fetchone() or (None,)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if kind.startswith(_WHOLE) and not _same(text, str(value), kind):
        return None
    if isinstance(value, datetime) and kind == "timestamptz":
        return value.replace(tzinfo=UTC)
    return str(value) if isinstance(value, uuid.UUID) else value


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
    """What is stored of a key: records by fetch, the ways in which it is written there, and the primary keys of these.

    A primary key stands there as rows hold it, and as records write it.
    """

    found: dict[int, list[Found]] = field(default_factory=dict)
    writings: set[tuple[str, ...]] = field(default_factory=set)
    keys: set[tuple[Any, ...]] = field(default_factory=set)

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
