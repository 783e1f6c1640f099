"""Servers that other people wrote: each installed from its lock into an environment of its own, started on loopback."""

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

collect_ignore = ["rest_service.py"]  # it runs in an environment that has its library
HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache"


def _install(name: str, folder: Path) -> None:
    install = ("-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r", str(HERE / f"{name}.lock"))
    for step in ([sys.executable, "-m", "venv", "--clear", str(folder)], [str(folder / "bin" / "python"), *install]):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "installed").touch()


@pytest.fixture(scope="session")
def installed() -> Callable[[str], Path]:
    """The Python of the environment that NAME.lock makes, kept between runs; skips where it can't be had."""

    def python(name: str) -> Path:
        lock = hashlib.sha256((HERE / f"{name}.lock").read_bytes()).hexdigest()[:8]
        folder = CACHE / f"{name}-{sys.version_info.major}.{sys.version_info.minor}-{lock}"
        CACHE.mkdir(exist_ok=True)
        with (CACHE / f"{folder.name}.lock").open("w") as held:  # another process of the tests may want it too
            fcntl.flock(held, fcntl.LOCK_EX)
            if not (folder / "installed").exists():
                _install(name, folder)
        return folder / "bin" / "python"

    return python


@contextlib.contextmanager
def _running(command: list[str], environment: Mapping[str, str], output: Path) -> Iterator[str]:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.replace("{port}", str(port)) for word in command]
    with output.open("w") as written:
        process = subprocess.Popen(words, stdout=written, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{words[0]} did not start: {output.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def running() -> Callable[[list[str], Mapping[str, str], Path], contextlib.AbstractContextManager[str]]:
    """Starts a command whose `{port}` is a free one, waits until it listens, gives its URL, and ends it."""
    return _running
