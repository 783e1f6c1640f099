"""Which source files there are, and what they say: `like`, settings, and mistakes with their place.

reading      YAML with the line of each key
messages     what is wrong with it, in words: hints  what was meant
schema       the same rules for editors
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ingest_assets.catalog.hints import hint
from ingest_assets.catalog.reading import Read, read
from ingest_assets.errors import ConfigError
from ingest_assets.source import PLACEHOLDER, Setting, Source

__all__ = ["SHIPPED", "files", "folders", "hint", "load", "settled", "sources"]

SHIPPED = Path(__file__).parent.parent / "sources"
_KINDS = ("auth", "paginator", "decoder")


def _merged(under: Any, over: Any, key: Any = None) -> Any:
    """Mappings are merged key by key; anything else is replaced; null removes a key."""
    if not isinstance(over, dict):
        return over
    if not isinstance(under, dict) or (key in _KINDS and over.get("type", under.get("type")) != under.get("type")):
        under = {}  # another kind of auth or paginator shares no fields with the former
    merged = {**under, **{name: _merged(under.get(name), inner, name) for name, inner in over.items()}}
    return {name: inner for name, inner in merged.items() if not (name in over and over[name] is None)}


def _with_like(file: Path, folders: list[Path], seen: tuple[Path, ...] = ()) -> Read:
    here = read(file)
    like = here.data.pop("like", None)
    if like is None:
        return here
    where = "{}:{}".format(*here.places[("like",)])
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
    return Read(_merged(under.data, here.data), {**under.places, **here.places})


def load(file: Path, among: list[Path] | None = None) -> Source:
    """The source in a file, `like` resolved against the files of the folders `among` (by default `folders()`).

    Raises ConfigError with every mistake, one a line: file, line, field, what was found and expected. Rules that
    join several keys are looked at once each of these keys is right.
    """
    here = _with_like(file, folders() if among is None else among)
    if "name" in here.data:
        where = "{}:{}".format(*here.places[("name",)])
        raise ConfigError(f"{where}: a source is named by its file ({file.stem}); remove `name`")
    try:
        return Source.model_validate({**here.data, "name": file.stem})
    except ValidationError as error:
        from ingest_assets.catalog.messages import told

        raise ConfigError(told(here, str(file), error)) from None


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
        from ingest_assets.catalog.messages import told

        here = Read(replaced, dict.fromkeys(_paths(replaced), (f"source {source.name!r} with its settings", 1)))
        raise ConfigError(told(here, source.name, error).replace(":1: ", ": ")) from None


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
