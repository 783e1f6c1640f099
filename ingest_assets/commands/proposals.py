"""Types to declare: what the texts of a first page could all be."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

import pyarrow as pa

from ingest_assets.source import Endpoint

_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,6}")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)

Kinds = tuple[tuple[str, Callable[[str], bool]], ...]


@dataclass(frozen=True)
class Proposal:
    """A column whose values would all fit a type that JSON cannot say."""

    column: str
    type: str
    example: str


def proposals(arrow: pa.Table, endpoint: Endpoint) -> list[Proposal]:
    """Types that all of an undeclared text column's values would fit."""
    declared, kinds = endpoint.columns, _KINDS + (_WRITTEN if endpoint.decoder.texts else ())
    found = []
    for column in arrow.column_names:
        if column.startswith("_") or column in declared or not pa.types.is_string(arrow.schema.field(column).type):
            continue
        values = [value for value in arrow.column(column).to_pylist() if value is not None]
        if kind := _kind(values, kinds):
            found.append(Proposal(column, kind, values[0]))
    return found


def _kind(values: Sequence[str], kinds: Kinds) -> str | None:
    return next((kind for kind, fits in kinds if values and all(fits(value) for value in values)), None)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2026-01-31") and datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) is not None
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return len(text) > len("2026-01-31") and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_decimal(text: str) -> bool:
    try:
        return _DECIMAL.fullmatch(text) is not None and Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_whole(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None


def _is_truth(text: str) -> bool:
    return text.lower() in ("true", "false")


_KINDS: Kinds = (
    ("uuid", _is_uuid),
    ("date", _is_date),
    ("timestamptz", _is_time),
    ("decimal(18,6)", _is_decimal),
)
_WRITTEN: Kinds = (("bigint", _is_whole), ("boolean", _is_truth))  # where all values are texts
