"""A real `dagster dev`: ranges whose API dies on day 4, as a backfill through the daemon and as a plain run.

The daemon looks for backfills every 30 s, which nothing can change; so the story is told once, for all tests here.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

import ingest_assets

DAYS = [f"2026-01-{day:02}" for day in range(1, 7)]
PLAIN = [f"2026-02-{day:02}" for day in range(1, 7)]
RAW, TABLE = ["raw", "shop", "orders"], ["shop", "orders"]
BOTH = [{"path": RAW}, {"path": TABLE}]
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

BACKFILL = """mutation ($days: [String!], $keys: [AssetKeyInput!]) {
  launchPartitionBackfill(backfillParams: {assetSelection: $keys, partitionNames: $days}) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
AGAIN = """mutation ($id: String!) {
  reexecutePartitionBackfill(reexecutionParams: {parentRunId: $id, strategy: FROM_FAILURE}) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILLED = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status runs(limit: 9) { id status } assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts {
    assetKey { path } numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed } } } } } }"""
RUN = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
RERUN = """mutation ($id: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: FROM_FAILURE}) {
    ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
RAN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
SHOWN = """query ($key: AssetKeyInput!, $days: [String!]) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numFailed }
  assetMaterializations(partitions: $days, limit: 99) { partition runId metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }"""
SENSOR = {"repositoryName": "__repository__", "repositoryLocationName": "ingest_assets.definitions"}
START = """mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
  ... on Sensor { name } ... on PythonError { message } } }"""
STOP = """mutation ($id: String!) { stopSensor(id: $id) {
  ... on StopSensorMutationResult { instigationState { status } } ... on PythonError { message } } }"""
TICKS = """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
  id sensorState { status ticks(limit: 9) { status skipReason runIds error { message } } } } } }"""
RUNS = """query { runsOrError(filter: {tags: [{key: "dagster/sensor_name", value: "shop_sensor"}]}) { ... on Runs {
  results { id status assetSelection { path } tags { key value } } } } }"""


@dataclass
class Ui:
    """Dagster's UI, asked by GraphQL."""

    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30)
        told = answer.json()
        assert "errors" not in told, told["errors"]
        (data,) = told["data"].values()
        return data

    def until(self, done: Any, query: str, seconds: float, **variables: Any) -> Any:
        """Ask until the answer is what is waited for."""
        end = time.monotonic() + seconds
        while not done(told := self.ask(query, **variables)):
            assert time.monotonic() < end, told
            time.sleep(0.3)
        return told

    def shown(self, key: list[str], days: list[str]) -> dict[str, Any]:
        """What an asset's page shows of some days: how many are done and failed in all, the numbers of each."""
        told = self.ask(SHOWN, key={"path": key}, days=days)
        numbers: dict[str, list[dict[str, int]]] = {}
        for event in told["assetMaterializations"]:
            of = {entry["label"]: entry["intValue"] for entry in event["metadataEntries"] if "intValue" in entry}
            numbers.setdefault(event["partition"], []).append(of)
        return told["partitionStats"] | {"numbers": numbers}


