"""Threads that ask for pages at once: each with a client of its own, all of them stopped by one word.

The thread of the walk gives them work, waits for it, and alone writes the snapshot and tells who watches. A thread
that waits, for a limit or before its next try, wakes up where the crew is stopped; one that waits for an answer has
to get it, or its timeout, before the crew is gone.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol, Self, TypeVar

from msgspec import Struct

from ingest_assets.http.client import Client
from ingest_assets.http.traffic import Traffic, Wait

T = TypeVar("T")

_LOOK_SECONDS = 1.0


class Stopped(Exception):
    """The crew was stopped before this was done; it never leaves the walk."""


class Another(Protocol):
    """Makes a client for one thread: it sleeps by `sleep`, and tells its waits to `on_wait`."""

    def __call__(self, sleep: Callable[[float], None], on_wait: Callable[[Wait], None]) -> Client: ...


class _Nudge(Struct, frozen=True):
    """Something may be ready."""


class Crew:
    """So many threads, while inside. `on_wait` is told of their waits, in the thread that waits for the crew."""

    def __init__(self, size: int, another: Another, on_wait: Callable[[Wait], None] = lambda _: None) -> None:
        self.size = size
        self._another, self._on_wait = another, on_wait
        self._threads = ThreadPoolExecutor(size, "page")
        self._mine = threading.local()
        self._clients = list[Client]()
        self._news = SimpleQueue[Wait | _Nudge]()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, wait until every thread has ended, and close the connections."""
        self.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for client in self._clients:
            client.close()

    @property
    def traffic(self) -> Traffic:
        """What all of them have asked for and received."""
        return sum((client.traffic for client in self._clients), Traffic())

    def stop(self) -> None:
        """Let no request begin from now on."""
        self._stop.set()

    def check(self) -> None:
        """Raise Stopped where the crew was stopped."""
        if self._stop.is_set():
            raise Stopped

    def nudge(self) -> None:
        """Wake up who waits for the crew: something may be ready."""
        self._news.put(_Nudge())

    def begin(self, work: Callable[[Client], T]) -> Future[T]:
        """Have a thread do this, in its turn."""

        def done() -> T:
            self.check()
            return work(self._client())

        future = self._threads.submit(done)
        future.add_done_callback(lambda _: self.nudge())
        return future

    def wait(self, is_ready: Callable[[], object]) -> None:
        """Wait until something is ready; waits of the threads are told meanwhile."""
        while not is_ready():
            try:
                news = self._news.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue
            if isinstance(news, Wait):
                self._on_wait(news)

    def _client(self) -> Client:
        if not hasattr(self._mine, "client"):
            self._mine.client = self._another(self._sleep, self._news.put)
            self._clients.append(self._mine.client)
        client: Client = self._mine.client
        return client

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped
