"""`ingest test` as a person meets it."""

import json
import subprocess
import sys

import pytest

SHOP = """
base_url: https://shop.example/v1
auth: {type: bearer, token: {env: SHOP_TOKEN}}
endpoints:
  things:
    path: /things
    records: data
    paginator: {type: cursor, path: next, param: after}
    primary_key: id
"""


@pytest.fixture
def ingest(tmp_path):
    """Runs the command in a folder with a source file."""
    (tmp_path / "shop.yaml").write_text(SHOP)

    def run(*words):
        command = [sys.executable, "-m", "ingest_assets.cli", "test", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return run


def test_a_table_says_what_came_of_each_fault_and_nothing_is_written(ingest, tmp_path):
    told = ingest("shop.yaml", "--only", "paging")

    assert told.returncode == 0, told.stderr
    assert "empty_page     a page in the middle holds no records" in told.stdout
    assert "✓ refused" in told.stdout
    assert "! lost_page (a page is left out): shop.things: complete, and 3 of 7 records are missing" in told.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["shop.yaml"]


def test_a_document_holds_each_trial(ingest):
    told = json.loads(ingest("shop.yaml", "--only", "empty_page", "--json").stdout)

    assert (told["ok"], told["source"], told["seed"], told["recorded"]) == (True, "shop", 0, [])
    assert [(one["fault"], one["verdict"]) for one in told["trials"]] == [("empty_page", "refused")]
