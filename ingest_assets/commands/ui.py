"""Dagster's UI and daemon on this data."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

from ingest_assets.assets.launch import start_instance
from ingest_assets.commands.output import Output
from ingest_assets.commands.ports import free_port, named_port
from ingest_assets.errors import TransientFailure
from ingest_assets.process import environment

_FIRST_PORT = 3000
_START_SECONDS = 120
_STOP_SECONDS = 20


def command(host: str, port: int) -> list[str]:
    """What starts the UI and the daemon, without Dagster's advice to start them by another command."""
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    dagster = [sys.executable, "-m", "dagster", "dev", "--module-name", "ingest_assets.definitions"]
    return [*dagster, "--host", host, "--port", str(port), "--log-level", "error"]


def serve(host: str, port: int | None, out: Output) -> None:
    """Become the UI; does not return. Without a port, on the first one from 3000 on that is free."""
    port = free_port(_FIRST_PORT, host) if port is None else named_port(port, host)
    start_instance()
    arguments = command(host, port)
    url = f"http://{host}:{arguments[arguments.index('--port') + 1]}"
    out.console.print(f"Dagster UI: {url}")
    out.document({"url": url})
    os.execve(arguments[0], arguments, environment())  # noqa: S606 -- our own command, no shell


@contextlib.contextmanager
def served(host: str, port: int) -> Iterator[str]:
    """The UI beside this process; gives its URL once it answers, and ends it with all that it started."""
    port = free_port(port, host)
    # A group of its own, so that Ctrl-C reaches it from here, once, and in order.
    asked = command(host, port)
    process = subprocess.Popen(asked, env=environment(), start_new_session=True)  # noqa: S603 -- our own command
    try:
        url = f"http://{host}:{port}"
        _wait_for(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/server_info", timeout=5):  # noqa: S310 -- our own loopback URL
            return
        time.sleep(0.2)
    raise TransientFailure(f"Dagster's UI did not answer at {url} within {_START_SECONDS} s; its log is above")
