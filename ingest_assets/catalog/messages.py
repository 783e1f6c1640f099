"""What pydantic finds wrong, as a person who wrote YAML understands it: file, line, field, found, expected.

Values below `auth`, `headers`, `settings`, `params` and `body` are never repeated: a token may have been pasted there.
"""

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from ingest_assets.catalog.hints import hint
from ingest_assets.catalog.reading import Read, kind_of
from ingest_assets.source import Source

_UNSAID = {"auth", "headers", "settings", "params", "body"}


class _Mistake(Struct, frozen=True):
    """One thing that is wrong: where, and either all that is to say, or what was expected of the value found."""

    path: tuple[Any, ...]
    message: str = ""
    expected: str = ""
    found: str = ""


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "date_from_datetime_parsing": "a date such as 2026-01-01",
    "datetime_from_date_parsing": "a date or time such as 2026-01-01 or 2026-01-01T00:00:00Z",
    "datetime_parsing": "a date or time such as 2026-01-01 or 2026-01-01T00:00:00Z",
    "time_delta_type": "a duration such as PT26H or P28D",
    "time_delta_parsing": "a duration such as PT26H or P28D",
}
_MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")


def _known_part(read: Read, location: Iterable[Any]) -> tuple[Any, ...]:
    """The keys of the file in a location of pydantic's; its other parts are names of union members."""
    path: tuple[Any, ...] = ()
    for part in location:
        for spelled in (part, str(part)):
            if (*path, spelled) in read.places:
                path = (*path, spelled)
                break
    return path


def _may_hold_secrets(path: tuple[Any, ...]) -> bool:
    return bool(_UNSAID & {*path[:1], *(path[2:3] if path[:1] == ("endpoints",) else ())})


def _found(value: Any, path: tuple[Any, ...]) -> str:
    """What stands in the file, by its kind alone where it may be a secret."""
    if _may_hold_secrets(path) or not isinstance(value, str | int | float):
        return kind_of(value)
    told = str(value).lower() if isinstance(value, bool) else repr(value)
    return told if len(told) <= 80 else f"{told[:80]}…"


