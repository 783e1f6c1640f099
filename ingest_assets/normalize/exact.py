"""One record from its text to exact values: the truth that the fast path is measured against.

Numbers become int or Decimal, never a double. What JSON leaves open is refused with a reason: a key that
stands twice, NaN, half of a surrogate pair, more levels than anything downstream would survive.
"""

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from ingest_assets.normalize.values import Unfit, json_text

MOST_LEVELS = 200
_MOST_INT_DIGITS = 4_000  # int() refuses more than 4,300, to keep its quadratic time out of reach
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD]")


def exact(raw: bytes) -> dict[str, Any]:
    """The record that this text is, numbers as int or Decimal; raises Unfit with the reason where it is none.

    >>> exact(b'{"a": 1.50, "b": [9007199254740993]}')
    {'a': Decimal('1.50'), 'b': [9007199254740993]}
    """
    value = exact_value(raw)
    if not isinstance(value, dict):
        raise Unfit("the record is not an object")
    return value


def exact_value(raw: bytes, above: int = 0) -> Any:
    """Any JSON value, found `above` levels deep in its record; raises Unfit."""
    if levels(raw) + above > MOST_LEVELS:
        raise Unfit(f"more than {MOST_LEVELS} levels deep")
    try:
        value = _DECODER.decode(str(raw, "utf-8"))
        if _SURROGATE.search(raw):
            json_text(value).encode()
    except UnicodeDecodeError as error:
        raise Unfit(f"not UTF-8 at byte {error.start} of the record") from None
    except UnicodeEncodeError:
        raise Unfit("half of a surrogate pair in a string") from None
    except json.JSONDecodeError as error:
        raise Unfit(f"not JSON: {error.msg} at character {error.pos} of the record") from None
    return value


def levels(raw: bytes) -> int:
    """A bound on the levels of brackets in a JSON text, found without a parser; exact where it is above 200.

    >>> levels(b"[" * 1000), levels(b'["' + b"[" * 1000 + b'"]')
    (1000, 1)
    """
    opened = raw.count(b"[") + raw.count(b"{")
    if opened <= 3:
        return opened
    return opened if opened <= MOST_LEVELS else _deepest(_STRING.sub(b"", raw))


def _deepest(raw: bytes) -> int:
    depth = deepest = 0
    for byte in re.findall(rb"[\[\]{}]", raw):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unfit("a number with an exponent beyond all use") from None


def _int(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MOST_INT_DIGITS else Decimal(text)


def _refused(name: str) -> NoReturn:
    raise Unfit(f"{name} is no number of JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        twin = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Unfit(f"the key {twin[:60]!r} stands twice in one object")
    return record


_DECODER = json.JSONDecoder(
    parse_float=_decimal, parse_int=_int, parse_constant=_refused, object_pairs_hook=_without_twins
)
