"""Benchmarks in their short form: what they count is right, and they run."""

import importlib
import itertools
import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def found(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def test_changes_here_and_there_are_merged_into_a_large_table():
    found = list(importlib.import_module("benchmarks.merge").measured(60_000, 600))

    assert len(found) == 4
    assert all(seconds > 0 and cpu > 0 for _, seconds, cpu in found)


def test_a_run_that_finds_nothing_new_asks_once_and_writes_no_row():
    (cost,) = importlib.import_module("benchmarks.nothing_new").runs(1, 500)

    assert cost.cpu_seconds > 0


def test_a_replay_loads_all_that_a_run_stored():
    run, replay, size = importlib.import_module("benchmarks.replay").costs("orders", 300)

    assert min(run.cpu_seconds, replay.cpu_seconds) > 0
    assert size > 300_000


def test_one_na_among_numbers_makes_their_column_json_until_it_is_undone_or_declared():
    steps = importlib.import_module("benchmarks.na").steps(2000)

    types = [step.type for step in itertools.islice(steps, None if "INGEST_LONG" in os.environ else 2)]
    steps.close()

    assert types == ["DOUBLE", "JSON", "DOUBLE", "DOUBLE", "DOUBLE"][: len(types)]


@pytest.mark.skipif("INGEST_LONG" not in os.environ, reason="Dagster takes its time: INGEST_LONG")
def test_a_range_of_days_loads_all_days():
    cost = importlib.import_module("benchmarks.range_run").cost(3)

    assert cost.cpu_seconds > 0
