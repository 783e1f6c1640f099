"""Where in an answer a value is: at a path in its body, or in a header."""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.http.page import MISSING, Page, dig, find

_KEYS_NAMED = 12
_WHOLE = re.compile(r"(\d{1,18})(\.0+)?", re.ASCII)


def kind(value: Any) -> str:
    """What sort of JSON value this is, for messages, which never hold the value itself."""
    if value is MISSING:
        return "nothing"
    names = {type(None): "null", bool: "a boolean", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "a number")


def beside(place: "Place", page: Page) -> str:
    """What messages add where nothing is at a place: the keys that are there instead."""
    if place.path is None or place.find(page) is not MISSING:
        return ""
    parent = place.path.rpartition(".")[0]
    holder = dig(page.envelope, parent) if parent else page.envelope
    if not isinstance(holder, Mapping):
        return f"; there is no object {parent!r}" if parent else ""
    return f"; the keys there are: {', '.join(list(holder)[:_KEYS_NAMED])}" if holder else ""


def whole(value: Any) -> int | None:
    """A count, told as a number or as a string of digits; None for what is neither.

    >>> [whole(value) for value in (250, "250", Decimal("250.0"), "2.5", True, None, "all")]
    [250, 250, 250, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    found = _WHOLE.fullmatch(str(value).strip())
    return int(found[1]) if found else None


def _also_text(schema: dict[str, Any]) -> None:
    written_out = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "description": "dotted path in the body"}, written_out]


def as_sent(text: str) -> str:
    """A header's text, which arrives as Latin-1, as the UTF-8 that it often is.

    >>> as_sent("caf\u00c3\u00a9"), as_sent("caf\u00e9")
    ('café', 'café')
    """
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


@lru_cache(maxsize=64)
def at(path: str | None = None, header: str | None = None) -> "Place":
    """The place at a path or in a header, made once."""
    return Place(path=path, header=header)


class Place(BaseModel):
    """A place in an answer: the text of a path in the body, or `{header: NAME}`.

    >>> page = Page(0, None, 200, {"content-range": "items 0-9/67"}, envelope={"meta": {"count": "67"}})
    >>> whole(Place.model_validate("meta.count").find(page)), whole(Place(header="Content-Range").find(page))
    (67, 67)
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra=_also_text,
    )

    path: str | None = Field(None, min_length=1, description="dotted path in the body")
    header: str | None = Field(None, min_length=1, description="name of a response header, in any case")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> "Place":
        if (self.path is None) == (self.header is None):
            raise ValueError("expected a path in the body, or {header: NAME}")
        return self

    def __str__(self) -> str:
        return f"at {self.path!r}" if self.header is None else f"in header {self.header!r}"

    @property
    def headers(self) -> tuple[str, ...]:
        """The name of the header, in small letters, where it is one."""
        return () if self.header is None else (self.header.lower(),)

    def find(self, page: Page) -> Any:
        """What is there, or MISSING. Of a Content-Range it is the complete length (RFC 9110 §14.4)."""
        if self.header is None:
            return find(page.envelope, self.path or "")
        found = page.headers.get(self.header.lower(), MISSING)
        return found.rpartition("/")[2] if self.headers == ("content-range",) and isinstance(found, str) else found
