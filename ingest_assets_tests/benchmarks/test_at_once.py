"""The benchmark of pages at once, in its short form; with INGEST_LONG in the form that is measured."""

import importlib.util
import os
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "at_once.py"
LONG = "INGEST_LONG" in os.environ


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spec = importlib.util.spec_from_file_location("at_once", FILE)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "at_once", made)  # its server runs in a process that imports it
    spec.loader.exec_module(made)
    monkeypatch.syspath_prepend(str(FILE.parent))
    return made


def test_pages_at_once_take_less_than_half_the_time_of_pages_one_by_one(benchmark):
    took = benchmark.measured(40, 50, [1, 8])

    assert took[8].fetch < took[1].fetch / 2


@pytest.mark.skipif(not LONG, reason="it measures a machine that does nothing else: INGEST_LONG")
def test_a_hundred_pages_of_fifty_milliseconds_take_at_most_1_3_seconds(benchmark):
    assert benchmark.measured(100, 50, [16])[16].fetch <= 1.3
