"""The pytest helper, as the author of a connector uses it."""

import subprocess
import sys

import pytest

from ingest_assets.errors import ConfigError
from ingest_assets.testing import assert_kept, assert_recorded, connector, load

SHOP = """
base_url: https://shop.example
endpoints:
  things:
    path: /things
    records: data
    paginator: {type: cursor, path: next, param: after}
    primary_key: id
"""


@pytest.fixture
def file(tmp_path):
    """A source file."""
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    return file


def test_importing_the_helper_imports_no_pytest():
    command = [sys.executable, "-c", "import sys, ingest_assets.testing; sys.exit('pytest' in sys.modules)"]

    assert subprocess.run(command, check=False).returncode == 0


def test_a_connector_gets_a_test_for_each_fault(file):
    (file.parent / "test_shop.py").write_text(
        "from ingest_assets.testing import connector\n"
        "test_shop = connector('shop.yaml', only=['paging'])\n"
        "test_strictly = connector('shop.yaml', only=['lost_page'], unseen=False)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]

    told = subprocess.run(command, capture_output=True, text=True, cwd=file.parent, check=False).stdout

    assert "1 failed, 12 passed" in told
    assert "test_strictly[things-lost_page]" in told
    assert "shop.things: lost_page (a page is left out): complete, and 3 of 7 records are missing" in told


def test_a_fault_is_asserted_without_pytest_too(file):
    told = assert_kept(load(file), "things", "empty_page")

    assert told is not None
    assert told.verdict == "refused"
    assert assert_kept(load(file), "things", "no_total") is None


def test_nothing_stored_contradicts_nothing_but_a_secret_in_the_file_does(file, tmp_path):
    assert_recorded(load(file), "things", tmp_path)

    file.write_text(SHOP.replace("path: /things", "path: /things\n    params: {api_key: k3y-of-the-shop}"))
    with pytest.raises(AssertionError, match="it looks like a secret"):
        assert_recorded(load(file), "things", tmp_path)


def test_an_unknown_fault_is_refused_when_tests_are_collected(file):
    with pytest.raises(ConfigError, match="'lost' is no fault"):
        connector(file, only=["lost"])
