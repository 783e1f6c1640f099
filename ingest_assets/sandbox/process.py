"""The sandbox in a process of its own, for tests, benchmarks and the command line."""

import contextlib
import http.client
import json
import subprocess
import sys
from datetime import date
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

READY_SECONDS = 20


class Sandbox:
    """A running sandbox on a free loopback port, ended with its `with` block; `url` is its address.

    Whatever ends the process that started it ends it too.
    """

    def __init__(
        self,
        now: date | str = "2026-11-20",
        *,
        seed: int = 7,
        scale: float = 1.0,
        factor: float = 1.0,
        start: date | str | None = None,
        port: int = 0,
    ) -> None:
        options = {"port": port, "now": now, "seed": seed, "scale": scale, "factor": factor, "start": start}
        arguments = [f"--{name}={value}" for name, value in options.items() if value is not None]
        self._command = [sys.executable, "-m", "ingest_assets.sandbox", "--while-stdin-open", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Starts it, and waits until it answers."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self.stop()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        process = subprocess.Popen(  # noqa: S603  our own command with our own arguments
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None  # noqa: S101  asked for with PIPE
        self._process = process
        self.url = process.stdout.readline().decode().strip()
        if not self.url:
            self.stop()
            raise RuntimeError(f"the sandbox did not start: its exit code is {process.returncode}, its error above")
        self.ask("GET", "/__health")

    def stop(self) -> None:
        """Ends it and waits for that."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None

    def truth(self, source: str, endpoint: str, **bounds: object) -> list[Any]:
        """What a complete walk of an endpoint returns now; bounds such as `**{"created[gte]": 1767225600}`."""
        return _lines(self.ask("GET", f"/__truth/{source}/{quote(endpoint)}?{urlencode(bounds)}"))

    def seen(self) -> list[Any]:
        """The requests to the APIs, oldest first: time, method, path, query, credential, bucket, fault, status."""
        return _lines(self.ask("GET", "/__seen"))

    def forget_seen(self) -> None:
        """Clears what was seen."""
        self.ask("DELETE", "/__seen")

    def limits(self) -> dict[str, Any]:
        """Each limit by its bucket: limit, window_seconds, requests, worst, refused."""
        return {told["bucket"]: told for told in json.loads(self.ask("GET", "/__limits"))}

    def fault(self, fault: str, **details: object) -> None:
        """Switches a fault on; its details are those of `ingest_assets.sandbox.faults.Fault`."""
        self.ask("POST", "/__faults", json.dumps({"fault": fault, **details}).encode())

    def faults(self) -> list[Any]:
        """The faults that are on, with how often each was met and struck."""
        return list(json.loads(self.ask("GET", "/__faults")))

    def clear_faults(self) -> None:
        """Switches all faults off."""
        self.ask("DELETE", "/__faults")

    def advance(self, days: int = 1) -> str:
        """Lets days go by, and gives the new `now`."""
        return str(json.loads(self.ask("POST", f"/__advance?days={days}"))["now"])

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of one of the sandbox's own pages."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=READY_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"{method} {path}: status {response.status}: {answer.decode()[:300]}")
        return answer


def _lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.splitlines()]
