"""Every paginator that docs/paging.md shows is one, and every kind is shown."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from ingest_assets.http.paginators import Paginator
from ingest_assets.source import Source

ROOT = Path(__file__).parent.parent
PAGING = (ROOT / "docs" / "paging.md").read_text()
EXAMPLES = [
    line for block in re.findall(r"```yaml\n(.*?)```", PAGING, re.DOTALL) for line in block.splitlines() if line
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_paginator_of_the_page_on_paging_loads(example: str) -> None:
    endpoint = yaml.safe_load(example) | {"path": "/things", "primary_key": "id"}

    source = Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": endpoint}}
    )

    assert source.endpoints["things"].paginator.type in example


def test_every_kind_of_paginator_is_shown() -> None:
    kinds = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(Paginator)[0])}

    shown = {yaml.safe_load(example)["paginator"]["type"] for example in EXAMPLES}

    assert kinds == shown | {"none"}
