"""Every paginator and every auth that docs/ show loads, and every kind is shown."""

import ast
import io
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ingest_assets.http.auth import Auth
from ingest_assets.http.decoders import Decoder
from ingest_assets.http.decoders.xml import Xml
from ingest_assets.http.page import find
from ingest_assets.http.paginators import Paginator
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.selector import Selector
from ingest_assets.source import Source, Volume

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str) -> list[str]:
    """The blocks of YAML of a page."""
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def examples(page: str) -> list[str]:
    """The lines of YAML of a page, each an example, but for whole files."""
    return [line for block in blocks(page) if not block.startswith("#") for line in block.splitlines() if line]


def kinds(union: Any) -> set[str]:
    """The types of a union of models."""
    models = get_args(union)[1].models
    return {kind for model in models for kind in get_args(model.model_fields["type"].annotation)}


@pytest.mark.parametrize("example", examples("paging.md"))
def test_a_paginator_of_the_page_on_paging_loads(example: str) -> None:
    endpoint = yaml.safe_load(example) | {"path": "/things", "primary_key": "id"}

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": endpoint}}
    )

    assert source.endpoints["things"].paginator.type in example


@pytest.mark.parametrize("example", examples("auth.md"))
def test_an_auth_of_the_page_on_auth_loads(example: str) -> None:
    endpoints = {"things": {"path": "/things", "primary_key": "id"}}

    source = Source.model_validate(
        yaml.safe_load(example) | {"name": "shop", "base_url": "https://shop.example", "endpoints": endpoints}
    )

    assert source.tls is not None if "tls:" in example else source.auth.type in example


@pytest.mark.parametrize("example", examples("tables.md"))
def test_what_the_page_on_tables_says_of_writing_loads(example: str) -> None:
    endpoints = {"things": {"path": "/things"} | yaml.safe_load(example)}

    source = Source.model_validate({"name": "shop", "base_url": "https://shop.example", "endpoints": endpoints})

    assert yaml.safe_load(example).keys() <= source.endpoints["things"].model_fields_set


@pytest.mark.parametrize("example", examples("limits.md"))
def test_what_the_page_on_limits_shows_loads(example: str) -> None:
    told = yaml.safe_load(example) | {"base_url": "https://shop.example"}

    source = Source.model_validate({"name": "shop", "endpoints": {"things": {"path": "/", "write": "replace"}}} | told)

    assert set(told) <= source.model_fields_set


@pytest.mark.parametrize("example", examples("responses.md"))
def test_a_rule_of_the_page_on_responses_loads(example: str) -> None:
    auth = {"type": "bearer", "token": {"env": "SHOP_KEY"}}
    paged = {"paginator": {"type": "page", "until": "empty_page"}}
    orders = {"path": "/customers/{customers.id}/orders", "primary_key": "id"} | paged | yaml.safe_load(example)
    endpoints = {"customers": {"path": "/customers", "primary_key": "id"}, "orders": orders}

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example", "auth": auth, "endpoints": endpoints}
    )

    assert source.endpoints["orders"].responses


def test_the_file_of_the_page_on_responses_loads() -> None:
    (block,) = [block for block in blocks("responses.md") if block.startswith("#")]

    source = Source.model_validate(yaml.safe_load(block) | {"name": "rates"})

    assert source.endpoints["rates"].only_if_changed


def test_every_meaning_of_an_answer_is_shown_and_told_of() -> None:
    page = (DOCS / "responses.md").read_text()
    shown = {rule["means"] for one in examples("responses.md") for rule in yaml.safe_load(one)["responses"]}

    known = set(get_args(ResponseRule.model_fields["means"].annotation))
    told = set(re.findall(r"^\| `(\w+)` \|", page.split("## Which")[0], re.MULTILINE)) - {"means"}
    assert shown == known == told