def _meant(found: Any, words: str) -> str:
    """The one of some words that was meant, where it is near."""
    near = difflib.get_close_matches(str(found), words.split(", "), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _mistakes(read: Read, error: Mapping[str, Any]) -> Iterator[_Mistake]:
    """What a person who wrote YAML understands of one of pydantic's errors."""
    kind, context, location = error["type"], error.get("ctx", {}), error["loc"]
    path = _known_part(read, location)
    last = str(location[-1]) if location else ""
    found = _found(error["input"], path)
    if kind == "rules":
        for inner, message in context["problems"]:
            yield _Mistake(_known_part(read, (*path, *inner)), message)
    elif kind == "extra_forbidden":
        yield _unknown_key(last, location, path)
    elif kind == "missing":
        yield _Mistake(path, f"{last!r} is missing")
    elif kind == "union_tag_not_found" and isinstance(error["input"], Mapping):
        yield _Mistake(path, expected=_mapping(error["input"], location), found="no type")
    elif kind == "union_tag_not_found" or kind in _MAPPINGS:
        yield _Mistake(path, expected=_mapping(error["input"], location), found=found)
    elif kind == "union_tag_invalid":
        path = _known_part(read, (*path, "type"))
        tags = context["expected_tags"].replace("'", "")
        yield _Mistake(
            path, expected=f"one of {tags}", found=_found(context["tag"], path) + _meant(context["tag"], tags)
        )
    elif kind == "literal_error":
        words = context["expected"].replace("'", "")
        yield _Mistake(path, expected=words, found=found + _meant(error["input"], words.replace(" or ", ", ")))
    elif kind in _EXPECTED:
        text = "text or " if kind == "tuple_type" and _takes_text(_options(location)) else ""
        yield _Mistake(path, expected=text + _EXPECTED[kind], found=found)
    else:
        yield _Mistake(path, _spoken(error["msg"], found if not isinstance(error["input"], dict) else ""))


def _spoken(message: str, found: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should be ", "expected a value ")
    said = found[:1] in ("'", '"') and found in message
    return f"{message}; found {found}" if found and not said else message


def _takes_text(options: Iterable[Mapping[str, Any]]) -> bool:
    return any(option.get("type") == "string" for option in options)


def _mapping(found: Any, location: tuple[Any, ...]) -> str:
    options = _options(location)
    kinds = [
        one["properties"]["type"]["const"] for one in options if "const" in one.get("properties", {}).get("type", {})
    ]
    keys = _keys(options)
    if kinds:
        expected = f"a mapping with type: one of {', '.join(kinds)}"
    else:
        expected = f"a mapping of {', '.join(keys[:4])}{', …' if len(keys) > 4 else ''}" if keys else "a mapping"
    expected = f"text or {expected}" if _takes_text(options) else expected
    return f"{expected} (is what belongs to it indented?)" if found is None else expected


def _unknown_key(key: str, location: tuple[Any, ...], path: tuple[Any, ...]) -> _Mistake:
    known = _keys(_options(location[:-1])) + (["like"] if len(location) == 1 else [])
    told = hint(key, known).replace("there are", "known here:")
    if _may_hold_secrets(path) and told.startswith("known"):  # the key may be a token that lacks its name
        return _Mistake(path[:-1] if path[-1:] == (key,) else path, f"unknown key; {told}")
    return _Mistake(path, f"unknown key {key!r}; {told}")


@functools.cache
def _schema() -> dict[str, Any]:
    return Source.model_json_schema(by_alias=True)


def _options(location: Iterable[Any]) -> list[dict[str, Any]]:
    """The schemas of what may stand at a location of pydantic's, found by walking the JSON schema."""
    here = _unfolded(_schema())
    for part in location:
        here = [inner for option in _step(here, part) for inner in _unfolded(option)]
    return here


def _unfolded(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema itself, references followed, and each member of its unions."""
    while "$ref" in schema:
        schema = _schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    unions = [*schema.get("anyOf", []), *(one for one in schema.get("oneOf", []) if "required" not in one)]
    return [schema, *(inner for option in unions for inner in _unfolded(option))]


def _step(here: list[dict[str, Any]], part: Any) -> list[dict[str, Any]]:
    """One part down; a part that names a union's member leaves only that."""
    below = [option["properties"][part] for option in here if part in option.get("properties", {})]
    if not below:
        inside = "items" if isinstance(part, int) else "additionalProperties"
        below = [option[inside] for option in here if isinstance(option.get(inside), dict)]
    members = [o for o in here if part in (o.get("title"), o.get("properties", {}).get("type", {}).get("const"))]
    return members or below or here


def _keys(options: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for option in options for key in option.get("properties", {}) if key != "name"))


def told(read: Read, file: str, error: ValidationError) -> str:
    """All mistakes, one a line; what members of a union expected of the same value stands together."""
    expected: dict[tuple[Any, ...], dict[str, None]] = {}
    lines: dict[tuple[tuple[Any, ...], str], str] = {}
    for mistake in (m for one in error.errors() for m in _mistakes(read, one)):
        if mistake.expected:
            expected.setdefault(mistake.path, {})[mistake.expected] = None
            said = f"expected {' or '.join(expected[mistake.path])}; found {mistake.found}"
            lines[(mistake.path, "expected")] = said
        else:
            lines[(mistake.path, mistake.message)] = mistake.message
    return "\n".join(f"{_shown(read, file, path)}: {said}" for (path, _), said in lines.items())


def _shown(read: Read, file: str, path: tuple[Any, ...]) -> str:
    name, line = read.places.get(path, (file, 1))
    return f"{name}:{line}: {'.'.join(map(str, path)) or 'the file'}"
