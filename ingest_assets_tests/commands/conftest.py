"""The `ingest` command in this process: what it does is looked at here, that it is a program in `test_cli.py`."""

import subprocess
from collections.abc import Callable

import pytest

Told = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def ingest() -> Callable[..., Told]:
    """Run a command in a place and give what it told: `ingest(here, "status")`."""
    return lambda here, *arguments: here.ingest(*arguments)
