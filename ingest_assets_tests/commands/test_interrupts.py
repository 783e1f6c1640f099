"""An interruption is heeded wherever it finds the interpreter."""

import subprocess
import sys

import pytest

# What a collected object does while a signal arrives: its handler runs in `__del__`, and can raise nothing from there.
SCRIPT = """
import signal, sys, time
from ingest_assets.commands.interrupts import send_again_where_swallowed

class {error}(BaseException): pass

def handler(number, frame):
    raise {error}

class Collected:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        list(range(10))

send_again_where_swallowed()
signal.signal(signal.SIGINT, handler)
try:
    Collected()
    time.sleep(60)
except {error}:
    sys.exit(130)
"""


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "DagsterExecutionInterruptedError"])
def test_an_interruption_within_a_finalizer_comes_again_and_leaves_no_traceback(error: str) -> None:
    script = SCRIPT.format(error=error)

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)

    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize("error", ["ValueError", "CancelledError"])
def test_any_other_failure_of_a_finalizer_is_printed_as_ever_and_interrupts_nothing(error: str) -> None:
    script = SCRIPT.format(error=error).replace("time.sleep(60)", "time.sleep(0.2)")

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)

    assert ended.returncode == 0
    assert error in ended.stderr


# What DuckDB makes of Ctrl-C while a query works.
QUERY = """
import sys
from ingest_assets.cli.main import guarded

def query():
    raise RuntimeError("Query interrupted")

sys.exit(guarded(query))
"""


def test_a_query_that_is_interrupted_ends_the_command_as_interrupted() -> None:
    ended = subprocess.run([sys.executable, "-c", QUERY], capture_output=True, text=True, timeout=50, check=False)

    assert ended.returncode == 130
    assert ended.stderr.startswith("Interrupted. What is fetched and loaded stays")
