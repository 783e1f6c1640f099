"""Dagster's UI and daemon on this data."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

from ingest_assets.assets.launch import start_instance
from ingest_assets.commands.output import Output
from ingest_assets.errors import TransientFailure
from ingest_assets.process import environment

_FIRST_PORT = 3000
_START_SECONDS = 120
_STOP_SECONDS = 20


def free_port(first: int, host: str) -> int:
    """`first`, or the next port that nobody listens on."""
    for port in range(first, first + 100):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if _binds(probe, host, port):
                return port
    raise TransientFailure(f"no port from {first} to {first + 99} is free on {host}; name one by --port")


def _named_port(port: int, host: str) -> int:
    """This port and no other: whoever named it, such as a proxy, will not look for the next one."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not _binds(probe, host, port):
            raise TransientFailure(f"port {port} on {host} is taken, or not yours; end who has it, or name another")
    return port


def _binds(probe: socket.socket, host: str, port: int) -> bool:
    try:
        probe.bind((host, port))
    except OSError:
        return False
    return True


def command(host: str, port: int) -> list[str]:
    """What starts the UI and the daemon, without Dagster's advice to start them by another command."""
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    dagster = [sys.executable, "-m", "dagster", "dev", "--module-name", "ingest_assets.definitions"]
    return [*dagster, "--host", host, "--port", str(port), "--log-level", "error"]


def serve(host: str, port: int | None, out: Output) -> None:
    """Become the UI; does not return. Without a port, on the first one from 3000 on that is free."""
    port = free_port(_FIRST_PORT, host) if port is None else _named_port(port, host)
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
