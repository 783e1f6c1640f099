"""docs/source.schema.json: current, true of every shipped file, and no friend of wrong ones."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from ingest_assets.catalog import SHIPPED
from ingest_assets.catalog.schema import json_schema

STORED = Path(__file__).parents[1] / "docs" / "source.schema.json"
SHOP = """
base_url: https://shop.example
auth: {type: bearer, token: {env: KEY}}
rate_limit: {requests: 25, per: PT1S}
endpoints:
  orders:
    path: /orders
    records: data
    paginator: {type: cursor, path: next, param: cursor}
    window: {from: since, until: before, format: unix}
    partitions: {every: day, start: "2026-01-01"}
    changes: {lookback: P28D}
    primary_key: [id]
    columns: {id: {type: bigint, required: true}}
"""


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(STORED.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker(["date"]))


def test_the_stored_schema_is_current():
    stored = json.loads(STORED.read_text(encoding="utf-8"))

    assert stored == json_schema(), "run: python -m ingest_assets.catalog > docs/source.schema.json"


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_files_are_valid(validator, file):
    wrong = [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8")))]

    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "like: stripe",
        "{like: stripe, base_url: 'http://127.0.0.1:8420', auth: {token: {env: OTHER_KEY}}}",
        "{like: stripe, auth: {type: basic, user: jo, password: {file: /run/secrets/key}}}",
        "{like: stripe, rate_limit: null, endpoints: {events: null}}",
        "{like: stripe, endpoints: {charges: {window: null, partitions: null, changes: null, write: replace}}}",
        "{like: stripe, endpoints: {charges: {columns: {tax: {type: bigint}, metadata: null}}}}",
        "{like: zendesk, settings: {subdomain: {default: acme}}}",
    ],
)
def test_an_override_may_leave_out_anything_and_take_away(validator, text):
    wrong = [error.message for error in validator.iter_errors(yaml.safe_load(text))]

    assert wrong == []


def test_the_file_that_the_wrong_ones_come_from_is_valid(validator):
    assert validator.is_valid(yaml.safe_load(SHOP))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("base_url", "base_ulr"),
        ("base_url: https://shop.example", "name: shop"),
        ("{env: KEY}", "abc-def"),
        ("{env: KEY}", "{env: KEY, file: key}"),
        ("{type: bearer, token: {env: KEY}}", "{type: bearer}"),
        ("type: bearer", "type: berer"),
        ("requests: 25", "requests: 0"),
        ("records: data", "records: [data]"),
        ("type: cursor", "type: courser"),
        ("param: cursor", "parm: cursor"),
        ("from: since", "form: since"),
        ("every: day", "every: dya"),
        ('"2026-01-01"', "soon"),
        ("{lookback: P28D}", "windwo"),
        ("primary_key: [id]", "primary_key: {id: yes}"),
        ("required: true", "requird: true"),
        ("    path: /orders\n", ""),
    ],
)
def test_wrong_files_are_refused(validator, right, wrong):
    text = SHOP.replace(right, wrong, 1)

    assert text != SHOP
    assert not validator.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "{like: stripe, base_ulr: 'https://x.example'}",
        "{like: [stripe]}",
        "{like: stripe, auth: {tokn: {env: KEY}}}",
        "{like: stripe, endpoints: {charges: {columns: {tax: {typ: bigint}}}}}",
        "{like: stripe, endpoints: {charges: {paginator: {parm: after}}}}",
    ],
)
def test_wrong_overrides_are_refused(validator, text):
    assert not validator.is_valid(yaml.safe_load(text))
