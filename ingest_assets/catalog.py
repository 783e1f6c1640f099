"""Reading source files: `like`, where a mistake stands, which files there are.

A message names file, line and field, what was found and what was expected. Values below `auth`, `headers`
and `settings` are never repeated: a token may have been pasted there.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ingest_assets.errors import ConfigError
from ingest_assets.source import NAME, PLACEHOLDER, Setting, Source

SHIPPED = Path(__file__).parent / "sources"
_UNSAID = {"auth", "headers", "settings"}
Place = tuple[str, int]


@dataclass(frozen=True)
class _Read:
    """A YAML file as data, with the place of each key."""

    data: dict[str, Any]
    places: dict[tuple[Any, ...], Place] = field(default_factory=dict)


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one without a word; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, or an error that names the key which stands twice."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _places(node: yaml.Node, file: str, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Place]]:
    yield path, (file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, file, (*path, key.value))
            yield (*path, key.value), (file, key.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _places(value, file, (*path, number))


def _read(file: Path) -> _Read:
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 -- a SafeLoader that refuses twin keys
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: is not YAML: {error.problem}") from None
    if not isinstance(data, dict) or node is None:
        raise ConfigError(f"{file}:1: a source file is a mapping that begins with base_url: or like:")
    return _Read(data, dict(_places(node, str(file))))


def _merged(under: Any, over: Any) -> Any:
    """Mappings are merged key by key; anything else is replaced; null removes a key."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    if "type" in over and over["type"] != under.get("type"):
        return over  # another kind of auth or paginator shares no fields with the former
    keys = [*under, *(key for key in over if key not in under)]
    merged = {k: _merged(under[k], over[k]) if k in under and k in over else over.get(k, under.get(k)) for k in keys}
    return {key: value for key, value in merged.items() if not (key in over and over[key] is None)}


def _with_like(file: Path, folders: list[Path], seen: tuple[Path, ...] = ()) -> _Read:
    read = _read(file)
    like = read.data.pop("like", None)
    if like is None:
        return read
    where = "{}:{}".format(*read.places[("like",)])
    found = next(
        (f for f in (folder / f"{like}.yaml" for folder in folders) if f.exists() and f not in (*seen, file)), None
    )
    if found is None:
        known = sorted({f.stem for folder in folders for f in folder.glob("*.yaml")} - {file.stem})
        raise ConfigError(f"{where}: like: {like!r} is no source; there are {', '.join(known)}")
    under = _with_like(found, folders, (*seen, file))
    return _Read(_merged(under.data, read.data), {**under.places, **read.places})


