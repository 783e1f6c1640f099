"""A lock between processes: one holds it, the others learn who, and the kernel gives it back."""

import contextlib
import errno
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_assets.errors import Locked, TransientFailure
from ingest_assets.locks import held

# Says that it holds the lock, then keeps it until its input ends.
HOLDING = """
import sys
from pathlib import Path
from ingest_assets.locks import held

with held(Path(sys.argv[1]), sys.argv[2], 10):
    print("held", flush=True)
    sys.stdin.read()
"""

# Adds one to a number in a file, again and again: two at once would lose some.
COUNTING = """
import sys
from pathlib import Path
from ingest_assets.locks import held

lock, number = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(200):
    with held(lock, "count", 60):
        number.write_text(str(int(number.read_text()) + 1))
"""


@contextlib.contextmanager
def another_process_holds(lock: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock while inside, unless it is ended before."""
    command = [sys.executable, "-c", HOLDING, str(lock), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Where the lock is: nothing is there yet, not even its folder."""
    return tmp_path / "locks" / "charges.lock"


def test_two_processes_exclude_each_other(lock: Path, tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", COUNTING, str(lock), str(number)]

    processes = [subprocess.Popen(command) for _ in range(2)]
    codes = [process.wait() for process in processes]

    assert codes == [0, 0]
    assert number.read_text() == "400"


def test_a_held_lock_is_refused_with_its_holder_s_pid_work_and_age(lock: Path) -> None:
    with another_process_holds(lock, "run 5 of stripe.charges") as process:
        told = re.escape(f"charges.lock is held by process {process.pid} (run 5 of stripe.charges), for ")
        with (
            pytest.raises(Locked, match=told + r"\d+ s; waited 0 s\. Try later, or end it"),
            held(lock, "another run", 0.05),
        ):
            pytest.fail("two hold the lock")


def test_the_age_of_the_lock_is_told_in_seconds(lock: Path) -> None:
    with another_process_holds(lock, "load"):
        told = lock.read_text()
        since = float(re.findall(r'"since": ([\d.]+)', told)[0])
        lock.write_text(told.replace(str(since), f"{time.time() - 3600:.3f}"))

        with pytest.raises(Locked, match=r"\(load\), for 360\d s"), held(lock, "another", 0):
            pytest.fail("two hold the lock")


def test_the_wait_ends_at_its_limit(lock: Path) -> None:
    with another_process_holds(lock, "load"):
        begun = time.monotonic()

        with pytest.raises(Locked), held(lock, "another", 0.3):
            pytest.fail("two hold the lock")

        assert 0.3 <= time.monotonic() - begun < 5


def test_the_lock_is_free_after_its_holder_was_killed(lock: Path) -> None:
    with another_process_holds(lock, "load") as process:
        process.kill()
        process.wait()

        with held(lock, "another", 0):
            told = lock.read_text()

    assert f'"pid": {os.getpid()}' in told
    assert '"what": "another"' in told


def test_one_that_waits_gets_the_lock_when_it_is_given_back(lock: Path) -> None:
    with another_process_holds(lock, "load") as process:
        assert process.stdin is not None
        end = threading.Timer(0.1, process.stdin.close)
        end.start()

        with held(lock, "another", 30):
            got = True

        end.join()
        process.stdin = None  # closed by the timer; the process has ended of itself
        assert process.wait() == 0

    assert got


def test_the_lock_is_free_after_an_error_inside(lock: Path) -> None:
    with pytest.raises(KeyError), held(lock, "load", 0):
        raise KeyError

    with held(lock, "another", 0):
        assert '"what": "another"' in lock.read_text()


def test_the_lock_is_not_re_entrant(lock: Path) -> None:
    with held(lock, "outer", 0), pytest.raises(Locked, match=rf"process {os.getpid()} \(outer\)"), held(lock, "in", 0):
        pytest.fail("the lock was given twice")


def test_locks_on_other_files_are_not_concerned(lock: Path) -> None:
    with held(lock, "one", 0), held(lock.with_name("invoices.lock"), "other", 0):
        held_both = True

    assert held_both


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\ufffd",
        '{"pid": 1}',
        "[]",
        '{"pid": 1, "what": "x", "since": "then"}',
    ],
)
def test_a_holder_that_has_not_said_who_it_is_is_told_as_such(lock: Path, content: str) -> None:
    with another_process_holds(lock, "load"):
        lock.write_text(content)

        with pytest.raises(Locked, match="held by a process that has not said who it is"), held(lock, "another", 0):
            pytest.fail("two hold the lock")


def test_a_long_name_of_before_leaves_nothing_behind_a_shorter_one(lock: Path) -> None:
    with held(lock, "a load " * 50, 0):
        pass

    with another_process_holds(lock, "short"), pytest.raises(Locked, match=r"\(short\)"), held(lock, "another", 0):
        pytest.fail("two hold the lock")


def test_only_the_user_can_read_who_holds_a_lock(lock: Path) -> None:
    with held(lock, "load", 0):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_held_lock_is_a_failure_that_passes() -> None:
    assert issubclass(Locked, TransientFailure)


def in_line(lock: Path, number: int, order: Path) -> subprocess.Popen[str]:
    """A process that waits for the lock and writes its number down; it is in line when it has said so."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom ingest_assets import locks\n"
        "def sleep(seconds, of=locks.time.sleep):\n    print('in line', flush=True)\n    of(seconds)\n"
        "lock, number, order = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])\n"
        "locks.time.sleep = sleep\n"
        "with locks.held(lock, number, 60):\n"
        "    with order.open('a') as file:\n        print(number, file=file)\n"
    )
    command = [sys.executable, "-c", code, str(lock), str(number), str(order)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in line\n"
    return process


def test_those_who_wait_get_it_in_the_order_in_which_they_came_without_the_dead(lock: Path, tmp_path: Path) -> None:
    order, waiting = tmp_path / "order", list[subprocess.Popen[str]]()
    try:
        with another_process_holds(lock, "the first"):
            waiting = [in_line(lock, number, order) for number in range(5)]
            waiting[1].kill()
            waiting[1].wait()
        for process in waiting:
            process.communicate(timeout=60)
    finally:
        for process in waiting:
            process.kill()
            process.communicate()

    assert order.read_text().split() == ["0", "2", "3", "4"]


def test_who_is_stopped_while_it_waits_holds_nobody_up_for_long(lock: Path, tmp_path: Path) -> None:
    order, waiting = tmp_path / "order", list[subprocess.Popen[str]]()
    try:
        with another_process_holds(lock, "the first"):
            waiting = [in_line(lock, number, order) for number in range(2)]
            waiting[0].send_signal(signal.SIGSTOP)
        waiting[1].communicate(timeout=60)
        assert order.read_text().split() == ["1"]
    finally:
        for process in waiting:
            process.kill()
            process.communicate()


def test_where_the_system_has_no_locks_of_open_files_a_lock_is_held_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object) -> bytes:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refusing)

    with held(tmp_path / "a.lock", "first", 0), pytest.raises(Locked), held(tmp_path / "a.lock", "second", 0):
        pass
    with held(tmp_path / "a.lock", "third", 0):
        pass
