"""A YAML file as data, with the place of each key, and what is not YAML said in plain words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from ingest_assets.errors import ConfigError

Place = tuple[str, int]


class Read(Struct, frozen=True):
    """What a file says, and the file and line of each of its keys and values by their path."""

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
            if isinstance(key, yaml.ScalarNode):  # no other will do, as is told when the data are made
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
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        places = dict(_places(node, str(file)))
        return loader.construct_document(node), places
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: is not YAML: there is an unprintable character") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: is not YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{file}:1: is nested too deeply to be a source file") from None


def read(file: Path) -> Read:
    """The mapping in a file; ConfigError with file and line where it is no YAML, no UTF-8 or no mapping."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: is not UTF-8 text (byte {error.start} of the file)") from None
    data, places = _parsed(text, file)
    if not isinstance(data, dict):
        raise ConfigError(f"{file}:1: found {kind_of(data)}, expected a mapping that begins with base_url: or like:")
    return Read(data, places)


def kind_of(value: Any) -> str:
    """How a message names what stands in a file without repeating it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else ""
