"""Conditions in JMESPath (jmespath.org) on the body of an answer, looked at as a source file is read, and then used.

The package is imported where a file has such a condition, and nowhere else.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_NEEDED = "needs the package jmespath: pip install 'ingest-assets[jmespath]'"
_FALSE: tuple[Any, ...] = (None, False, "", [], {})


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Any:
    """The expression, ready for use. ValueError, which says where it is wrong, for what is none."""
    try:
        import jmespath
    except ModuleNotFoundError:
        raise ValueError(_NEEDED) from None
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{expression!r} is no JMESPath expression: {told}") from None


def wrong(expression: str) -> str | None:
    """What is wrong with an expression, where anything is: its grammar, a function that there is not, a stray `!`.

    >>> wrong("length(items) == `0`"), wrong("size(items) == `0`")
    (None, "'size(items) == `0`' calls size(), which JMESPath does not have")
    >>> wrong("contains(text)")
    "'contains(text)' gives contains() 1 values, and it takes 2"
    >>> wrong("!meta.ready"), wrong("!(meta.ready)")
    ("'!meta.ready' looks for a field of what `!` gives, which has none: write !(…) around the whole path", None)
    """
    try:
        found = _compiled(expression)
    except ValueError as error:
        return str(error)
    from jmespath.functions import Functions

    nodes = list(_nodes(found.parsed))
    if any(node["type"] == "subexpression" and node["children"][0]["type"] == "not_expression" for node in nodes):
        return f"{expression!r} looks for a field of what `!` gives, which has none: write !(…) around the whole path"
    for name, values in [(n["value"], len(n["children"])) for n in nodes if n["type"] == "function_expression"]:
        known = Functions.FUNCTION_TABLE.get(name)
        if known is None:
            return f"{expression!r} calls {name}(), which JMESPath does not have"
        takes = known["signature"]
        enough = values >= len(takes) if takes and takes[-1].get("variadic") else values == len(takes)
        if not enough:
            return f"{expression!r} gives {name}() {values} values, and it takes {len(takes)}"
    return None


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An expression and all that it is made of."""
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)


def holds(expression: str, body: Any) -> bool:
    """Whether an expression gives something of a body that counts as true: not null, false, or empty.

    One that cannot be computed of this body, since a function gets a value of another type, does not hold.

    >>> body = {"state": "none", "items": []}
    >>> [holds(told, body) for told in ("state == 'none' && !items", "items", "contains(absent, 'x')")]
    [True, False, False]
    """
    from jmespath.exceptions import JMESPathError

    try:
        found = _compiled(expression).search(body)
    except (JMESPathError, RecursionError):
        return False
    return not any(found is one or (isinstance(one, str | list | dict) and found == one) for one in _FALSE)
