"""An API on loopback that answers as a test says, and walks through it into real snapshots."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ingest_assets.extract.pull import Puller
from ingest_assets.extract.request import Walk
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.traffic import Wait
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Source
from ingest_assets_tests.extract.bulk import bulk, whole
from ingest_assets_tests.loopback import Replying, serving

__all__ = ["bulk", "whole"]

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass
class Answer:
    """One answer: a body that is written as JSON, or bytes; `cut` sends half of it. A header may have several lines."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Api:
    """Asks `answer` for what to send, and remembers the parameters that it was asked with; of a POST, its body.

    What a GET's path holds after `/things/` is parameter `/`; a header X-Cursor is one as well. `sent` are the bare
    request lines' targets, headers and bodies.
    """

    url: str = ""
    answer: Callable[[dict[str, str]], Answer] = lambda _: Answer({"data": []})
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: list[tuple[str, Message, bytes]] = field(default_factory=list)

    def pages(self, *pages: Any) -> None:
        """Give these bodies or answers by the parameter `cursor`, a number; without it the first."""

        def answer(query: dict[str, str]) -> Answer:
            page = pages[int(query.get("cursor", 0))]
            return page if isinstance(page, Answer) else Answer(page)

        self.answer = answer

    def in_turn(self, *answers: Any) -> None:
        """Give these bodies or answers one after another, whatever is asked."""
        left = iter(answers)

        def answer(_: dict[str, str]) -> Answer:
            page = next(left)
            return page if isinstance(page, Answer) else Answer(page)

        self.answer = answer


class _Handler(Replying):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def post(self) -> None:
        body = self.body()
        is_form = "form" in self.headers["Content-Type"]
        self._answer(dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else json.loads(body), body)

    def get(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        below = urlsplit(self.path).path.removeprefix("/things").removeprefix("/")
        asked |= {"/": unquote(below)} if below else {}
        self._answer(asked | {name: self.headers[name] for name in ("X-Cursor",) if name in self.headers})

    def _answer(self, query: dict[str, Any], sent: bytes = b"") -> None:
        api = self.server.api
        api.asked.append(query)
        api.sent.append((self.path, self.headers, sent))
        answer = api.answer(query)
        with contextlib.suppress(ConnectionError):
            self.send(answer.status, answer.body, answer.headers, cut=answer.cut)


@pytest.fixture(scope="session")
def running_api() -> Iterator[Api]:
    with serving(_Handler, api=Api()) as server:
        server.api.url = server.url
        yield server.api


@pytest.fixture
def api(running_api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The API, as if it had just begun."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running_api.asked, running_api.sent = [], []
    return running_api


@dataclass
class Lab:
    """A data folder, a clock that stands still, and walks of the endpoint `things`."""

    api: Api
    folder: Path
    now: datetime = NOW
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    slept: list[float] = field(default_factory=list)
    progress: list[Any] = field(default_factory=list)

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.folder / "raw", now=lambda: self.now)

    def source(self, endpoint: Mapping[str, Any], **more: Any) -> Source:
        """A source with one endpoint, by default a listing that goes on by `cursor`."""
        told = {
            "path": "/things",
            "records": "data",
            "paginator": {"type": "cursor", "path": "next", "param": "cursor"},
            "primary_key": "id",
        }
        things = {name: value for name, value in {**told, **endpoint}.items() if value is not None}
        return Source.model_validate({"name": "shop", "base_url": self.api.url, "endpoints": {"things": things}} | more)

    def walk(
        self, endpoint: Mapping[str, Any] | None = None, *, partition: str | None = None, position: str | None = None
    ) -> Walk:
        """A walk of it."""
        return Walk(self.source(endpoint or {}), "things", partition, position)

    def fetch(self, walk: Walk, *, attempts: int = 3, max_wait_seconds: float = 900.0) -> Snapshot:
        """Fetch it; waits are noted, and take no time."""
        limiter = partial(Limiter, self.folder / "limits", "shop", max_wait_seconds=max_wait_seconds)
        retry = RetryPolicy(attempts=attempts, first_wait_seconds=0.0)
        client = partial(Client, walk.source.base_url, retry=retry)

        def another(sleep: Callable[[float], None], on_wait: Callable[[Wait], None]) -> Client:
            return client(limiters=[limiter(sleep=sleep)], sleep=sleep, on_wait=on_wait)

        begin, show = self._begin, self.progress.append
        with client(limiters=[limiter()], sleep=self.slept.append) as own:
            puller = Puller(own, self.snapshots, begin, "run-1", show, lambda: self.now, another=another)
            return puller.fetch(walk)

    def _begin(self, _: Walk) -> tuple[int, datetime]:
        return next(self.numbers), self.now

    def later(self, **time: float) -> None:
        """Let time go by."""
        self.now += timedelta(**time)

    def stored(self) -> list[Snapshot]:
        """All fetches of the endpoint, in order."""
        return self.snapshots.fetches("shop", "things")

    def verdicts(self) -> list[str | None]:
        """Their verdicts; None where a walk has not ended."""
        return [s.manifest.ended.verdict if s.manifest.ended else None for s in self.stored()]

    def positions(self) -> list[Any]:
        """Where each left the feed."""
        return [s.manifest.ended.position if s.manifest.ended else None for s in self.stored()]

    def records(self, snapshot: Snapshot, path: str = "data") -> list[Any]:
        """The records as they were stored."""
        found = []
        for entry in snapshot.pages:
            with snapshot.body(entry) as body:
                found += json.load(body)[path]
        return found


@pytest.fixture
def lab(api: Api, tmp_path: Path) -> Lab:
    return Lab(api, tmp_path)


@pytest.fixture(scope="session")
def answer() -> type[Answer]:
    return Answer


@pytest.fixture(scope="session")
def lab_of() -> type[Lab]:
    return Lab
