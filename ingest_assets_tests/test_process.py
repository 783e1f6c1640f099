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


def test_plugins_of_pydantic_are_looked_for_where_that_was_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plug-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[pydantic]\nplug = plug:made\n")
    (tmp_path / "plug.py").write_text("def made(*_, **__): return None, None, None\nmade.new_schema_validator = made\n")
    look = (
        f"sys.path.append({str(tmp_path)!r}); import ingest_assets.source; print('plug' in sys.modules); process.end(0)"
    )

    assert ended(look).stdout == "False\nat its end\n"

    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "another")
    assert ended(look).stdout == "True\nat its end\n"


def test_other_processes_have_the_variables_that_were_set_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    given = "from ingest_assets.process import environment; print(sorted(environment().items() ^ os.environ.items()))"

    assert ended(f"import os; {given}; process.end(0)").stdout.startswith("[('PYDANTIC_DISABLE_PLUGINS', '__all__')]\n")


def test_a_thread_ends_its_work_first() -> None:
    late = "threading.Thread(target=lambda: (time.sleep(0.2), print('worked'))).start(); process.end(0)"

    assert ended(late).stdout == "worked\nat its end\n"


def test_an_error_that_nobody_foresaw_ends_as_python_ends_it() -> None:
    found = ended("raise ValueError('unforeseen')")

    assert found.returncode == 1
    assert "ValueError: unforeseen" in found.stderr
    assert found.stdout.startswith("at its end\n")