def _place(read: _Read, file: Path, location: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Where the longest known part of a pydantic location stands; its other parts are names of union members."""
    path: tuple[Any, ...] = ()
    for part in location:
        for spelled in (part, str(part).rstrip("_")):
            if (*path, spelled) in read.places:
                path = (*path, spelled)
                break
    name, line = read.places.get(path, (str(file), 1))
    return f"{name}:{line}", path


def _problem(read: _Read, file: Path, error: Mapping[str, Any]) -> str:
    where, path = _place(read, file, error["loc"])
    shown = ".".join(map(str, path)) or "the file"
    message = error["msg"].removeprefix("Value error, ")
    last = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(last, error["known"], 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(error['known'])}"
        return f"{where}: {shown}: unknown key {last!r}; {hint}"
    if error["type"] == "missing":
        return f"{where}: {shown}: {last!r} is missing"
    found = error["input"]
    if (
        path
        and path[-1] in error.get("said", path)
        and not _UNSAID & set(path)
        and isinstance(found, str | int | float)
    ):
        return f"{where}: {shown}: {message}; found {found!r}"
    return f"{where}: {shown}: {message}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """The keys that may stand where an unknown one stood, found by walking the JSON schema."""
    schema = Source.model_json_schema(by_alias=True)
    here: Any = schema
    for part in location[:-1]:
        here = _step(schema, here, part)
    here = _deref(schema, here)
    return [key for key in here.get("properties", {}) if key != "name"] + (["like"] if len(location) == 1 else [])


def _deref(schema: dict[str, Any], here: Any) -> Any:
    while "$ref" in here:
        here = schema["$defs"][here["$ref"].rsplit("/", 1)[1]]
    return here


def _step(schema: dict[str, Any], here: Any, part: Any) -> Any:
    here = _deref(schema, here)
    options = [here, *here.get("anyOf", []), *here.get("oneOf", [])]
    for option in (_deref(schema, option) for option in options):
        if part in option.get("properties", {}):
            return option["properties"][part]
        if part in (option.get("title"), option.get("properties", {}).get("type", {}).get("const")):
            return option
        if isinstance(option.get("additionalProperties"), dict):
            return option["additionalProperties"]
        if isinstance(part, int) and "items" in option:
            return option["items"]
    return here


def load(file: Path, folders: list[Path] | None = None) -> Source:
    """The source in a file, `like` resolved against `folders` (by default those of `folders()`).

    Raises ConfigError with every mistake, one a line: file, line, field, what was found and expected.
    """
    read = _with_like(file, folders if folders is not None else globals()["folders"]())
    if "name" in read.data:
        where = "{}:{}".format(*read.places[("name",)])
        raise ConfigError(f"{where}: a source is named by its file ({file.stem}); remove `name`")
    try:
        return Source.model_validate({**read.data, "name": file.stem})
    except ValidationError as error:
        problems = [
            {**e, "known": _known_keys(e["loc"])} if e["type"] == "extra_forbidden" else e for e in error.errors()
        ]
        raise ConfigError("\n".join(dict.fromkeys(_problem(read, file, p) for p in problems))) from None


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
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            found.setdefault(file.stem, file)
    only = [name.strip() for name in environ.get("INGEST_ONLY", "").split(",") if name.strip()]
    if missing := [name for name in only if name not in found]:
        raise ConfigError(f"INGEST_ONLY: {missing[0]!r} is no source; there are {', '.join(found)}")
    return {name: file for name, file in found.items() if not only or name in only}


def sources(environ: Mapping[str, str] = os.environ) -> dict[str, Source]:
    """All sources by name. One wrong file stops all: what is not read cannot be watched."""
    return {name: load(file, folders(environ)) for name, file in files(environ).items()}


def settled(source: Source, environ: Mapping[str, str] = os.environ) -> Source:
    """The source with its settings in place of `{setting}` everywhere; ConfigError names a missing variable."""
    values = {name: _setting(source.name, name, setting, environ) for name, setting in source.settings.items()}
    return (
        Source.model_validate(_replaced(source.model_dump(by_alias=True, exclude_unset=True), values))
        if values
        else source
    )


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
    """The JSON Schema (2020-12) of a source file, for editors; a file with `like` may leave out anything."""
    strict = Source.model_json_schema(by_alias=True)
    definitions = strict.pop("$defs")
    for part in ("properties", "required"):
        strict[part] = (
            {k: v for k, v in strict[part].items() if k != "name"}
            if part == "properties"
            else [key for key in strict[part] if key != "name"]
        )
    loose = _renamed(_without_required(strict), "Override")
    loose["properties"]["like"] = {"type": "string", "description": "another source whose file this one overrides"}
    overrides = {f"{name}Override": _renamed(_without_required(one), "Override") for name, one in definitions.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A source file of ingest_assets",
        "if": {"required": ["like"]},
        "then": loose,
        "else": strict,
        "$defs": {**definitions, **overrides},
    }


def _without_required(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_required(v) for k, v in schema.items() if not (k == "required" and isinstance(v, list))}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema


def _renamed(schema: Any, suffix: str) -> Any:
    if isinstance(schema, dict):
        return {k: v + suffix if k == "$ref" else _renamed(v, suffix) for k, v in schema.items()}
    return [_renamed(item, suffix) for item in schema] if isinstance(schema, list) else schema
