"""The whole line, from a server of a test's own to rows in DuckDB, and what that server does to it."""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from ingest_assets.errors import IngestError
from ingest_assets.extract.progress import Progress
from ingest_assets.line import Line, Pace, Unwatched
from ingest_assets.load.health import look, looks
from ingest_assets.load.looked import Looked
from ingest_assets.source import Source
from ingest_assets_tests.loopback import Replying, serving

_LINGER_NOT = struct.pack("ii", 1, 0)  # a socket that is closed so is reset (SO_LINGER of no seconds)


@dataclass(frozen=True)
class Asked:
    """A request: what stands in its path, query and body, its headers, and when it came."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Reply:
    """An answer: a body that is written as JSON, or bytes.

    `cut` sends half of it; `reset` ends the connection without a word, before anything is sent or in the middle;
    `seconds` is how long the body takes.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    reset: str = ""
    seconds: float = 0.0

    @property
    def bytes(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Api:
    """Remembers what it was asked, and gives what `answer` says: a reply, or the body of one."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Any] = lambda _: {"data": []}
        self._lock = threading.Lock()

    def told(self, asked: Asked) -> Reply:
        """What is answered; one request at a time."""
        with self._lock:
            self.asked.append(asked)
            said = self.answer(asked)
        return said if isinstance(said, Reply) else Reply(said)

    def pages(self, *pages: Any) -> None:
        """Give these by the parameter `cursor`, a number; without it the first."""
        self.answer = lambda asked: pages[int(asked.query.get("cursor", 0))]


class Handler(Replying):
    """Answers as its server's API says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def post(self) -> None:
        self._answer(self.body())

    def get(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.api.told(Asked(unquote(url.path), query, headers, body, time.monotonic()))
        with contextlib.suppress(ConnectionError):
            if reply.reset == "before":
                self._reset()
                return
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        body = reply.bytes
        (self.send_response_only if "Date" in reply.headers else self.send_response)(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if reply.seconds:
            time.sleep(reply.seconds)
        if reply.reset:
            self._reset()
        elif reply.cut:
            self.close_connection = True
        else:
            self.wfile.write(body[half:])

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True


@contextlib.contextmanager
def api_of_its_own(handler: type[Handler] = Handler) -> Iterator[Api]:
    """An API on loopback."""
    with serving(handler, api=Api()) as server:
        server.api.url = server.url
        yield server.api


def things(*numbers: int) -> list[dict[str, int]]:
    """Records of these ids."""
    return [{"id": n} for n in numbers]


class Killed(BaseException):
    """Ends a process as far as this one goes: nothing of the project catches it."""


class _Killer(Unwatched):
    """Kills once so many more pages are stored."""

    def __init__(self, pages: int | None) -> None:
        self.left = pages

    def page(self, progress: Progress) -> None:
        """A page was stored."""
        if self.left is not None and progress.pages and not progress.resumed:
            self.left -= 1
            if self.left < 0:
                raise Killed


@contextlib.contextmanager
def state_in(folder: Path) -> Iterator[None]:
    """Limits and tokens below a folder, so that nothing is held back by what others asked."""
    told = {"INGEST_LIMITS": folder / "limits", "INGEST_TOKENS": folder / "tokens", "XDG_STATE_HOME": folder / "state"}
    told |= {"NO_PROXY": Path("127.0.0.1")}
    former = {name: os.environ.get(name) for name in told}
    os.environ.update({name: str(value) for name, value in told.items()})
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Whole:
    """The endpoint `things` of the source `shop`, as a folder of its own has it; each run is as of a new process."""

    folder: Path
    url: str
    endpoint: Mapping[str, Any]
    source: Mapping[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=lambda: Pace(retry_seconds=0.5, read_timeout_seconds=2.0))
    name: str = "shop"
    runs: int = 0

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def line(self, kill_after: int | None = None) -> Line:
        """The line of a new process, which dies once so many pages are stored."""
        things = {"path": "/things", "records": "data", "primary_key": "id", **self.endpoint}
        things = {name: value for name, value in things.items() if value is not None}
        told = {"name": self.name, "base_url": self.url, "endpoints": {"things": things}, **self.source}
        self.runs += 1
        return Line(
            Source.model_validate(told), self.data, run=f"run-{self.runs}", pace=self.pace, watcher=_Killer(kill_after)
        )

    @cached_property
    def _looker(self) -> Line:
        """Who only looks; one for all looks, since each process opens DuckDB anew."""
        return self.line()

    def run(self, partition: str | None = None, *, kill_after: int | None = None, load: bool = True) -> str:
        """Fetch and load a partition; what went wrong, or nothing."""
        line = self.line(kill_after)
        try:
            with line.partition("things", partition):
                line.fetch("things", partition)
                if load:
                    line.load("things", partition)
        except (IngestError, Killed) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query on the warehouse, attached as `w`; none where a table is not there."""
        try:
            with self._looker.warehouse.session("looking") as connection:
                return connection.execute(query).fetchall()
        except duckdb.CatalogException:
            return []

    def values(self, column: str = "id") -> list[Any]:
        """A column's values in the table, in order."""
        return [row[0] for row in self.ask(f'SELECT "{column}" FROM w.{self.name}.things ORDER BY ALL')]  # noqa: S608 -- ours

    def verdicts(self) -> list[str | None]:
        """Those of its fetches."""
        query = "SELECT verdict FROM w._ingest.fetches WHERE source = ? ORDER BY _fetch".replace("?", f"'{self.name}'")
        return [row[0] for row in self.ask(query)]

    def problems(self, *, later: timedelta = timedelta(0)) -> dict[str, str]:
        """What the checks of the table find wrong, as `ingest status` and Dagster show it."""
        line = self._looker
        line.publish()
        with line.warehouse.reading() as connection:
            at = Looked(connection, self.name, "things", line.source.endpoints["things"], line.now() + later)
            return {name: told.problem for name in looks(at.endpoint) if (told := look(name, at)).problem}

    def files(self) -> bytes:
        """All that is in its folder, one file after another."""
        return b"\n".join(file.read_bytes() for file in sorted(self.folder.rglob("*")) if file.is_file())