@pytest.mark.parametrize("example", examples("formats.md"))
def test_a_decoder_of_the_page_on_formats_loads(example: str) -> None:
    told = yaml.safe_load(example)
    records = {"records": "feed.item"} if told["decoder"]["type"] == "xml" else {}
    endpoint = {"path": "/things", "primary_key": "id"} | records | told

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": endpoint}}
    )

    assert source.endpoints["things"].decoder.type in example


def test_the_record_that_the_page_on_formats_shows_is_what_its_document_gives() -> None:
    page = (DOCS / "formats.md").read_text()
    (body,), (record,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("xml", "json"))
    selector = Selector(path="feed.day[].item[]", keep="@at")

    found = Xml(type="xml", lists=("tag",)).decode(io.BytesIO(body.encode()), selector)

    assert [json.loads(bytes(text)) for block in found for text in block.records()] == [json.loads(record)]
    assert find(found.envelope, "feed.link[@rel=next].@href") == "/feed?page=2"
    assert find(found.envelope, "feed.total") == "2"


def test_every_kind_of_decoder_is_shown() -> None:
    shown = {yaml.safe_load(example)["decoder"]["type"] for example in examples("formats.md")}

    assert kinds(Decoder) == shown


@pytest.mark.parametrize("example", examples("verdicts.md"))
def test_what_the_page_on_verdicts_says_of_an_endpoint_loads(example: str) -> None:
    (told,) = yaml.safe_load(example).items()
    endpoint = {"path": "/things", "primary_key": "id"} | dict([told])

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": endpoint}}
    )

    assert getattr(source.endpoints["things"], told[0]) is not None


def test_what_the_page_on_verdicts_calls_usual_is_so_where_nothing_is_said() -> None:
    (shown,) = [found for one in examples("verdicts.md") if (found := yaml.safe_load(one).get("volume"))]

    assert Volume(**shown) == Volume()


def test_every_kind_of_paginator_is_shown() -> None:
    shown = {yaml.safe_load(example)["paginator"]["type"] for example in examples("paging.md")}

    assert kinds(Paginator) == shown | {"none"}


def test_every_kind_of_auth_is_shown() -> None:
    shown = {told["auth"]["type"] for one in examples("auth.md") if "auth" in (told := yaml.safe_load(one))}

    assert kinds(Auth) == shown


def test_the_file_of_the_page_on_tables_loads() -> None:
    (block,) = (block for block in blocks("tables.md") if block.startswith("#"))

    source = Source.model_validate(yaml.safe_load(block) | {"name": "lodging"})

    assert set(source.endpoints["bookings"].children) == {"guests", "guests.tags"}


def test_the_example_of_the_page_on_requests_at_once_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "at-once.md").read_text(), re.DOTALL)

    source = Source.model_validate({"name": "shop", **yaml.safe_load(example)})

    assert source.at_once == 8


def test_the_example_of_the_page_on_children_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "fan-out.md").read_text(), re.DOTALL)

    source = Source.model_validate({"name": "shop", **yaml.safe_load(example)})

    assert source.endpoints["invoices"].parent == "customers"


def test_the_readmes_example_of_children_loads() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    example = next(text for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "{customers.id}" in text)
    customers = {"path": "/customers", "primary_key": "id"}

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example"}
        | {"endpoints": {"customers": customers, **yaml.safe_load(example)}}
    )

    assert (source.endpoints["invoices"].parent, source.endpoints["invoices"].at_once) == ("customers", 8)


GUIDES = ("assets", "chaos", "commands", "extract", "http", "line", "load", "normalize", "raw")


@pytest.mark.parametrize("folder", GUIDES)
def test_a_folders_guide_names_every_module_of_it(folder: str) -> None:
    """The guide is what a folder's docstring says before its modules are read."""
    package = DOCS.parent / "ingest_assets" / folder
    guide = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    there = {file.stem for file in package.glob("*.py")} - {"__init__"}

    named = set(re.findall(r"\w+", guide))

    assert there - named == set()
