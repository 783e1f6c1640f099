"""Every shipped connector keeps its promises against every fault that can happen to it."""

import os

import pytest

from ingest_assets import catalog
from ingest_assets.catalog import SHIPPED
from ingest_assets.chaos.trials import Chosen, trials

FILES = sorted(SHIPPED.glob("*.yaml"))


SOME = ("none", "paging", "body", "redirect", "credential", "retry_after", "status_404", "status_500_once")
LONG = os.environ.get("INGEST_LONG") == "1"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_connector_breaks_no_promise(file):
    source = catalog.load(file, [SHIPPED])
    first, *others = source.endpoints

    found = [*trials(source, Chosen([first], () if LONG else SOME))]
    found += trials(source, Chosen(others, () if LONG else ["none", "paging"]))

    assert [(one.endpoint, one.fault, one.happened) for one in found if not one.good] == []
    assert {one.endpoint.partition(".")[2] for one in found if one.verdict == "kept"} == set(source.endpoints)
