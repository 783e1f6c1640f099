"""Where in a request a value goes: into its query, body, headers or path."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.http.page import MISSING, PageRequest, dig

_PLACES = ("query", "body", "header", "path")
_SEGMENTS_OF_NO_NAME = ("", ".", "..")
_HALF = re.compile("[\ud800-\udfff]")
HEADER = re.compile(r"([^\s\x1c-\x1f][^\r\n]*)?", re.ASCII)
NO_HEADER = "holds a line break, or begins with space, and cannot be sent as a header"
"""What is said of a value that is none of a `HEADER`."""


def _also_text(schema: dict[str, Any]) -> None:
    written_out = dict(schema)
    schema.clear()
    text = {"type": "string", "description": "name of a query parameter; in a POST, path in the body"}
    schema["anyOf"] = [text, written_out]


class Target(BaseModel):
    """A place in a request: a name, or `{header: NAME}` and the like.

    >>> cursor, asked = Target.model_validate({"path": "page"}), PageRequest("https://x.example/pages/{page}")
    >>> cursor.put(asked, 2).path, cursor.find(cursor.put(asked, 2))
    ((('page', '2'),), '2')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, json_schema_extra=_also_text)

    name: str | None = Field(None, min_length=1, description="as a text alone: the query of a GET, the body of a POST")
    query: str | None = Field(None, min_length=1, description="name of a query parameter, in a POST too")
    body: str | None = Field(None, min_length=1, description="dotted path in the body")
    header: str | None = Field(None, min_length=1, description="name of a header of the request")
    path: str | None = Field(None, min_length=1, description="NAME where the endpoint's path holds {NAME}")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> "Target":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(f"expected a name, or one of {', '.join(f'{{{place}: …}}' for place in _PLACES)}")
        return self

    def __str__(self) -> str:
        place, name = self._told
        return repr(name) if place == "name" else f"{name!r} in the {place}"

    def put(self, request: PageRequest, value: Any) -> PageRequest:
        """The request with this value here, in place of any other. ValueError where it cannot stand there."""
        place, name = self._settled(request)
        if isinstance(value, list | Mapping) and (place != "body" or request.body_as == "form"):
            found = "a list" if isinstance(value, list) else "an object"
            raise ValueError(f"found {found}, which can stand in a JSON body only: method: POST, and {{body: NAME}}")
        if place == "body":
            return replace(request, body=_with(request, name, value))
        if _HALF.search(str(value)):
            raise ValueError("it holds half a character, which cannot be sent")
        if place == "header":
            if not HEADER.fullmatch(str(value)):
                raise ValueError(f"it {NO_HEADER}")
            kept = tuple(pair for pair in request.headers if pair[0].lower() != name.lower())
            return replace(request, headers=(*kept, (name, str(value))))
        if place == "path":
            if str(value) in _SEGMENTS_OF_NO_NAME:
                raise ValueError(f"{str(value)!r} cannot be a part of a path")
            return replace(request, path=(*(pair for pair in request.path if pair[0] != name), (name, str(value))))
        kept = tuple(pair for pair in request.params if pair[0] != name)
        return replace(request, params=(*kept, (name, str(value))))

    def find(self, request: PageRequest) -> Any:
        """What stands here, or None."""
        place, name = self._settled(request)
        if place == "body":
            body = request.body or {}
            return body.get(name) if request.body_as == "form" else dig(body, name)
        if place == "header":
            return {known.lower(): value for known, value in request.headers}.get(name.lower())
        return dict(request.path if place == "path" else request.params).get(name)

    @property
    def _told(self) -> tuple[str, str]:
        return next((place, name) for place, name in self if name is not None)

    def _settled(self, request: PageRequest) -> tuple[str, str]:
        place, name = self._told
        usual = "body" if request.method == "POST" else "query"
        return usual if place == "name" else place, name


def without(request: PageRequest, names: tuple[str, ...]) -> PageRequest:
    """The request without parameters of these names; in a body, without what is at these paths.

    >>> without(PageRequest("https://x.example", (("from", "1"), ("limit", "2"))), ("from",)).params
    (('limit', '2'),)
    """
    if not names:
        return request
    params = tuple(pair for pair in request.params if pair[0] not in names)
    body = request.body
    if body is not None and request.body_as == "form":  # a form is flat: a dot is a part of the name
        body = {name: value for name, value in body.items() if name not in names}
    elif body is not None:
        for name in names:
            body = _removed(body, name)
    return replace(request, params=params, body=body)


def _with(request: PageRequest, path: str, value: Any) -> Mapping[str, Any]:
    body = request.body or {}
    return {**body, path: value} if request.body_as == "form" else _set(body, path, value)


def _set(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the body with a value at a dotted path, its objects made where they are missing.

    >>> _set({"query": "…", "variables": {"first": 10}}, "variables.after", "abc")
    {'query': '…', 'variables': {'first': 10, 'after': 'abc'}}
    """
    key, _, rest = path.partition(".")
    inner = body.get(key)
    return {**body, key: _set(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}


def _removed(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A copy of the body with nothing at a dotted path.

    >>> _removed({"query": "…", "variables": {"first": 10, "after": "abc"}}, "variables.after")
    {'query': '…', 'variables': {'first': 10}}
    """
    key, _, rest = path.partition(".")
    inner = body.get(key, MISSING)
    kept = {key: _removed(inner, rest)} if rest and isinstance(inner, Mapping) else {}
    return {name: value for name, value in body.items() if rest or name != key} | kept
