"""A run that finds nothing new: what its process loads, and that a fetch without records loads like any other."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ingest_assets_tests.whole import Api, Asked, Whole, api_of_its_own, state_in

FEED = {
    "paginator": None,
    "feed": {"from": "since", "start": "2020-01-01T00:00:00Z", "position": "at"},
}
OLD = [{"id": 1, "at": "2026-01-05T12:00:00Z"}, {"id": 2, "at": "2026-01-06T12:00:00Z"}]
NEW = [{"id": 3, "at": "2026-01-07T12:00:00Z"}]
NEWEST = {"newest_by": "at", "columns": {"at": {"type": "timestamptz"}}}
SLOW = {"numpy", "pyarrow", "pandas", "dagster", "rich", "click", "jinja2", "sqlalchemy", "boto3", "hvac", "pytz"}
# What such a run does not come to: rows, kinds that no file names, jobs, threads.
UNNEEDED = {
    "catalog": "messages",
    "extract": "abreast ahead children crew job_answers job_files job_places jobs more peek unchanged",
    "http": "exchange graphql rotation tokens",
    "http.auth": "exchanged grants jwts login oauth2 permission rotated signing",
    "http.decoders": "elements json_lines json_places separated texts xml",
    "http.paginators": "cursors link_end link_header links numbered",
    "load": "clashes commit drift history listed lists looked merge merging reported stage summary sweep tables",
    "raw": "erase",
    "source": "job",
}
# Each takes half a millisecond to make, a msgspec.Struct nothing: those that keep fields out of text or constructor.
DATACLASSES = {"Block", "Line", "Sent", "Signature", "Standing", "_Entry"}
SOURCE = """
base_url: {url}
endpoints:
  things:
    path: /things
    records: data
    paginator: {{type: none}}
    feed: {{from: since, start: "2020-01-01T00:00:00Z", position: at}}
    primary_key: id
"""
RUN = """
import json, sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.line import Line
folder = Path(sys.argv[1])
line = Line(catalog.load(folder / "shop.yaml"), folder / "data", run="another")
with line.partition("things", None):
    line.fetch("things", None)
    line.load("things", None)
line.publish()
ours = [vars(module) for name, module in list(sys.modules.items()) if name.startswith("ingest_assets")]
found = [one for module in ours for one in module.values() if isinstance(one, type)]
made = {one for one in found if "__dataclass_fields__" in vars(one) and one.__module__.startswith("ingest_assets")}
print(json.dumps([[one.__name__ for one in made], list(sys.modules)]))
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with api_of_its_own() as running:
        running.answer = lambda asked: {"data": OLD if asked.query["since"].startswith("2020") else []}
        yield running


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path) -> Iterator[None]:
    with state_in(tmp_path):
        yield


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Any:
    """Makes the line of an endpoint of the API, in a folder of its own."""
    return lambda more=(), name="here": Whole(tmp_path / name, api.url, {**FEED, **dict(more)})


def accounts(here: Whole) -> list[tuple[Any, ...]]:
    """What became of the records of each fetch, and how its walk ended."""
    return here.ask(
        "SELECT _fetch, verdict, received, inserted, updated, unchanged, outdated, deleted, quarantined, duplicates, "
        "filtered, removed, child_rows, dropped, emptied, spared, CAST(filled AS VARCHAR), loaded IS NOT NULL, "
        "contract FROM w._ingest.fetches ORDER BY _fetch"
    )


def rows(here: Whole) -> list[tuple[Any, ...]]:
    """The table, with where each row came from."""
    return here.ask("SELECT * FROM w.shop.things ORDER BY id")


@contextlib.contextmanager
def opened_files() -> Iterator[list[str]]:
    """The files that this process opens inside."""
    opened, watches = list[str](), [True]
    sys.addaudithook(lambda event, told: opened.append(str(told[0])) if watches and event == "open" else None)
    try:
        yield opened
    finally:
        watches.clear()  # a hook is there for as long as the process is


