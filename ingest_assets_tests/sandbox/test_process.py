"""The sandbox as a process: it says where it is, and ends when it should."""

import signal
import subprocess
import sys
import time
from http import HTTPStatus

import pytest
import requests

from ingest_assets.sandbox import Sandbox

COMMAND = [sys.executable, "-m", "ingest_assets.sandbox", "--port", "0", "--now", "2026-11-20", "--scale", "1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        health = requests.get(f"{url}/__health", timeout=20).json()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)

    assert health["now"] == "2026-11-20T00:00:00Z"
    assert (process.returncode, errors) == (0, "")


def test_it_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([*COMMAND, "--while-stdin-open"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.close()

        assert process.wait(timeout=20) == 0


def test_it_is_up_within_seconds() -> None:
    begin = time.monotonic()

    with Sandbox():
        passed = time.monotonic() - begin

    assert passed < 5  # 0.4 s on a quiet machine


def test_an_option_that_is_wrong_is_an_error_at_once() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Sandbox("tomorrow").start()


def test_what_was_seen_is_told_and_forgotten(sandbox: Sandbox) -> None:
    status = requests.get(f"{sandbox.url}/stripe/v1/charges?limit=3", timeout=20).status_code
    seen = sandbox.seen()
    sandbox.forget_seen()

    assert status == HTTPStatus.UNAUTHORIZED
    assert [(one["method"], one["path"], one["query"], one["status"]) for one in seen] == [
        ("GET", "/stripe/v1/charges", {"limit": "3"}, 401)
    ]
    assert sandbox.seen() == []


def test_days_go_by_on_request() -> None:
    with Sandbox("2026-11-20", scale=0.1) as sandbox:
        before = sandbox.truth("stripe", "charges")
        now = sandbox.advance(2)
        after = sandbox.truth("stripe", "charges")
    with Sandbox("2026-11-22", scale=0.1) as sandbox:
        later = sandbox.truth("stripe", "charges")

    assert now == "2026-11-22T00:00:00Z"
    assert after == later
    assert [one["id"] for one in after[: len(before)]] == [one["id"] for one in before]
    assert after[: len(before)] != before


def test_truth_of_nothing_is_an_error(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="404"):
        sandbox.truth("stripe", "refunds")
