"""What a partition is, in a source file: periods, accounts and the like, or both; and how its key is written."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from ingest_assets.durations import Duration
from ingest_assets.periods import EVERY, Every

# What Dagster keeps out of keys, and control characters.
_KEY_PART = re.compile(r"[^|,\[\]\x00-\x1f\x7f]{1,200}")
NO_KEY_PART = "cannot be part of a partition's key: 1 to 200 characters without | , [ ] ... and control characters"


def day_first(value: Any) -> Any:
    """pydantic would read 2024 as seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("expected a date such as 2026-01-01")


class Listed(BaseModel):
    """Values that another endpoint of this source lists, and which may become more."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    endpoint: str = Field(description="the endpoint whose table lists them")
    field: str = Field(description="the column of that table that holds them, such as id")


def _values(value: Any) -> Any:
    """Numbers stand for themselves, as text: ids of accounts are written so."""
    if isinstance(value, list):
        return [str(one) if type(one) is int else one for one in value]
    return value


def _kind_of_values(given: Any) -> str | None:
    if isinstance(given, list | tuple):
        return "a list"
    return "Listed" if isinstance(given, dict | Listed) else None


Values = Annotated[
    Annotated[tuple[str, ...], BeforeValidator(_values), Tag("a list")] | Annotated[Listed, Tag("Listed")],
    Discriminator(
        _kind_of_values,
        custom_error_type="values",
        custom_error_message="expected a list such as [eu, us], or {endpoint: accounts, field: id}",
    ),
]


class Slice(Struct, frozen=True):
    """A partition's key taken apart: its period, None without periods, and the value of each other dimension."""

    period: str | None
    by: Mapping[str, str]


class Partitions(BaseModel):
    """The slices that are fetched, loaded and backfilled as one: periods of a window, accounts or the like, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    every: Every | None = Field(None, description="how long a period is; weeks begin on Monday")
    start: Annotated[date, BeforeValidator(day_first)] | None = Field(
        None, description="a day of the first period, in the endpoint's time_zone"
    )
    open: bool = Field(False, description="fetch the running period, too, and once again after it is over")
    settle: Duration = Field(timedelta(0), description="how long after its end a period may still change")
    by: dict[str, Values] = Field(
        default_factory=dict, description="accounts, regions and the like: {NAME} is replaced by each in turn"
    )

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What a key is made of, in its order, which is Dagster's: names in order of the alphabet."""
        return tuple(sorted([*self.by, *([self.every] if self.every else [])]))

    def key(self, period: str | None, by: Mapping[str, str]) -> str:
        """The key of a slice, as Dagster writes it.

        >>> Partitions(every="day", start="2026-01-01", by={"account": ["eu"]}).key("2026-01-07", {"account": "eu"})
        'eu|2026-01-07'
        """
        values = dict(by)
        if self.every is not None and period is not None:
            values[self.every] = period
        return "|".join(values[name] for name in self.dimensions)

    def slice(self, key: str) -> Slice:
        """What a key is made of; ValueError where it has another number of parts.

        >>> Partitions(every="month", start="2026-01-01", by={"shop": ["a"]}).slice("2026-01-01|a").by
        {'shop': 'a'}
        """
        parts = key.split("|") if len(self.dimensions) > 1 else [key]
        if len(parts) != len(self.dimensions):
            raise ValueError(f"{key!r} is no partition; expected {'|'.join(self.dimensions)}")
        values = dict(zip(self.dimensions, parts, strict=True))
        period = values.pop(self.every, None) if self.every else None
        return Slice(period, values)


def is_key_part(value: str) -> bool:
    """Whether a value can be part of a partition's key.

    >>> is_key_part("Möller & Söhne"), is_key_part("a|b"), is_key_part("")
    (True, False, False)
    """
    return _KEY_PART.fullmatch(value) is not None and "..." not in value


def types_of(dimension: str) -> tuple[str, ...]:
    """What a column of the partition may be: a period is told by its first moment, or its first day."""
    if dimension == "hour":
        return ("timestamptz", "varchar")
    return ("date", "varchar") if dimension in EVERY else ("varchar",)
