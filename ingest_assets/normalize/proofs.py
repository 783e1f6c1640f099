"""What has to be shown of a text before what a quick decoder made of it is believed.

msgspec proves types and keys, but keeps the last of two equal keys without a word, and a double of each
number with a point. So keys are counted, and long numbers are looked at.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_KEY = re.compile(rb'"[ \t\r\n]*:')
_NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TINY = re.compile(rb"[0-9][eE]-[0-9]{3}")
_COLON, _QUOTE, _BACKSLASH, _SPACE = b':"\\ '
_COLON_SECOND = np.uint16(_COLON << 8)
_E_MINUS, _LOWER = np.uint16(ord("-") << 8 | ord("e")), np.uint16(0x20)
_NO_PAIRS = np.zeros(0, np.uint16)
_POINT, _MOST_FIGURE = np.uint8(ord(".")), np.uint8(ord("9") - ord("."))
_IS_FIGURE = np.array([byte in b"0123456789." for byte in range(256)])
_LONG = 16  # 15 significant digits always survive a double, and the point is one more
_PAD = b" " * 16
_STEP = 32_768
_PART_OF_NUMBER = b"0123456789.eE+-"
_MOSTLY = 24  # bytes before and behind any place of a number, of most of them
_BEFORE_NUMBER = b":,[ \t\r\n"


def keys_in(text: bytes) -> int:
    r"""How many keys the objects in a JSON text have, equal ones counted each.

    >>> keys_in(b'[{"a": {"a":1}}]'), keys_in(b'{"a\\" : 1": 2, "b"  :"\\":", "c\\\\":3, ":":4}')
    (2, 4)
    """
    return len(_KEY.findall(_STRING.sub(b'"', text)))


def keys_at_most(text: bytes) -> int:
    """As many as `keys_in`, or more where a string has a colon after a space, a quote or a !; quickest by far.

    >>> keys_at_most(b'[{"a": {"a":1}}]'), keys_at_most(b'{"a":": !:"}')
    (2, 3)
    """
    # Before the colon of a key is its quote or a space, so a pair from 00 3a on, and 22 3a at most.
    return sum(int(np.count_nonzero(pairs - _COLON_SECOND <= _QUOTE)) for _, pairs in _pairs(text))


def _pairs(text: bytes) -> Iterator[tuple[int, npt.NDArray[np.uint16]]]:
    """Each two neighbours of a text, the second as the higher byte: every other pair from a place on, in pieces."""
    for first in (0, 1):
        pairs = np.frombuffer(text, "<u2", max(len(text) - first, 0) // 2, first) if len(text) > first else _NO_PAIRS
        for start in range(0, len(pairs), _STEP):  # arrays that are small stay in the processor's cache
            yield first + 2 * start, pairs[start : start + _STEP]


def most_keys_in(text: bytes) -> int | None:
    """As many as `keys_in`, or more where a string begins with a colon; much quicker. None where keys are spaced.

    >>> most_keys_in(b'[{"a": {"a":1}}]'), most_keys_in(b'{"a":":"}'), most_keys_in(b'{"a" :1}')
    (2, 2, None)
    """
    if b"{" not in text:
        return 0
    signs, count = np.frombuffer(b"   " + text, np.uint8), 0
    for start in range(0, len(text), _STEP):  # arrays that are small stay in the processor's cache
        piece = signs[start : start + _STEP + 3]
        before, second, third = piece[2:-1], piece[1:-2], piece[:-3]
        colon = piece[3:] == _COLON
        quoted = colon & (before == _QUOTE)
        escaped = quoted & (second == _BACKSLASH)
        spaced = colon & (before <= _SPACE) & ((second <= _SPACE) | (second == _QUOTE))
        if spaced.any() or (escaped & (third == _BACKSLASH)).any():
            return None
        # A quote before a colon ends a key, but for an escaped one inside of a string, and one that begins it.
        count += int(np.count_nonzero(quoted)) - int(np.count_nonzero(escaped))
    return count


def has_no_twins(texts: Sequence[bytes], parts: Sequence[bytes], others: int) -> bool:
    """Whether these texts have no more keys than there are in parts of them, as these came, and so many `others`.

    A decoder keeps one of two equal keys, and never more than there are.

    >>> part = b'{"b":":"}'
    >>> has_no_twins([b'{"a":%s}' % part], [part], 1), has_no_twins([b'{"a" :1,"a" :%s}' % part], [part], 1)
    (True, False)
    """
    # Who finds too many finds all of these in the texts that he finds in the parts, so that twins stay one too many.
    # That holds of one way to count alone: counted in another way, the parts may make up for them.
    for count in (keys_at_most, most_keys_in, keys_in):
        told, found = _counted(count, texts), _counted(count, parts)
        if told is not None and found is not None and told == others + found:
            return True
    return False


def _counted(count: Callable[[bytes], int | None], texts: Sequence[bytes]) -> int | None:
    counts = [count(text) for text in texts]
    return None if None in counts else sum(found or 0 for found in counts)


def lost_doubles(text: bytes, *, tiny: bool) -> Iterator[float]:
    """The doubles of numbers with a point or an exponent that the shortest form of their double does not say.

    `tiny`: also looks for numbers so small that a double loses digits of them.

    >>> numbers = b"0.1", b"0.12345678901234567891", b"1e-400"
    >>> [[*lost_doubles(b"[%s]" % number, tiny=True)] for number in numbers]
    [[], [0.12345678901234568], [0.0]]
    >>> [*lost_doubles(b'{"a":"0.12345678901234567891"}', tiny=True)]
    []
    """
    for token in _suspects(text, tiny=tiny):
        double, written = float(token), token.decode()
        if repr(double) != written and not _is_said(double, written):
            yield double


def _is_said(double: float, written: str) -> bool:
    try:
        return Decimal(repr(double)) == Decimal(written)
    except InvalidOperation:
        return False  # its exponent is beyond all use


def _suspects(text: bytes, *, tiny: bool) -> Iterator[bytes]:
    done = -1
    for at in _long_figures(text):
        if at < done:
            continue
        start, done = _token(text, at)
        if _is_fraction(text, start, done):
            yield text[start:done]
    for at in _exponents(text) if tiny else ():
        if _TINY.match(text, at - 1) and _is_fraction(text, *(place := _token(text, at))):
            yield text[slice(*place)]


def _exponents(text: bytes) -> Iterator[int]:
    """Each place of an e or E before a minus."""
    for first, pairs in _pairs(text):
        signs = (pairs | _LOWER) == _E_MINUS
        if signs.any():
            yield from (first + 2 * np.flatnonzero(signs)).tolist()


def _long_figures(text: bytes) -> list[int]:
    """A place in each run of figures that is longer than digits that always survive a double, and their point."""
    signs = np.frombuffer(text + _PAD, np.uint8)
    # Such a run covers two places in a row of every eighth: only where both are figures can there be one.
    eighth = signs[::8] - _POINT <= _MOST_FIGURE  # a slash, too: quicker than a table, and looked at again
    places = np.flatnonzero(eighth[:-1] & eighth[1:]) * 8
    for further in range(1, 8):
        places = places[_IS_FIGURE[signs[places + further]]]
    left, right = places, places + 8
    for _ in range(7):
        left = left - _IS_FIGURE[signs[left - 1]]
        right = right + _IS_FIGURE[signs[right + 1]]
    found: list[int] = places[right - left >= _LONG - 1].tolist()
    return found


def _token(text: bytes, at: int) -> tuple[int, int]:
    """Where what stands there begins and ends, as far as it could be a number's."""
    before, behind = text[max(at - _MOSTLY, 0) : at], text[at : at + _MOSTLY]
    start, end = at - len(before) + len(before.rstrip(_PART_OF_NUMBER)), at + len(behind)
    end -= len(behind.lstrip(_PART_OF_NUMBER))
    while start > 0 and text[start - 1] in _PART_OF_NUMBER:
        start -= 1
    while end < len(text) and text[end] in _PART_OF_NUMBER:
        end += 1
    return start, end


def _is_fraction(text: bytes, start: int, end: int) -> bool:
    """Whether a token is a number, which one in an id is not, and none that is whole and so never made a double of."""
    if start > 0 and text[start - 1] not in _BEFORE_NUMBER:
        return False
    found = _NUMBER.fullmatch(text, start, end)
    return found is not None and found.lastindex is not None
