r"""The Link header as RFC 8288 §3 writes it, with all its quoting.

    Link: <https://x.example/?page=2>; rel="next prefetch"; title="a, b; \"c\"", </?page=9>; rel=last

A server may send several lines of it; they arrive here joined by commas (RFC 9110 §5.3).
"""

import re
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

_BETWEEN = re.compile(r"[ \t,]*")
_TARGET = re.compile(r"<([^>]*)>")
_PARAM = re.compile(
    r"""[ \t]* ; [ \t]*
        (?: ([^\s;,="]+) [ \t]* (?: = [ \t]* (?: "((?:[^"\\] | \\.)*)" | ([^\s;,"]*) ) )? )?""",
    re.VERBOSE,
)
_END = re.compile(r"[ \t]*(?:,|$)")


class LinkValue(Struct, frozen=True):
    """One link: its target as written, and its parameters, names in small letters, the first of each name."""

    target: str
    params: dict[str, str]

    @property
    def relations(self) -> tuple[str, ...]:
        """Its relation types in small letters: they are compared without regard to case (RFC 8288 §2.1)."""
        return tuple(self.params.get("rel", "").lower().split())

    def is_of(self, url: str) -> bool:
        """Whether it says something of this resource: an anchor may make it speak of another one (§3.2)."""
        context = urljoin(url, self.params.get("anchor", ""))
        return urlsplit(context)._replace(query="") == urlsplit(url)._replace(query="", fragment="")


def links(text: str) -> list[LinkValue]:
    r"""The links of a header, in order (RFC 8288 appendix B.2). Raises ValueError where it is not written like one.

    >>> links('<?p=2>; REL="next prefetch"; rel=prev; title="a, \\"b\\"", , </last>;rel=last')
    ... # doctest: +NORMALIZE_WHITESPACE
    [LinkValue(target='?p=2', params={'rel': 'next prefetch', 'title': 'a, "b"'}),
     LinkValue(target='/last', params={'rel': 'last'})]
    """
    found, at = list[LinkValue](), _after(_BETWEEN, text, 0)
    while at < len(text):
        target = _TARGET.match(text, at)
        if target is None:
            raise ValueError(f"expected < at character {at}")
        params, at = _params(text, target.end())
        found.append(LinkValue(target[1].strip(), params))
        if _END.match(text, at) is None:
            raise ValueError(f"expected ; or , at character {at}")
        at = _after(_BETWEEN, text, at)
    return found


def _params(text: str, at: int) -> tuple[dict[str, str], int]:
    """The parameters that begin at a character, and where they end."""
    params: dict[str, str] = {}
    while (param := _PARAM.match(text, at)) is not None:
        name, quoted, bare = param.groups()
        if name is not None:  # ";;" is an empty one, and means nothing
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare or ""
            params.setdefault(name.lower(), value)
        at = param.end()
    return params, at


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
