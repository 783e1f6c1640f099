"""What Dagster reads first: `ingest_assets.definitions`."""

import os
import subprocess
import sys

import pytest

from ingest_assets import catalog
from ingest_assets.assets.names import step_name
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.source import Source


@pytest.fixture
def load(lab, tmp_path):
    """Load the definitions in a process of their own, with the shop's file in INGEST_SOURCES."""

    def load(text):
        folder = tmp_path / "sources"
        folder.mkdir(exist_ok=True)
        (folder / "shop.yaml").write_text(text)
        environment = os.environ | {"INGEST_SOURCES": str(folder), "INGEST_ONLY": "shop"}
        look = "import ingest_assets.definitions as d; print(len(d.defs.resolve_asset_graph().get_all_asset_keys()))"
        command = [sys.executable, "-W", "error::DeprecationWarning:ingest_assets", "-c", look]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return load


def test_every_endpoint_becomes_two_assets(load, lab):
    loaded = load(lab.text)

    assert (loaded.returncode, loaded.stdout.strip()) == (0, "6"), loaded.stderr


def test_a_wrong_source_file_is_told_by_file_line_and_field(load, lab):
    loaded = load(
        lab.text.replace("    primary_key: id\n    write: replace", "    primary_kee: id\n    write: replace")
    )

    assert loaded.returncode != 0
    line = lab.text.splitlines().index("  people:") + 4
    assert f"shop.yaml:{line}: endpoints.people.primary_kee: unknown key 'primary_kee'" in loaded.stderr
    assert "did you mean 'primary_key'?" in loaded.stderr
    assert "ingest_assets.errors.ConfigError" in loaded.stderr


def test_a_secret_in_a_source_file_is_refused_and_not_repeated(load, lab):
    loaded = load(lab.text.replace("{env: SHOP_TOKEN}", "sk_live_12345678"))

    assert loaded.returncode != 0
    assert "shop.yaml:2: auth" in loaded.stderr
    assert "sk_live_12345678" not in loaded.stderr


def test_all_shipped_sources_make_valid_definitions():
    known = definitions(catalog.sources({}).values(), Api(), Warehouse())

    graph = known.resolve_asset_graph()
    for source in catalog.sources({}).values():
        for name in source.endpoints:
            raw, table = (key for key in sorted(graph.get_all_asset_keys()) if key.path[-2:] == [source.name, name])
            assert {raw.path[0], table.path[0]} == {"raw", source.name}
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == set(catalog.sources({}))


def test_runs_use_one_process(lab):
    assert lab.definitions().executor.name == "in_process"


def test_each_asset_says_what_it_is(lab):
    specs = {spec.key: spec for spec in lab.definitions().resolve_all_asset_specs()}

    assert (specs[lab.raw()].kinds, specs[lab.table()].kinds) == ({"api"}, {"duckdb"})
    assert specs[lab.table()].metadata["dagster/table_name"] == "shop.orders"
    assert [dep.asset_key for dep in specs[lab.table()].deps] == [lab.raw()]


def test_what_is_late_after_seconds_is_late_after_a_minute_for_dagster(lab):
    lab.text = lab.text.replace("fresh_within: PT26H", "fresh_within: PT30S")

    specs = {spec.key: spec for spec in lab.definitions().resolve_all_asset_specs()}

    assert specs[lab.raw()].freshness_policy.fail_window.to_timedelta().total_seconds() == 60


def test_names_that_read_alike_when_joined_are_steps_of_their_own():
    endpoints = {"a": "b__c", "a__b": "c", "a__b__c": "checks"}
    told = {"path": "/", "primary_key": "id"}
    sources = [
        Source.model_validate({"name": name, "base_url": "https://x.example", "endpoints": {endpoint: told}})
        for name, endpoint in endpoints.items()
    ]

    known = definitions(sources, Api(), Warehouse())

    graph = known.resolve_asset_graph()
    assert {("raw", *names) for names in endpoints.items()} < {tuple(key.path) for key in graph.get_all_asset_keys()}
    steps = [step_name(*names) for names in endpoints.items()]
    assert len(set(steps)) == len(steps)
    assert all(known.resolve_implicit_global_asset_job_def().has_node_named(step) for step in steps)


_DAILY = {"window": {"from": "since", "until": "until"}, "changes": "immutable"}
_START = {"every": "day", "start": "2026-01-01"}
_OF_X = {
    "path": "/{x}",
    "columns": {"x": {"type": "varchar", "from_partition": "x"}},
    "primary_key": ["x", "id"],
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ("a", {"t": _DAILY | _OF_X | {"partitions": _START | {"by": {"x": ["1"]}}}}),
            ("a_days", {"t": _OF_X | {"partitions": {"by": {"x": ["1"]}}}}),
        ),
        (("a", {"days": {}}), ("a_", {"t": _DAILY | {"partitions": _START}})),
        (
            ("a", {"of": {}, "t": _OF_X | {"partitions": {"by": {"x": {"endpoint": "of", "field": "id"}}}}}),
            ("a_partitions", {"t": {}}),
        ),
    ],
    ids=["jobs", "a job and a step", "sensors"],
)
def test_names_that_begin_alike_are_jobs_and_sensors_of_their_own(one, other):
    sources = [
        Source.model_validate(
            {
                "name": name,
                "base_url": "https://x.example",
                "endpoints": {key: {"path": "/", "primary_key": "id"} | told for key, told in endpoints.items()},
            }
        )
        for name, endpoints in (one, other)
    ]

    known = definitions(sources, Api(), Warehouse()).get_repository_def()

    names = [*(job.name for job in known.get_all_jobs()), *(sensor.name for sensor in known.sensor_defs)]
    assert len(set(names)) == len(names)
