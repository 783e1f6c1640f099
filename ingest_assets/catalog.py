"""Reading source files: `like`, where a mistake stands, which files there are.

A message names file, line and field, what was found and what was expected. Values below `auth`, `headers`,
`settings`, `params` and `body` are never repeated: a token may have been pasted there.
"""

import difflib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ingest_assets.errors import ConfigError
from ingest_assets.source import NAME, PLACEHOLDER, Setting, Source

SHIPPED = Path(__file__).parent / "sources"
_UNSAID = {"auth", "headers", "settings", "params", "body"}
_KINDS = ("auth", "paginator", "decoder")
Place = tuple[str, int]


@dataclass(frozen=True)
class _Read:
    """A YAML file as data, with the place of each key."""

    data: dict[str, Any]
    places: dict[tuple[Any, ...], Place] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values, as editors and JSON Schema know them, and no key twice.

    YAML 1.1 would read `no` as false, `12:30:00` as a number and `2026-02-30` as an error without a line.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, or an error that names the key which stands twice."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, _BRACES, key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
_BRACES = "text that begins with { or [ needs quotes"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)

_YAML_ADVICE = {
    "mapping values are not allowed here": "a key stands deeper than the one above it, or a value holds `: `"
    " and needs quotes",
    "found character '\\t' that cannot start any token": "there is a tab: indent with spaces",
    "could not find expected ':'": "a key lacks its colon",
    "expected <block end>, but found '<block mapping start>'": "a key is indented unlike those beside it",
    "expected <block end>, but found '<block sequence start>'": "a list is indented unlike what stands beside it",
    "found unexpected end of stream": "a quote is not closed",
}


def _places(node: yaml.Node, file: str, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Place]]:
    yield path, (file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, file, (*path, key.value))
            yield (*path, key.value), (file, key.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _places(value, file, (*path, number))


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if problem == _BRACES or problem.endswith("stands twice"):
        return problem
    if "alias" in problem or " tag " in problem:  # these quote what may be a pasted token
        return "a value that begins with * or ! needs quotes"
    if advice := _YAML_ADVICE.get(problem):
        return advice
    if "block end" in problem or "',' or" in problem:
        return f"{problem}: look at indentation, quotes and brackets".replace("'<scalar>'", "more text")
    return problem


def _parsed(text: str, file: Path) -> tuple[Any, dict[tuple[Any, ...], Place]]:
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader
        node = yaml.compose(text, Loader=_Loader)
        return data, dict(_places(node, str(file))) if node else {}
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: is not YAML: there is an unprintable character") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: is not YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{file}:1: is nested too deeply to be a source file") from None


def _read(file: Path) -> _Read:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: is not UTF-8 text (byte {error.start} of the file)") from None
    data, places = _parsed(text, file)
    if not isinstance(data, dict):
        raise ConfigError(f"{file}:1: found {_kind(data)}, expected a mapping that begins with base_url: or like:")
    return _Read(data, places)


def _merged(under: Any, over: Any, key: Any = None) -> Any:
    """Mappings are merged key by key; anything else is replaced; null removes a key."""
    if not isinstance(over, dict):
        return over
    if not isinstance(under, dict) or (key in _KINDS and over.get("type", under.get("type")) != under.get("type")):
        under = {}  # another kind of auth or paginator shares no fields with the former
    merged = {**under, **{name: _merged(under.get(name), inner, name) for name, inner in over.items()}}
    return {name: inner for name, inner in merged.items() if not (name in over and over[name] is None)}


