"""The `ingest` command in this process: what it does is looked at here, that it is a program in `test_cli.py`."""

import contextlib
import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest_assets.cli.main import guarded, main

Told = subprocess.CompletedProcess[str]


@contextlib.contextmanager
def surrounded(environment: dict[str, str]) -> Iterator[None]:
    """While inside, this environment and no other; signals are handled as before afterwards."""
    before, handled = dict(os.environ), {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        for number, handler in handled.items():
            signal.signal(number, handler)


def in_process(here: Any, *arguments: str) -> Told:
    """The command, run to its end in a place; there is no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with surrounded(here.environment), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = guarded(lambda: main(arguments, standalone_mode=False), as_json="--json" in arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def ingest() -> Callable[..., Told]:
    """Run a command in a place and give what it told: `ingest(here, "status")`."""
    return in_process
