"""Which types `ingest preview` proposes for a column of texts: those that would take each of them."""

from typing import Any

import pyarrow as pa
import pytest

from ingest_assets.commands.proposals import Proposal, proposals
from ingest_assets.source import Source


def proposed(*texts: str, **more: Any) -> list[Proposal]:
    endpoint = {"path": "/", "primary_key": "id", **more}
    told = {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": endpoint}}
    arrow = pa.table({"v": pa.array(texts, pa.string())})
    return proposals(arrow, Source.model_validate(told).endpoints["things"])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12345678-1234-5678-1234-567812345678", "uuid"),
        ("2026-01-02", "date"),
        ("2026-01-02T03:04:05Z", "timestamptz"),
        ("-123456789012.5", "decimal(18,6)"),
    ],
)
def test_a_type_is_proposed_that_takes_the_text(text, kind):
    assert proposed(text) == [Proposal("v", kind, text)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01- 2",
        "20260102T030405",
        "2026-W01-1T10:00",
        "2026-01-02T03",
        "1234567890123.5",
        "0.1234567",
        "\u0661.\u0665",
        "5",
    ],
)
def test_no_type_is_proposed_that_does_not_take_the_text(text):
    assert proposed(text) == []


def test_numbers_and_booleans_are_proposed_where_all_values_are_texts():
    kinds = [
        one.type for text in ("17", "true", "99999999999999999999") for one in proposed(text, decoder={"type": "csv"})
    ]

    assert kinds == ["bigint", "boolean"]
