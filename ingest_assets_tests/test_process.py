"""A process of its own: what still happens at its end, and what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import atexit, sys, threading, time
from ingest_assets.process import Process
class Kept:
    def __del__(self): print("taken apart")
process, kept = Process(), Kept()
kept.itself = kept
atexit.register(print, "at its end")
"""


def ended(command: str) -> subprocess.CompletedProcess[str]:
    """A process that has ended by this command."""
    given = [sys.executable, "-c", COMMAND + command]
    return subprocess.run(given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("code", [0, 75])
def test_a_process_ends_with_its_code_and_with_all_that_was_printed(code: int) -> None:
    found = ended(f"print('done'); print('told', file=sys.stderr); process.end({code})")

    assert (found.returncode, found.stderr) == (code, "told\n")
    assert found.stdout.startswith("done\n")


def test_what_is_to_be_done_at_the_end_is_done_and_nothing_is_taken_apart() -> None:
    assert ended("process.end(0)").stdout == "at its end\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell a process's threads")
def test_numpy_starts_no_threads_for_what_nobody_does() -> None:
    threads = "import numpy, os; print(len(os.listdir('/proc/self/task'))); process.end(0)"

    assert ended(threads).stdout == "1\nat its end\n"


def test_a_thread_ends_its_work_first() -> None:
    late = "threading.Thread(target=lambda: (time.sleep(0.2), print('worked'))).start(); process.end(0)"

    assert ended(late).stdout == "worked\nat its end\n"


def test_an_error_that_nobody_foresaw_ends_as_python_ends_it() -> None:
    found = ended("raise ValueError('unforeseen')")

    assert found.returncode == 1
    assert "ValueError: unforeseen" in found.stderr
    assert found.stdout.startswith("at its end\n")
