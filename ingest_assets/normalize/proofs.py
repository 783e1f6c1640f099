"""What has to be shown of a text before what a quick decoder made of it is believed.

msgspec proves types and keys, but keeps the last of two equal keys without a word, and a double of each
number with a point. So keys are counted, and long numbers are looked at.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from ingest_assets.normalize.shape import in_double

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_KEY = re.compile(rb'"[ \t\r\n]*:')
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TINY = re.compile(rb"[0-9][eE]-[0-9]{3}")
_FIGURES = bytes(48 if byte in b"0123456789." else 32 for byte in range(256))
_LONG = b"0" * 16  # 15 significant digits always survive a double, and the point is one more
_PART_OF_NUMBER = b"0123456789.eE+-"
_BEFORE_NUMBER = b":,[ \t\r\n"


def keys_in(text: bytes) -> int:
    r"""How many keys the objects in a JSON text have, equal ones counted each.

    >>> keys_in(b'[{"a": {"a":1}}]'), keys_in(b'{"a\\" : 1": 2, "b" :"\\":", "c\\\\":3}')
    (2, 3)
    """
    escapes = b"\\" in text
    spaces = b'" :' in text or any(space in text and b'"' + space + b":" in text for space in (b"\t", b"\n", b"\r"))
    if spaces or (escapes and b'\\\\":' in text):
        return len(_KEY.findall(_STRING.sub(b'"', text)))
    # A quote before a colon ends a key, but for an escaped one inside of a string.
    return text.count(b'":') - (text.count(b'\\":') if escapes else 0)


def doubles_are_exact(text: bytes, *, tiny: bool) -> bool:
    """Whether each number with a point or an exponent is what the shortest form of its double says.

    `tiny`: also looks for numbers so small that a double loses digits of them.

    >>> numbers = b"0.1", b"0.12345678901234567891", b"1e-400"
    >>> [doubles_are_exact(b"[%s]" % number, tiny=True) for number in numbers]
    [True, False, False]
    >>> doubles_are_exact(b'{"a":"0.12345678901234567891"}', tiny=True)
    True
    """
    return all(in_double(number) for number in _suspects(text, tiny=tiny))


def _suspects(text: bytes, *, tiny: bool) -> Iterator[Decimal]:
    figures = text.translate(_FIGURES)
    at = figures.find(_LONG)
    while at >= 0:
        start, end = _token(text, at)
        if (start == 0 or text[start - 1] in _BEFORE_NUMBER) and (number := _fraction(text[start:end])) is not None:
            yield number
        at = figures.find(_LONG, end)
    if tiny and (b"e-" in text or b"E-" in text):
        for found in _TINY.finditer(text):
            start, end = _token(text, found.start())
            if (number := _fraction(text[start:end])) is not None:
                yield number


def _token(text: bytes, at: int) -> tuple[int, int]:
    start = end = at
    while start > 0 and text[start - 1] in _PART_OF_NUMBER:
        start -= 1
    while end < len(text) and text[end] in _PART_OF_NUMBER:
        end += 1
    return start, end


def _fraction(token: bytes) -> Decimal | None:
    """The number that a token is, None where it is none, or whole and so never made a double of."""
    if not _NUMBER.fullmatch(token) or not set(token) & set(b".eE"):
        return None
    return Decimal(token.decode())
