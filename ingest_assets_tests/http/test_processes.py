"""Who is still there: a number that is used again, a process that nobody waited for, one in another container."""

import os
import subprocess
import sys

from ingest_assets.http.processes import can_be_seen, is_alive, this_process
from ingest_assets.http.slots import opened

NAME = "from ingest_assets.http.processes import this_process; print(this_process(), flush=True); input()"


def started():
    process = subprocess.Popen([sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_a_process_is_there_until_it_is_killed_even_where_nobody_waits_for_it():
    process, name = started()
    with process:
        before = is_alive(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        zombie = is_alive(name)
    after = is_alive(name)

    assert (before, zombie, after) == (True, False, False)


def test_a_number_that_is_used_again_is_another_process():
    pid, began, namespace = this_process().split(":")

    assert is_alive(this_process())
    assert not is_alive(f"{pid}:{int(began) - 1}:{namespace}")


def test_of_a_process_in_another_container_nothing_is_seen():
    elsewhere = "1:5:4026530000"

    assert is_alive(elsewhere)
    assert not can_be_seen(elsewhere)
    assert can_be_seen(this_process())


def test_a_place_of_a_process_that_cannot_be_seen_is_given_up_after_an_hour(tmp_path):
    file = tmp_path / "key.slots"
    with opened(file, 60.0, lambda: 0.0, lambda: 0.0) as here:
        ask = here.add(None, 1)
        ask.process, ask.granted = "1:5:4026530000", 0.0

    with opened(file, 60.0, lambda: 3599.0, lambda: 0.0) as here:
        assert not here.bury()
    with opened(file, 60.0, lambda: 3602.0, lambda: 0.0) as here:
        assert here.bury()
        assert here.state.asks == []
        assert here.state.sums == [1, 1]
