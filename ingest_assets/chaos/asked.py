"""A request as it came over the wire, and what of it stands for what in the source file."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ingest_assets.http.page import PageRequest
from ingest_assets.source import PLACEHOLDER


@dataclass(frozen=True)
class Asked:
    """A request: the method, path and query as sent, headers with names in small letters, and the body's bytes."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    at: float = field(default=0.0, compare=False)

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The parameters of the URL, decoded."""
        return tuple(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> bool:
        """Whether the body is a form."""
        return "form" in self.headers.get("content-type", "")

    @property
    def told(self) -> Any:
        """The body's values; nothing where there is none, or it cannot be read."""
        if self.form:
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None

    def request(self, segments: Mapping[str, str]) -> PageRequest:
        """The same as the request for a page; `segments` are the parts of its path that have names."""
        return PageRequest(
            self.path,
            self.query,
            "POST" if self.method == "POST" else "GET",
            tuple(self.headers.items()),
            self.told if isinstance(self.told, Mapping) else None,
            "form" if self.form else "json",
            tuple(segments.items()),
        )


def read_by(template: Any, found: Any) -> dict[str, str] | None:
    """What stands for the placeholders of a template in a text, or in what holds texts; None where it does not fit.

    >>> read_by({"q": "from {from} to {until}", "n": 1}, {"q": "from 5 to 7", "n": 1})
    {'from': '5', 'until': '7'}
    >>> read_by("open", "closed") is None
    True
    """
    values: dict[str, str] = {}
    for pattern, text in _texts(template, found):
        if text is None or (read := _fitting(pattern, text)) is None:
            return None
        values |= read
    return values


def _texts(template: Any, found: Any) -> Iterator[tuple[str, str | None]]:
    """Each text of a template with the one that stands in its place."""
    if isinstance(template, Mapping):
        for key, inner in template.items():
            yield from _texts(inner, found.get(key) if isinstance(found, Mapping) else None)
    elif isinstance(template, list | tuple):
        for number, inner in enumerate(template):
            there = found[number] if isinstance(found, list | tuple) and number < len(found) else None
            yield from _texts(inner, there)
    elif isinstance(template, bool):
        yield str(template).lower(), None if found is None else str(found).lower()
    elif template is not None:
        yield str(template), None if found is None else str(found)


def path_read_by(template: str, path: str) -> dict[str, str] | None:
    """What stands for the placeholders in a path, each decoded; None where it is another path.

    >>> path_read_by("/customers/{customers.id}/lines", "/customers/a%2Fb/lines")
    {'customers.id': 'a/b'}
    """
    found = _fitting(template, path, "[^/]*?")
    return None if found is None else {name: unquote(text) for name, text in found.items()}


def _fitting(template: str, text: str, any_text: str = ".*?") -> dict[str, str] | None:
    names = list[str]()

    def group(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"\0{len(names)}\0"

    parts = re.split("\0\\d+\0", PLACEHOLDER.sub(group, template))
    pattern = f"({any_text})".join(re.escape(part) for part in parts)
    found = re.fullmatch(pattern, text, re.DOTALL)
    return None if found is None else dict(zip(names, found.groups(), strict=True))
