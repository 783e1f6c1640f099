"""The shipped connector for Dagster, against a real web server: every run, asset and materialization comes."""

import contextlib
import json
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
from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.extract.pull import Progress
from ingest_assets.line import Line, Unwatched

# One kind of metadata of Dagster's is beta.
pytestmark = pytest.mark.filterwarnings("ignore:Class `.*CodeReference.*` is currently in beta")
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


@dg.asset
def idle():
    pass


KINDS = {
    "an_int": 2**40,
    "a_float": 0.25,
    "not_a_number": float("nan"),
    "a_text": "fine",
    "a_path": dg.MetadataValue.path("/tmp/x"),
    "a_notebook": dg.MetadataValue.notebook("/tmp/x.ipynb"),
    "a_url": dg.MetadataValue.url("https://x.example"),
    "a_markdown": dg.MetadataValue.md("# x"),
    "a_json": {"a": [1, None]},
    "a_pool": dg.MetadataValue.pool("p"),
    "a_run": dg.MetadataValue.dagster_run("r-1"),
    "a_flag": False,
    "a_time": dg.MetadataValue.timestamp(1700000000.5),
    "nothing": None,
    "an_artifact": dg.MetadataValue.python_artifact(dg.AssetKey),
    "a_job": dg.MetadataValue.job("j", "here"),
    "an_asset": dg.MetadataValue.asset(dg.AssetKey(["a", "b"])),
    "a_schema": dg.TableSchema(columns=[dg.TableColumn("c", "int")]),
    "a_table": dg.MetadataValue.table(
        [dg.TableRecord({"c": 1})], schema=dg.TableSchema(columns=[dg.TableColumn("c", "int")])
    ),
    "a_lineage": dg.TableColumnLineage({"c": [dg.TableColumnDep(dg.AssetKey("people"), "d")]}),
    "a_reference": dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path="/tmp/x.py", line_number=7, label="x")]
    ),
}


@dg.asset(key=["kinds", "of", "metadata"])
def kinds():
    return dg.MaterializeResult(metadata=KINDS)


defs = dg.Definitions(assets=[orders, broken, people, idle, kinds])
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
    dagster.materialize("kinds")
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
    return small(tmp_path)


def small(folder: Path, watcher: Any = None, size: int = 2) -> Line:
    """The connector with pages of this size."""
    shipped = catalog.load(catalog.SHIPPED / "dagster.yaml").endpoints
    query = shipped["materializations"].body["query"]
    assert "$limit: Int = 10" in query
    file = folder / "dagster_small.yaml"
    endpoints = {
        "runs": {"body": {"variables": {"limit": size}}, "paginator": {"page_size": size}},
        "materializations": {"body": {"query": query.replace("$limit: Int = 10", f"$limit: Int = {size}")}},
    }
    file.write_text(json.dumps({"like": "dagster", "endpoints": endpoints}))
    return Line(catalog.load(file, [catalog.SHIPPED]), folder / "data", run="test", watcher=watcher or Unwatched())


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


def test_a_walk_whose_cursor_was_deleted_fails_and_does_not_end_short(running: Running, line: Line) -> None:
    """Dagster answers with an empty page then, as after the last run."""

    class Deleting(Unwatched):
        def page(self, progress: Progress) -> None:
            if progress.pages == 1 and not progress.resumed:
                with dg.DagsterInstance.from_config(str(running.home)) as instance:
                    instance.delete_run(instance.get_runs(limit=2)[-1].run_id)

    for _ in range(3):
        running.materialize("people")
    deleting = small(line.data.parent, Deleting())

    with deleting.partition("runs", None), pytest.raises(WalkIncomplete, match=r"the API says \d+ records, and 2 came"):
        deleting.fetch("runs", None)


def test_every_asset_comes_whether_it_was_materialized_or_not(line: Line) -> None:
    account = loaded(line, "assets")

    told = rows(
        line,
        "SELECT array_to_string(key::VARCHAR[], '/'), group_name, kinds::VARCHAR, is_partitioned, job_names::VARCHAR "
        "FROM dagster_small.assets ORDER BY ALL",
    )
    assert told == [
        ("broken", "default", "[]", False, '["__ASSET_JOB"]'),
        ("idle", "default", "[]", False, '["__ASSET_JOB"]'),
        ("kinds/of/metadata", "default", "[]", False, '["__ASSET_JOB"]'),
        ("orders", "shop", '["duckdb"]', True, '["__ASSET_JOB"]'),
        ("people", "default", "[]", False, '["__ASSET_JOB"]'),
    ]
    assert account.received == 5


