"""What a command's process loads before it works: what is slow to load and not needed stays away."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_assets_tests.whole import Api, api_of_its_own, state_in

ARROW = {"numpy", "pyarrow", "pandas"}
DAGSTER = {"dagster", "sqlalchemy", "alembic"}
SOURCE = """
base_url: {url}
endpoints: {{things: {{path: /things, records: data, paginator: {{type: none}}, primary_key: id}}}}
"""
RUN = """
import json, sys
from ingest_assets.cli import main
try:
    main(json.loads(sys.argv[1]), standalone_mode=False)
finally:
    print("\\n" + json.dumps(list(sys.modules)))
"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with api_of_its_own() as running, state_in(tmp_path):
        (tmp_path / "shop.yaml").write_text(SOURCE.format(url=running.url))
        yield running


def loaded(folder: Path, *command: str) -> set[str]:
    """What a process has loaded that was asked this."""
    given = ["--data", str(folder / "data"), *command]
    environment = {"INGEST_SOURCES": str(folder), "INGEST_LIMITS": str(folder / "limits"), "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)], env=environment, capture_output=True, text=True, check=False
    )
    return {name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def test_the_second_process_of_a_walk_loads_what_makes_rows_and_no_more() -> None:
    look = "import json, sys, ingest_assets.load.second; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    found = {name.partition(".")[0] for name in json.loads(run.stdout)}

    assert "pyarrow" in found
    assert not (DAGSTER | {"duckdb", "requests", "yaml", "tenacity", "rich", "click"}) & found


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        (("--help",), ARROW | DAGSTER | {"duckdb", "requests", "pydantic", "rich", "yaml"}),
        (("sources",), ARROW | DAGSTER),
        (("check", "shop"), DAGSTER | {"pandas"}),
        (("status", "shop"), ARROW | DAGSTER),
    ],
    ids=lambda told: told[0] if isinstance(told, tuple) else "",
)
def test_a_command_loads_nothing_slow_that_it_does_not_need(
    command: tuple[str, ...], unneeded: set[str], api: Api, tmp_path: Path
) -> None:
    api.answer = lambda _: {"data": [{"id": 1}]}

    found = loaded(tmp_path, *command)

    assert "click" in found
    assert not unneeded & found
