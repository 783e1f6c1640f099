"""What a pydantic model asks of a text, as the one pattern that a column has.

pydantic looks for its patterns anywhere in a text, and by Rust's rules where they are texts themselves; a column's
is Python's, and all of a text has to match it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_SAID = ("min_length", "max_length", "strip_whitespace", "pattern")
_FLAGS = re.compile(r"\A\(\?([aimsux]+)\)")
_IN_LINES = re.compile(r"\(\?[a-z]*m")
_SIGN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]|\$", re.DOTALL)
_NAMED = {"a": re.ASCII, "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


def text_pattern(rules: Iterable[Any]) -> str | None:
    """The pattern of all that is said of a text, of what is said twice the last; None where nothing is.

    >>> from types import SimpleNamespace as Rule
    >>> text_pattern([Rule(min_length=2), Rule(pattern="^a")])
    '(?=(?s:.{2,})\\\\Z)(?s:.*)(?:^a)(?s:.*)'
    """
    said = {name: told for one in rules for name in _SAID if (told := getattr(one, name, None)) is not None}
    asked = [*_length(said), *_looked_for(said.get("pattern"))]
    return "".join([*(rf"(?={pattern}\Z)" for pattern in asked[:-1]), *asked[-1:]]) or None


def _length(said: Mapping[str, Any]) -> Iterator[str]:
    least, most = said.get("min_length", 0), said.get("max_length", "")
    if (least or most != "") and not said.get("strip_whitespace"):  # of that, the length is of what is left
        yield f"(?s:.{{{least},{most}}})"


def _looked_for(pattern: Any) -> Iterator[str]:
    if isinstance(pattern, re.Pattern):
        flags = "".join(sign for sign, flag in _NAMED.items() if pattern.flags & flag)
        yield _anywhere(_FLAGS.sub("", pattern.pattern, count=1), flags)
    elif isinstance(pattern, str):
        flags = found[1] if (found := _FLAGS.match(pattern)) else ""
        yield _anywhere(_of_rust(_FLAGS.sub("", pattern, count=1), flags), flags)


def _anywhere(pattern: str, flags: str) -> str:
    return f"(?s:.*)(?{flags}:{pattern})(?s:.*)"


def _of_rust(pattern: str, flags: str) -> str:
    """A pattern of Rust's as Python writes it: there `$` is the end, and here that of a last line, too."""
    ends = {r"\z"} if "m" in flags or _IN_LINES.search(pattern) else {r"\z", "$"}
    return _SIGN.sub(lambda sign: r"\Z" if sign[0] in ends else sign[0], pattern)