def _with_like(file: Path, folders: list[Path], seen: tuple[Path, ...] = ()) -> _Read:
    read = _read(file)
    like = read.data.pop("like", None)
    if like is None:
        return read
    where = "{}:{}".format(*read.places[("like",)])
    seen = (*seen, file.resolve())
    known = [f for folder in folders for f in _in_folder(folder)]
    named = [f for f in known if f.stem == like]
    found = next((f for f in named if f.resolve() not in seen), None)
    if found is None and named:
        circle = " → ".join(f.stem for f in (*seen, named[0]))
        raise ConfigError(f"{where}: like: goes in a circle: {circle}")
    if found is None:
        raise ConfigError(
            f"{where}: like: {like!r} is no source; {hint(str(like), {f.stem for f in known} - {file.stem})}"
        )
    under = _with_like(found, folders, seen)
    return _Read(_merged(under.data, read.data), {**under.places, **read.places})


def hint(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: the one that was meant, else those that there are.

    >>> hint("strip", ["stripe", "zendesk"]), hint("x", ["stripe", "zendesk"])
    ("did you mean 'stripe'?", 'there are stripe, zendesk')
    """
    near = difflib.get_close_matches(name, known := sorted(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"


@dataclass(frozen=True)
class _Mistake:
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


def _known_part(read: _Read, location: Iterable[Any]) -> tuple[Any, ...]:
    """The keys of the file in a location of pydantic's; its other parts are names of union members."""
    path: tuple[Any, ...] = ()
    for part in location:
        for spelled in (part, str(part)):
            if (*path, spelled) in read.places:
                path = (*path, spelled)
                break
    return path


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else ""


def _may_hold_secrets(path: tuple[Any, ...]) -> bool:
    return bool(_UNSAID & {*path[:1], *(path[2:3] if path[:1] == ("endpoints",) else ())})


def _found(value: Any, path: tuple[Any, ...]) -> str:
    """What stands in the file, by its kind alone where it may be a secret."""
    if _may_hold_secrets(path) or not isinstance(value, str | int | float):
        return _kind(value)
    told = str(value).lower() if isinstance(value, bool) else repr(value)
    return told if len(told) <= 80 else f"{told[:80]}…"


def _mistakes(read: _Read, error: Mapping[str, Any]) -> Iterator[_Mistake]:
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
    elif kind == "union_tag_not_found" or kind in _MAPPINGS:
        yield _Mistake(path, expected=_mapping(error["input"], location), found=found)
    elif kind == "union_tag_invalid":
        path = _known_part(read, (*path, "type"))
        expected = f"one of {context['expected_tags'].replace(chr(39), '')}"
        yield _Mistake(path, expected=expected, found=_found(context["tag"], path))
    elif kind == "literal_error":
        yield _Mistake(path, expected=context["expected"].replace("'", ""), found=found)
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


def _told(read: _Read, file: str, error: ValidationError) -> str:
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


def _shown(read: _Read, file: str, path: tuple[Any, ...]) -> str:
    name, line = read.places.get(path, (file, 1))
    return f"{name}:{line}: {'.'.join(map(str, path)) or 'the file'}"


def load(file: Path, folders: list[Path] | None = None) -> Source:
    """The source in a file, `like` resolved against `folders` (by default those of `folders()`).

    Raises ConfigError with every mistake, one a line: file, line, field, what was found and expected. Rules that
    join several keys are looked at once each of these keys is right.
    """
    read = _with_like(file, folders if folders is not None else globals()["folders"]())
    if "name" in read.data:
        where = "{}:{}".format(*read.places[("name",)])
        raise ConfigError(f"{where}: a source is named by its file ({file.stem}); remove `name`")
    try:
        return Source.model_validate({**read.data, "name": file.stem})
    except ValidationError as error:
        raise ConfigError(_told(read, str(file), error)) from None


def folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where source files are: each folder of INGEST_SOURCES (separated as in PATH), then the shipped ones."""
    own = [Path(part).expanduser() for part in environ.get("INGEST_SOURCES", "").split(os.pathsep) if part]
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"INGEST_SOURCES: {folder} is not a folder")
    return [*own, SHIPPED]


def files(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """The file of each source by name; an own file hides a shipped one of its name.

    INGEST_ONLY, names separated by commas, leaves all others out.
    """
    found: dict[str, Path] = {}
    for folder in folders(environ):
        found = {file.stem: file for file in _in_folder(folder)} | found
    only = [name.strip() for name in environ.get("INGEST_ONLY", "").split(",") if name.strip()]
    if missing := [name for name in only if name not in found]:
        raise ConfigError(f"INGEST_ONLY: {missing[0]!r} is no source; {hint(missing[0], found)}")
    return {name: found[name] for name in sorted(found) if not only or name in only}


def _in_folder(folder: Path) -> list[Path]:
    by_name: dict[str, Path] = {}
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        if file.stem in by_name:
            raise ConfigError(f"{file}: {by_name[file.stem].name} beside it has the same name: remove one of them")
        by_name[file.stem] = file
    return list(by_name.values())


def sources(environ: Mapping[str, str] = os.environ) -> dict[str, Source]:
    """All sources by name. A wrong file stops all, with the mistakes of all: what is not read cannot be watched."""
    found, wrong = {}, []
    for name, file in files(environ).items():
        try:
            found[name] = load(file, folders(environ))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def settled(source: Source, environ: Mapping[str, str] = os.environ) -> Source:
    """The source with its settings in place of `{setting}` everywhere.

    Raises ConfigError where a variable is not set, or a value makes a rule of source files break.
    """
    values = {name: _setting(source.name, name, setting, environ) for name, setting in source.settings.items()}
    if not values:
        return source
    replaced = _replaced(source.model_dump(by_alias=True, exclude_unset=True), values)
    try:
        return Source.model_validate(replaced)
    except ValidationError as error:
        read = _Read(replaced, dict.fromkeys(_paths(replaced), (f"source {source.name!r} with its settings", 1)))
        raise ConfigError(_told(read, source.name, error).replace(":1: ", ": ")) from None


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))


def _setting(source: str, name: str, setting: Setting | str, environ: Mapping[str, str]) -> str:
    if isinstance(setting, str):
        return setting
    value = environ.get(setting.env) or setting.default
    if value is None:
        raise ConfigError(f"source {source!r}: setting {name!r}: the environment variable {setting.env} is not set")
    return value


def _replaced(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: _replaced(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(inner, values) for inner in value)
    return value


def is_name(text: str) -> bool:
    """Whether a file of this name can be a source."""
    return NAME.fullmatch(text) is not None


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a source file, for editors; a file with `like` may leave out or remove anything."""
    strict = Source.model_json_schema(by_alias=True)
    definitions = strict.pop("$defs")
    del strict["properties"]["name"]
    strict["required"].remove("name")
    loose = _renamed(_loosened(strict), "Override")
    loose["properties"]["like"] = {"type": "string", "description": "another source whose file this one overrides"}
    overrides = {f"{name}Override": _renamed(_loosened(one), "Override") for name, one in definitions.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A source file of ingest_assets",
        "if": {"required": ["like"]},
        "then": loose,
        "else": strict,
        "$defs": {**definitions, **overrides},
    }


def _loosened(schema: Any) -> Any:
    """The schema of an override: nothing is required, null removes a key, and a part may fit several kinds."""
    if isinstance(schema, list):
        return [_loosened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    loose = {k: _loosened(v) for k, v in schema.items() if not (k == "required" and isinstance(v, list))}
    if "oneOf" in loose:
        loose["anyOf"] = loose.pop("oneOf")
    if isinstance(loose.get("properties"), dict):
        loose["properties"] = {k: {"anyOf": [v, {"type": "null"}]} for k, v in loose["properties"].items()}
    if isinstance(loose.get("additionalProperties"), dict):
        loose["additionalProperties"] = {"anyOf": [loose["additionalProperties"], {"type": "null"}]}
    return loose


def _renamed(schema: Any, suffix: str) -> Any:
    if isinstance(schema, dict):
        return {k: v + suffix if k == "$ref" else _renamed(v, suffix) for k, v in schema.items()}
    return [_renamed(item, suffix) for item in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
