"""The JSON Schema of a source file, by which editors complete the YAML."""

from typing import Any

from ingest_assets.source import Source


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
