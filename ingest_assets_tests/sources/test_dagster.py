"""The shipped connector for Dagster, against a real web server: every run, asset and materialization comes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from ingest_assets import catalog
from ingest_assets.errors import RequestFailed
from ingest_assets.line import Line

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
_CODE = """
import dagster as dg

days = dg.DailyPartitionsDefinition("2026-11-01")


@dg.asset(partitions_def=days, kinds={"duckdb"}, group_name="shop")
def orders(context):
    return dg.MaterializeResult(metadata={"rows": 7, "note": "fine", "share": 0.5})


@dg.asset
def broken():
    raise ValueError("on purpose")


@dg.asset
def people():
    return dg.MaterializeResult(metadata={"rows": 3})


defs = dg.Definitions(assets=[orders, broken, people])
"""


@dataclass(frozen=True)
class Running:
    """A Dagster that runs: its URL, its home, and its code."""

    url: str
    home: Path
    code: dict[str, Any]

    def materialize(self, *names: str, partition: str | None = None) -> None:
        """One run of these assets, for real."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            chosen = [self.code[name] for name in names]
            dg.materialize(chosen, partition_key=partition, instance=instance, raise_on_error=False)


def free_port() -> int:
    """A port that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A web server over a home in which some runs have been."""
    folder = tmp_path_factory.mktemp("dagster")
    home, file = folder / "home", folder / "shop.py"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    file.write_text(_CODE)
    code: dict[str, Any] = {}
    exec(compile(_CODE, str(file), "exec"), code)  # noqa: S102 -- the code location of this test
    port = free_port()
    dagster = Running(f"http://127.0.0.1:{port}", home, code)
    for day in DAYS:
        dagster.materialize("orders", partition=day)
    dagster.materialize("people")
    dagster.materialize("broken")
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", "-f", str(file), "-h", "127.0.0.1", "-p", str(port)],
        env=os.environ | {"DAGSTER_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            time.sleep(0.1)
        yield dagster
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def line(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """The connector with pages of two."""
    monkeypatch.setenv("DAGSTER_URL", running.url)
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    file = tmp_path / "dagster_small.yaml"
    small = "{body: {variables: {limit: 2}}"
    file.write_text(
        f"like: dagster\nendpoints:\n  runs: {small}, paginator: {{page_size: 2}}}}\n"
        f"  assets: {small}}}\n  materializations: {small}}}\n"
    )
    return Line(catalog.load(file, [catalog.SHIPPED]), tmp_path / "data", run="test")


def loaded(line: Line, endpoint: str) -> Any:
    """Fetch and load an endpoint; what became of its records."""
    with line.partition(endpoint, None):
        line.fetch(endpoint, None)
        account = line.load(endpoint, None)[0].account
    line.publish()
    return account


def rows(line: Line, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the reader's copy."""
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as reader:
        return reader.execute(query).fetchall()


def test_every_run_comes_with_its_status_and_tags(line: Line, running: Running) -> None:
    loaded(line, "runs")

    with dg.DagsterInstance.from_config(str(running.home)) as instance:
        expected = {(run.run_id, run.status.value, run.tags.get("dagster/partition")) for run in instance.get_runs()}
    told = rows(
        line,
        "SELECT r.run_id, r.status, t.value FROM dagster_small.runs AS r LEFT JOIN "
        "(FROM dagster_small.runs__tags WHERE key = 'dagster/partition') AS t ON t._parent = r._id",
    )
    assert set(told) == expected
    assert {status for _, status, _ in told} == {"SUCCESS", "FAILURE"}


def test_every_asset_comes_whether_it_was_materialized_or_not(line: Line) -> None:
    account = loaded(line, "assets")

    told = rows(
        line,
        "SELECT p.value FROM dagster_small.assets AS a JOIN dagster_small.assets__key__path AS p ON p._parent = a._id",
    )
    assert sorted(told) == [("broken",), ("orders",), ("people",)]
    assert account.received == 3


def test_every_materialization_comes_with_its_partition_and_metadata(line: Line, running: Running) -> None:
    loaded(line, "materializations")

    told = rows(
        line,
        'SELECT e.run_id, e."partition", epoch_ms(e."timestamp") FROM dagster_small.materializations__events AS e',
    )
    with dg.DagsterInstance.from_config(str(running.home)) as instance:
        records = [
            record
            for name in ("orders", "people")
            for record in instance.fetch_materializations(dg.AssetKey(name), limit=100).records
        ]
    expected = {(record.run_id, record.partition_key, int(record.timestamp * 1000)) for record in records}
    assert set(told) == expected
    numbers = rows(
        line, "SELECT label, count(*) FROM dagster_small.materializations__events__metadata_entries GROUP BY ALL"
    )
    assert dict(numbers)["rows"] == len(DAYS) + 1


def test_a_second_look_changes_no_row_and_a_new_run_comes(line: Line, running: Running) -> None:
    loaded(line, "runs")
    before = rows(line, "FROM dagster_small.runs ORDER BY run_id")
    again = loaded(line, "runs")
    unchanged = rows(line, "FROM dagster_small.runs ORDER BY run_id")
    running.materialize("people")

    third = loaded(line, "runs")

    assert unchanged == before
    assert again.inserted == again.updated == 0
    assert (third.inserted, third.updated) == (1, 0)


def test_an_error_inside_a_good_answer_is_a_failure_with_its_message(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    query = '{ runsOrError: runOrError(runId: "none") { ... on RunNotFoundError { message } } }'
    file.write_text(f"like: dagster\nendpoints: {{runs: {{body: {{query: '{query}'}}}}}}\n")
    wrong = Line(catalog.load(file, [catalog.SHIPPED]), tmp_path / "wrong", run="test")

    with wrong.partition("runs", None), pytest.raises(RequestFailed, match="none could not be found"):
        wrong.fetch("runs", None)