def test_the_process_loads_nothing_slow_that_it_does_not_need(api: Api, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SOURCE.format(url=api.url))
    run = [sys.executable, "-c", RUN, str(tmp_path)]
    _, first = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    dataclasses, again = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    assert not SLOW & {name.partition(".")[0] for name in again}
    unneeded = {f"ingest_assets.{folder}.{name}" for folder, names in UNNEEDED.items() for name in names.split()}
    assert not unneeded & set(again)
    assert all(map(find_spec, unneeded))  # so that none is looked for by a former name
    assert {"pyarrow", "ingest_assets.load.merge"} <= set(first)  # so that the test can fail
    assert "pandas" not in first  # which much of pyarrow imports where it is asked for
    assert set(dataclasses) <= DATACLASSES
    assert len(api.asked) == 2


def test_a_fetch_without_records_is_accounted_for_and_changes_no_row(shop: Any) -> None:
    here = shop()
    here.run()
    before = rows(here)

    assert here.run() == ""

    assert rows(here) == before
    assert accounts(here)[1] == (2, "complete", *[0] * 14, "{}", True, accounts(here)[0][-1])


@pytest.mark.parametrize("how", [{}, {"write": "append"}, {"write": "history"}, NEWEST])
def test_a_table_with_fetches_without_records_is_that_of_its_rebuild(how: dict[str, Any], shop: Any, api: Api) -> None:
    here = shop(how)
    for told in (OLD, [], NEW, []):
        api.answer = lambda _, told=told: {"data": told}
        assert here.run() == ""
    grown, told = rows(here), accounts(here)

    line = here.line()
    with line.partition("things", None):
        line.load("things", None, replay=True)

    assert rows(here) == grown
    assert accounts(here) == told


def test_a_first_fetch_without_records_makes_the_declared_table(shop: Any, api: Api) -> None:
    api.answer = lambda _: {"data": []}
    here = shop({"columns": {"id": {"type": "bigint"}}})

    assert here.run() == ""

    assert here.ask("SELECT count(*) FROM w.shop.things") == [(0,)]


def test_records_that_the_file_finds_only_by_now_are_loaded(shop: Any, api: Api) -> None:
    here = shop()
    here.run()
    api.answer = lambda _: {"data": [], "more": {"data": NEW}}
    here.run(load=False)
    here.endpoint = {**here.endpoint, "records": "more.data"}

    line = here.line()
    with line.partition("things", None):
        loaded = line.load("things", None)

    assert [load.account.inserted for load in loaded] == [1]
    assert here.values() == [1, 2, 3]


def test_a_run_looks_into_no_fetch_that_is_loaded_already(shop: Any) -> None:
    here, folders = shop(), list[set[str]]()
    for _ in range(3):
        with opened_files() as opened:
            assert here.run() == ""
        folders.append({Path(file).parent.name for file in opened if Path(file).name == "manifest.json"})

    assert folders == [{"1"}, {"1", "2"}, {"2", "3"}]


def test_an_empty_listing_still_sweeps(shop: Any, api: Api) -> None:
    api.answer = lambda _: {"data": OLD}
    here = shop({"feed": None, "sweep": {"most": 1.0}})
    here.run()
    api.answer = lambda _: {"data": []}

    assert here.run() == ""

    assert here.values() == []


def test_an_empty_replacement_empties_the_table(shop: Any, api: Api) -> None:
    api.answer = lambda _: {"data": OLD}
    here = shop({"feed": None, "write": "replace"})
    here.run()
    api.answer = lambda _: {"data": []}

    assert here.run() == ""

    assert here.values() == []


def test_the_position_of_the_feed_stays(shop: Any, api: Api) -> None:
    here = shop()
    for _ in range(3):
        assert here.run() == ""
    asked: list[Asked] = api.asked

    assert [one.query["since"][:10] for one in asked] == ["2020-01-01", "2026-01-06", "2026-01-06"]
