"""Values as an API might send them: of each declared type, in the format that the source file says."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest_assets.column import TIME_TYPES, Column

_TEXT = 'Zoë, "{name}" & Co <{number}>'


@dataclass(frozen=True)
class Nth:
    """Which record a value is of: its number, the time it tells, and the zone of times that are written without."""

    number: int
    moment: datetime
    zone: str = "UTC"


def value(column: Column | None, name: str, nth: Nth, *, key: bool = False) -> Any:
    """A value that fits the column; of a key, one that no other record has.

    >>> nth = Nth(7, datetime(2026, 1, 2, 3, tzinfo=UTC))
    >>> [value(Column(type=t), "x", nth, key=True) for t in ("varchar", "bigint", "decimal(12,2)", "timestamptz")]
    ['x-0007', 1007, 7.25, '2026-01-02T03:00:00Z']
    """
    if column is None:
        return f"{name}-{nth.number:04d}"
    if column.type in TIME_TYPES:
        return _time(column, nth)
    if column.type == "varchar":
        return _text(column, name, nth, key=key)
    return _other(column.type, nth)


def _text(column: Column, name: str, nth: Nth, *, key: bool) -> str:
    if column.values:
        return list[str](column.values)[nth.number % len(column.values)]
    return f"{name}-{nth.number:04d}" if key else _TEXT.format(name=name, number=nth.number)


def _other(kind: str, nth: Nth) -> Any:
    match kind:
        case "bigint" | "hugeint":
            return 1000 + nth.number
        case "boolean":
            return nth.number % 2 == 0
        case "json":
            return {"number": nth.number}
        case "uuid":
            return str(uuid.UUID(int=nth.number))
        case "double":
            return nth.number + 0.5
    whole, scale = (int(part) for part in kind.removeprefix("decimal(").removesuffix(")").split(","))
    fits = nth.number % 10 ** min(whole - scale, 6) if whole > scale else 0
    return fits + (0.25 if scale > 1 else 0.5 if scale else 0)


def _time(column: Column, nth: Nth) -> Any:
    local, form = nth.moment.astimezone(ZoneInfo(nth.zone)), column.format or "iso"
    if form in ("unix", "unix_ms"):
        return int(nth.moment.timestamp() * (1000 if form == "unix_ms" else 1))
    if form == "date" or (column.type == "date" and form == "iso"):
        return local.date().isoformat()
    if form != "iso":
        return (nth.moment if "%z" in form else local).strftime(form)
    if column.type == "time":
        return local.time().isoformat()
    if column.type == "timestamp":
        return local.replace(tzinfo=None).isoformat()
    return nth.moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def as_text(given: Any) -> str:
    """A value as formats write it that know texts only.

    >>> as_text(True), as_text(7.25), as_text(None)
    ('true', '7.25', '')
    """
    if given is None:
        return ""
    return str(given).lower() if isinstance(given, bool) else str(given)