def test_assets_that_dagsters_pages_would_leave_out_come_or_the_walk_fails(line: Line, running: Running) -> None:
    """Dagster cuts its pages by the order of orders#x, orders, and goes on by the order of orders, orders#x."""
    odd, by_four = dg.AssetKey("orders#x"), small(line.data.parent, size=4)
    with dg.DagsterInstance.from_config(str(running.home)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(odd))
        try:
            account = loaded(line, "assets")
            with (
                by_four.partition("materializations", None),
                pytest.raises(WalkIncomplete, match="says 6 records, and 5 came"),
            ):
                by_four.fetch("materializations", None)
        finally:
            instance.wipe_assets([odd])

    assert account.received == 6


def test_every_materialization_comes_with_its_partition_and_metadata(line: Line, running: Running) -> None:
    loaded(line, "materializations")

    told = rows(
        line,
        "SELECT key->>0, e.run_id, e.partition, epoch_ms(e.timestamp), m.label, m.value "
        "FROM dagster_small.materializations AS a JOIN dagster_small.materializations__events AS e "
        "ON e._parent = a._id LEFT JOIN (FROM dagster_small.materializations__events__metadata WHERE label = 'rows') "
        "AS m ON m._parent = e._id",
    )
    with dg.DagsterInstance.from_config(str(running.home)) as instance:
        expected = {
            (key.path[0], r.run_id, r.partition_key, int(r.timestamp * 1000), *rows_told(r.asset_materialization))
            for key in (dg.AssetKey("orders"), dg.AssetKey("people"), dg.AssetKey(["kinds", "of", "metadata"]))
            for r in instance.fetch_materializations(key, limit=100).records
        }
    assert set(told) == expected
    assert len(expected) > len(DAYS) + 1


def rows_told(materialization: Any) -> tuple[Any, Any]:
    """The label and the value of the metadata `rows`, where it has any."""
    told = materialization.metadata.get("rows")
    return (None, None) if told is None else ("rows", str(told.value))


def test_metadata_of_every_kind_comes_with_its_value(line: Line, running: Running) -> None:
    loaded(line, "materializations")

    told = {
        label: (kind.removesuffix("MetadataEntry"), *values)
        for label, kind, *values in rows(
            line,
            "SELECT m.label, m.kind, m.value, m.flag, epoch(m.time), "
            "coalesce(m.module || ':' || m.name, m.job_name || '@' || m.location_name, asset_key::VARCHAR, "
            "schema->>'$.columns[0].name', m.table->>'$.records[0]', lineage->>'$[0].columnDeps[0].columnName', "
            "code_references->>'$[0].filePath') "
            "FROM dagster_small.materializations AS a JOIN dagster_small.materializations__events AS e "
            "ON e._parent = a._id JOIN dagster_small.materializations__events__metadata AS m ON m._parent = e._id "
            "WHERE a.key->>0 = 'kinds'",
        )
    }
    assert told.keys() == running.code["KINDS"].keys()
    assert told == {
        "an_int": ("Int", str(2**40), None, None, None),
        "a_float": ("Float", "0.25", None, None, None),
        "not_a_number": ("Float", "nan", None, None, None),
        "a_text": ("Text", "fine", None, None, None),
        "a_path": ("Path", "/tmp/x", None, None, None),  # noqa: S108 -- a value, and no file
        "a_notebook": ("Notebook", "/tmp/x.ipynb", None, None, None),  # noqa: S108 -- a value, and no file
        "a_url": ("Url", "https://x.example", None, None, None),
        "a_markdown": ("Markdown", "# x", None, None, None),
        "a_json": ("Json", '{"a": [1, null]}', None, None, None),
        "a_pool": ("Pool", "p", None, None, None),
        "a_run": ("PipelineRun", "r-1", None, None, None),
        "a_flag": ("Bool", None, False, None, None),
        "a_time": ("Timestamp", None, None, 1700000000.5, None),
        "nothing": ("Null", None, None, None, None),
        "an_artifact": ("PythonArtifact", None, None, None, "dagster._core.definitions.asset_key:AssetKey"),
        "a_job": ("Job", None, None, None, "j@here"),
        "an_asset": ("Asset", None, None, None, '["a","b"]'),
        "a_schema": ("TableSchema", None, None, None, "c"),
        "a_table": ("Table", None, None, None, '{"c": 1}'),
        "a_lineage": ("TableColumnLineage", None, None, None, "d"),
        "a_reference": ("CodeReferences", None, None, None, "/tmp/x.py"),  # noqa: S108 -- a value, and no file
    }


def test_the_tables_are_few_and_their_columns_need_no_quotes(line: Line) -> None:
    for endpoint in ("runs", "assets", "materializations"):
        loaded(line, endpoint)

    found = rows(line, "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'dagster_small'")

    assert {table for table, _ in found} == {
        "runs",
        "runs__tags",
        "runs__asset_selection",
        "assets",
        "materializations",
        "materializations__events",
        "materializations__events__tags",
        "materializations__events__metadata",
    }
    for table, column in found:
        rows(line, f"SELECT t.{column} FROM dagster_small.{table} AS t LIMIT 0")  # noqa: S608 -- the catalog's own names


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
