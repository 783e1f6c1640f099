"""An answer that comes drop by drop for ever is given up; one that is slow, and comes, is not."""

import contextlib
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_assets.errors import TransientFailure
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.steady import Steady
from ingest_assets_tests.loopback import Replying, serving

SECONDS = 0.1
BEGUN = b"HTTP/1.1 200 OK\r\n"
WAYS = {
    "a length": (BEGUN + b"Content-Length: 10000\r\n\r\n", b" "),
    "chunks": (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "one chunk": (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n2710\r\n", b" "),
    "the end of the connection": (BEGUN + b"Connection: close\r\n\r\n", b" "),
    "a head": (BEGUN, b"X-Mark: a\r\n"),
    "one header": (BEGUN + b"X-Mark: ", b"a"),
}


class Handler(Replying):
    """Sends a beginning, and then drop after drop until nobody listens any more, or the test is over."""

    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        begin, drop = self.server.told
        self.wfile.write(begin)
        with contextlib.suppress(OSError):
            while not self.server.over.wait(SECONDS / 10):
                self.wfile.write(drop)
        self.close_connection = True


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    over = threading.Event()
    with serving(Handler, told=request.param, over=over) as server:
        yield server.url
        over.set()


def test_an_answer_that_comes_drop_by_drop_is_given_up_as_a_failure_that_may_pass(url: str) -> None:
    once = RetryPolicy(attempts=1)
    with (
        Client(url, read_timeout_seconds=SECONDS, retry=once) as client,
        pytest.raises(TransientFailure, match=r"the rest did not come in time|no answer within 0.1 s"),
    ):
        client.fetch(PageRequest(url), lambda response: b"".join(response.chunks()))


class Slow(io.BytesIO):
    """A stream of so many bytes, of which each read takes `seconds`; and the clock by which it does."""

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__(b" " * size)
        self.seconds, self.now = seconds, 0.0

    def readinto(self, into: Any) -> int:
        self.now += self.seconds
        return super().readinto(into)

    def clock(self) -> float:
        return self.now


def drops(count: int, size: int, seconds: float, between: float = 0.0) -> int:
    """How many bytes are read of so many pieces of this size, each after so many seconds, where one may take 60.

    Who reads takes so many seconds `between` two of them.
    """
    slow, into, read = Slow(count * size, seconds), bytearray(size), 0
    stream = Steady(slow, 60, slow.clock)
    while got := stream.readinto(into):
        read += got
        slow.now += between
    return read


def test_what_is_slow_and_brings_enough_is_read_to_its_end() -> None:
    assert drops(count=1000, size=1000, seconds=50) == 1_000_000


def test_a_small_answer_may_take_ten_times_as_long_as_its_next_byte() -> None:
    assert drops(count=10, size=1, seconds=59) == 10


def test_who_reads_slowly_is_not_taken_for_who_sends_slowly() -> None:
    assert drops(count=1000, size=10, seconds=0.01, between=1000) == 10_000


def test_a_few_bytes_a_minute_are_too_little() -> None:
    with pytest.raises(TimeoutError):
        drops(count=1000, size=10, seconds=55)


def test_what_came_quickly_before_does_not_make_up_for_drops_after_it() -> None:
    slow = Slow(1_001_000, 601)
    stream = Steady(slow, 60, slow.clock)
    stream.readinto(bytearray(1_000_000))

    with pytest.raises(TimeoutError):
        stream.readinto(bytearray(1))