@dataclass
class Story:
    """What was seen, in order."""

    backfill: Any = None
    after_backfill: dict[str, Any] = field(default_factory=dict)
    backfilled_again: Any = None
    asked_again: dict[str, int] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    plain_again: dict[str, Any] = field(default_factory=dict)
    asked_plain: dict[str, int] = field(default_factory=dict)
    at_last: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def ui(tmp_path_factory, own_shop, shop_file):
    """`dagster dev` in a DAGSTER_HOME of its own, with the settings that the project delivers; ended by Ctrl-C."""
    folder = tmp_path_factory.mktemp("dev")
    text, token = shop_file
    (folder / "sources").mkdir()
    (folder / "sources" / "shop.yaml").write_text(text.format(url=own_shop.url))
    home = folder / "home"
    home.mkdir()
    shutil.copy(Path(ingest_assets.__file__).with_name("dagster.yaml"), home)
    with dg.DagsterInstance.from_config(str(home)):
        pass  # two processes that find no files race for them
    told = {
        "DAGSTER_HOME": str(home),
        "INGEST_SOURCES": str(folder / "sources"),
        "INGEST_ONLY": "shop",
        "INGEST_DATA": str(folder / "data"),
        "INGEST_LIMITS": str(folder / "limits"),
        "SHOP_TOKEN": token,
        "NO_PROXY": "127.0.0.1",
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "ingest_assets.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with (folder / "log").open("wb") as log, _ctrl_c_reaches_children():
        environment = os.environ | told
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/server_info", process, folder / "log")
        yield Ui(f"http://127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _ctrl_c_reaches_children():
    """What a shell starts in the background ignores Ctrl-C, and so does all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_for(url, process, log):
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.2)
    raise AssertionError(f"dagster dev did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def story(ui, own_shop, down) -> Story:
    """A backfill and a plain run over six days each, whose API dies on the fourth; then both again."""
    seen = Story()
    own_shop.instead |= {DAYS[3]: down, PLAIN[3]: down}
    backfill = ui.ask(BACKFILL, days=DAYS, keys=BOTH)["backfillId"]
    _run_plainly(ui, own_shop, seen)
    seen.backfill = ui.until(lambda told: told["status"] == "COMPLETED_FAILED", BACKFILLED, 90, id=backfill)
    seen.after_backfill = {"raw": ui.shown(RAW, DAYS), "table": ui.shown(TABLE, DAYS)}
    own_shop.instead.clear()
    own_shop.asked.clear()
    again = ui.ask(AGAIN, id=backfill)["backfillId"]
    seen.backfilled_again = ui.until(
        lambda told: told["runs"] and {run["status"] for run in told["runs"]} <= ENDED, BACKFILLED, 90, id=again
    )
    seen.asked_again = dict(own_shop.counted)
    seen.at_last = {"raw": ui.shown(RAW, DAYS), "table": ui.shown(TABLE, DAYS)}
    return seen


def _run_plainly(ui, shop, seen):
    """In the time that the backfill waits for its daemon."""
    selector = {
        "jobName": "__ASSET_JOB",
        "repositoryName": "__repository__",
        "repositoryLocationName": "ingest_assets.definitions",
        "assetSelection": BOTH,
        "assetCheckSelection": [],
    }
    ends = {"dagster/asset_partition_range_start": PLAIN[0], "dagster/asset_partition_range_end": PLAIN[-1]}
    metadata = {"tags": [{"key": key, "value": value} for key, value in ends.items()]}
    params = {"selector": selector, "runConfigData": {}, "executionMetadata": metadata}
    first = ui.ask(RUN, params=params)["run"]["id"]
    seen.plain["run"] = ui.until(lambda told: told["status"] in ENDED, RAN, 60, id=first)["status"]
    seen.plain["table"] = ui.shown(TABLE, PLAIN)
    del shop.instead[PLAIN[3]]
    asked = list(shop.asked)
    again = ui.ask(RERUN, id=first)["run"]["id"]
    seen.plain_again["run"] = ui.until(lambda told: told["status"] in ENDED, RAN, 60, id=again)["status"]
    seen.plain_again["table"] = ui.shown(TABLE, PLAIN)
    seen.asked_plain = {day: shop.asked[len(asked) :].count(day) for day in PLAIN}


def _received(shown):
    return {day: events[0]["received"] for day, events in shown["numbers"].items()}


def test_a_backfill_leaves_days_1_to_3_with_their_own_numbers_and_the_rest_failed(story, own_shop):
    raw, table = story.after_backfill["raw"], story.after_backfill["table"]

    assert _received(table) == {day: len(own_shop.of(day)) for day in DAYS[:3]}
    assert {day: events[0]["records"] for day, events in raw["numbers"].items()} == _received(table)
    assert len({events[0]["fetch"] for events in table["numbers"].values()}) == 3
    counts = {
        tuple(told["assetKey"]["path"]): (told["numPartitionsMaterialized"], told["numPartitionsFailed"])
        for told in story.backfill["assetBackfillData"]["assetBackfillStatuses"]
    }
    assert counts == {tuple(RAW): (3, 3), tuple(TABLE): (3, 3)}


def test_a_backfill_of_six_days_is_one_run(story):
    assert [run["status"] for run in story.backfill["runs"]] == ["FAILURE"]


def test_the_backfill_from_failure_does_the_rest_and_nothing_else(story, own_shop):
    assert [run["status"] for run in story.backfilled_again["runs"]] == ["SUCCESS"]
    assert story.asked_again == dict.fromkeys(DAYS[3:], 1)
    for shown in story.at_last.values():
        assert {day: len(events) for day, events in shown["numbers"].items()} == dict.fromkeys(DAYS, 1)
        assert (shown["numMaterialized"], shown["numFailed"]) == (12, 0)
    assert _received(story.at_last["table"]) == {day: len(own_shop.of(day)) for day in DAYS}


def test_a_plain_run_over_a_range_leaves_what_is_done_too(story, own_shop):
    assert story.plain["run"] == "FAILURE"
    assert _received(story.plain["table"]) == {day: len(own_shop.of(day)) for day in PLAIN[:3]}


def test_the_plain_run_from_failure_does_the_rest_and_nothing_else(story, own_shop):
    assert story.plain_again["run"] == "SUCCESS"
    assert story.asked_plain == dict.fromkeys(PLAIN[:3], 0) | dict.fromkeys(PLAIN[3:], 1)
    assert _received(story.plain_again["table"]) == {day: len(own_shop.of(day)) for day in PLAIN}


@dataclass
class Sensed:
    """What a sensor did: as it was before it was started, its first tick, its runs, and what the shop was asked."""

    before: str
    tick: Any
    runs: list[Any]
    asked: dict[str, int]
    second: Any = None


@pytest.fixture(scope="module")
def sensed(ui, own_shop, story) -> Sensed:
    """The shop's sensor, switched on after the story; of a long form, a second tick too."""
    sensor = SENSOR | {"sensorName": "shop_sensor"}
    before = ui.ask(TICKS, sensor=sensor)
    own_shop.asked.clear()
    ui.ask(START, sensor=sensor)
    first = ui.until(lambda told: _ended(told, 1), TICKS, 60, sensor=sensor)
    runs = ui.until(lambda told: told["results"] and {run["status"] for run in told["results"]} <= ENDED, RUNS, 120)[
        "results"
    ]
    seen = Sensed(before["sensorState"]["status"], first["sensorState"]["ticks"][-1], runs, dict(own_shop.counted))
    if os.environ.get("INGEST_LONG"):
        later = ui.until(lambda told: _ended(told, 2), TICKS, 120, sensor=sensor)
        ui.until(lambda told: len(told["results"]) > 2 and {r["status"] for r in told["results"]} <= ENDED, RUNS, 120)
        seen.second, seen.asked = later["sensorState"]["ticks"][-2], dict(own_shop.counted)
    ui.ask(STOP, id=before["id"])
    return seen


def _ended(told, count):
    return sum(tick["status"] != "STARTED" for tick in told["sensorState"]["ticks"]) >= count


def _last_days(first, last):
    today = datetime.now(UTC).date()
    return [(today - timedelta(days=back)).isoformat() for back in range(first, last - 1, -1)]


def test_the_sensor_was_delivered_stopped(sensed):
    assert sensed.before == "STOPPED"


def test_the_daemon_launches_what_the_sensor_asks_for_newest_first(sensed):
    assert sensed.tick["status"] == "SUCCESS", sensed.tick
    assert {run["status"] for run in sensed.runs} == {"SUCCESS"}
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in sensed.runs]
    ends = [[told.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end")] for told in tags]
    newest = _last_days(31, 1)
    assert [newest[0], newest[-1]] in ends
    assert [None, None] in ends
    assert {day: sensed.asked[day] for day in [*newest, "/people", "/news"]} == dict.fromkeys(
        [*newest, "/people", "/news"], 1
    )


@pytest.mark.skipif("not os.environ.get('INGEST_LONG')", reason="a second tick takes a minute: make test-long")
def test_the_next_tick_asks_for_the_days_before_and_for_nothing_again(sensed):
    older = _last_days(62, 32)

    assert sensed.second["status"] == "SUCCESS", sensed.second
    assert set(sensed.asked.values()) == {1}
    assert sensed.asked.keys() == {*_last_days(31, 1), *older, "/people", "/news"}
