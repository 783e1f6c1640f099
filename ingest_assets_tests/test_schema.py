"""The JSON Schema by which editors complete and check source files."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest_assets.catalog import SHIPPED, json_schema

COMMITTED = Path(__file__).parent.parent / "docs" / "source.schema.json"
SHOP = """
base_url: https://api.shop.example
endpoints: {orders: {path: /orders, primary_key: id}}
"""


class _AsText(yaml.SafeLoader):
    """Editors see dates as the text that they are written as."""


_AsText.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def problems(text: str) -> list[Any]:
    """What the schema says is wrong with a file."""
    told = yaml.load(text, Loader=_AsText)  # noqa: S506 -- a SafeLoader without dates
    return list(jsonschema.Draft202012Validator(json_schema()).iter_errors(told))


def test_the_schema_in_docs_is_current() -> None:
    assert json.loads(COMMITTED.read_text()) == json_schema(), (
        "run: python -m ingest_assets.catalog > docs/source.schema.json"
    )


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_files_are_valid(file: Path) -> None:
    assert problems(file.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        SHOP,
        "like: stripe",
        "like: stripe\nbase_url: http://127.0.0.1:1/v1\nendpoints: {charges: {columns: {extra: {type: date}}}}",
        "like: stripe\nendpoints: {charges: {window: null, partitions: null, changes: null, write: replace}}",
        "like: stripe\nendpoints: {charges: {paginator: {has_more: more}}}",
    ],
)
def test_a_right_file_is_valid(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "endpoints: {}",
        "base_url: https://api.shop.example",
        SHOP + "nmae: shop",
        SHOP.replace("path: /orders", "pth: /orders"),
        SHOP.replace("primary_key: id", "write: upsert"),
        SHOP.replace("primary_key: id", "paginator: {type: pages}"),
        SHOP.replace("primary_key: id", "partitions: {every: day}"),
        "like: stripe\nendpoints: {charges: {pathh: /x}}",
    ],
)
def test_a_wrong_file_is_refused(text: str) -> None:
    assert problems(text) != []
