"""Whether a value fits its column, what it becomes there, and the one text of a JSON value."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, partial
from json.encoder import encode_basestring
from typing import Any, Literal

import pyarrow as pa

from ingest_assets.column import TIME_TYPES, Column
from ingest_assets.normalize.times import time_parser

Fit = Callable[[Any], Any]

_MOST_ZEROS = 40
_NUMERIC = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,60}", re.ASCII)
_WRITTEN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_SAID = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_SAID |= {"false": False, "f": False, "no": False, "n": False, "0": False}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
SCALED = re.compile(r"decimal\((\d+),(\d+)\)")
_SHOWN = 120


UnfitKind = Literal["unfit", "broken"]


class Unfit(Exception):
    """A record, or a value of it, that does not fit. Not an error of the run: it becomes a quarantined record.

    `kind` is broken where the contract says that the load is to fail for it.
    """

    def __init__(
        self, reason: str, column: str | None = None, value: str | None = None, kind: UnfitKind = "unfit"
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.value = value
        self.kind = kind


def number_text(number: int | Decimal) -> str:
    """The one text of a number, which depends on nothing but its value.

    >>> [number_text(Decimal(n)) for n in ("1.50", "1.0", "1e3", "-0.0", "0.00012", "1e400", "12e-400")]
    ['1.5', '1', '1000', '0', '0.00012', '1e400', '1.2e-399']
    """
    if isinstance(number, int):
        text = str(number)
        if not text.endswith("0" * _MOST_ZEROS):
            return text
        number = Decimal(text)
    sign, figures, exponent = number.as_tuple()
    told = "".join(map(str, figures)).lstrip("0")
    plain = told.rstrip("0")
    if not plain:
        return "0"
    point = len(told) + int(exponent)  # where the point stands, counted from the first digit
    return ("-" if sign else "") + _placed(plain, point)


def _placed(figures: str, point: int) -> str:
    if point > len(figures) + _MOST_ZEROS or point < -_MOST_ZEROS:
        rest = f".{figures[1:]}" if len(figures) > 1 else ""
        return f"{figures[0]}{rest}e{point - 1}"
    if point >= len(figures):
        return figures + "0" * (point - len(figures))
    if point <= 0:
        return f"0.{'0' * -point}{figures}"
    return f"{figures[:point]}.{figures[point:]}"


def json_text(value: Any) -> str:
    """The one text of an exact JSON value: compact, keys in the order sent, only what must be escaped is.

    >>> json_text({"b": Decimal("1.50"), "a": ["é", True, None]})
    '{"b":1.5,"a":["é",true,null]}'
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join([f"{encode_basestring(key)}:{json_text(inner)}" for key, inner in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return number_text(value)


def shown(value: Any) -> str:
    """The start of a value's JSON text, for a person who looks into the quarantine."""
    text = json_text(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _of(kinds: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise TypeError(value)
    return value


def _integer(value: Any, low: int, high: int) -> int:
    if not low <= _of(int, value) <= high:
        raise OverflowError(value)
    return int(value)


def _double(value: Any) -> float:
    nearest = float(_of((int, Decimal), value))
    if nearest in (float("inf"), float("-inf")):
        raise OverflowError(value)
    return nearest


def scaled(value: Any, precision: int, scale: int) -> Decimal:
    """A number or a numeric string as a decimal of exactly this scale; raises ValueError where digits would go.

    >>> scaled("1.50", 5, 2), scaled(3, 5, 2)
    (Decimal('1.50'), Decimal('3.00'))
    """
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        value = Decimal(value)
    figures = number_text(_of((int, Decimal), value))
    if "e" in figures:
        raise OverflowError(value)
    whole, _, rest = figures.lstrip("-").partition(".")
    if len(rest) > scale or len(whole.lstrip("0")) > precision - scale:
        raise OverflowError(value)
    return Decimal(f"{'-' if figures[0] == '-' else ''}{whole}.{rest.ljust(scale, '0')}" if scale else figures)


def _string(value: Any, allowed: frozenset[str] | None, pattern: re.Pattern[str] | None) -> str:
    if allowed is not None and value not in allowed:
        raise ValueError(value)
    if pattern is not None and not pattern.fullmatch(_of(str, value)):
        raise ValueError(value)
    return str(_of(str, value))


def _unified(value: Any, names: Mapping[str, str], pattern: re.Pattern[str] | None) -> str:
    text = value if isinstance(value, str) else json_text(value)
    if isinstance(value, dict | list) or text not in names:
        raise ValueError(value)
    return _string(names[text], None, pattern)


def _uuid(value: Any) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError(value)
    return value.lower()


def _read(kind: str, text: str) -> Any:
    """The number or boolean that a text says, for a column of this type; for other types the text itself."""
    if kind in ("bigint", "hugeint") and _WHOLE.fullmatch(text):
        return int(text)
    if kind == "double" and _WRITTEN.fullmatch(text):
        return Decimal(text)
    if kind.startswith("decimal"):
        return text if text.startswith("+-") else text.removeprefix("+")
    return _SAID.get(text.lower(), text) if kind == "boolean" else text


def _text_fit(column: Column) -> Fit:
    pattern = None if column.pattern is None else re.compile(column.pattern)
    if (names := column.spellings) is not None:
        return partial(_unified, names=names, pattern=pattern)
    return partial(_string, allowed=None if column.values is None else frozenset(column.values), pattern=pattern)


def declared_fit(column: Column, time_zone: str, *, texts: bool = False) -> Fit:
    """The function from a value that is not null to what a declared column holds.

    It raises TypeError, ValueError or OverflowError for a value that does not fit: nothing is guessed,
    "1" is no bigint and true is no varchar. A double takes the nearest of any number, a decimal takes
    numbers and numeric text that fit exactly. With `texts` all values are texts, and numbers and booleans are read
    from them, spaces around them left out.

    >>> declared_fit(Column(type="decimal(5,2)"), "UTC")("1.5")
    Decimal('1.50')
    >>> [declared_fit(Column(type=kind), "UTC", texts=True)(" 1 ") for kind in ("bigint", "boolean", "double", "text")]
    [1, True, 1.0, ' 1 ']
    """
    if texts and column.type not in ("varchar", "json"):
        plain = declared_fit(column, time_zone)
        return lambda value: plain(_read(column.type, _of(str, value).strip()))
    if column.type in TIME_TYPES:
        return time_parser(column.type, column.format, time_zone)
    if found := SCALED.fullmatch(column.type):
        return partial(scaled, precision=int(found[1]), scale=int(found[2]))
    if column.type == "varchar":
        return _text_fit(column)
    fits: dict[str, Fit] = {
        "boolean": partial(_of, bool),
        "bigint": partial(_integer, low=-(2**63), high=2**63 - 1),
        "hugeint": lambda value: Decimal(_integer(value, 1 - 10**38, 10**38 - 1)),
        "double": _double,
        "json": json_text,
        "uuid": _uuid,
    }
    return fits[column.type]


def learned_fit(type_name: str) -> Fit:
    """The function from a value that is not null to what a learned column of this type holds: all fit.

    >>> learned_fit("decimal(38,1)")(2), learned_fit("json")("x")
    (Decimal('2.0'), '"x"')
    """
    if found := SCALED.fullmatch(type_name):
        return partial(scaled, precision=int(found[1]), scale=int(found[2]))
    fits: dict[str, Fit] = {"hugeint": Decimal, "double": float, "json": json_text}
    return fits.get(type_name, _same)


def _same(value: Any) -> Any:
    return value


_ARROW = {
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "hugeint": pa.decimal128(38, 0),
    "double": pa.float64(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "time": pa.time64("us"),
}


@cache
def arrow_type(type_name: str) -> pa.DataType:
    """The Arrow type that holds a DuckDB type; text for varchar, json and uuid.

    >>> arrow_type("decimal(18,2)"), arrow_type("json")
    (Decimal128Type(decimal128(18, 2)), DataType(string))
    """
    if found := SCALED.fullmatch(type_name):
        return pa.decimal128(int(found[1]), int(found[2]))
    return _ARROW.get(type_name, pa.string())
