"""What one client has asked for, received and waited, and who is told of it."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple

from ingest_assets.http.trace import Asked, Tracer


class Traffic(Struct):
    """What a client has asked for and received so far; `bytes_received` as sent, so compressed."""

    requests: int = 0
    bytes_received: int = 0
    retries: int = 0
    limit_wait_seconds: float = 0.0
    retry_wait_seconds: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Wait(Struct, frozen=True):
    """Told before each wait: for the limit, before the next try, or for a job of the API's."""

    kind: Literal["limit", "retry", "job"]
    seconds: float
    why: str


class Meter:
    """Counts the traffic of one client; `on_wait` is told of every wait, `on_asked` of every request once over."""

    def __init__(self, on_wait: Callable[[Wait], None], on_asked: Callable[[Asked], None]) -> None:
        self.traffic = Traffic()
        self.tracer = Tracer(on_asked, lambda: self.traffic.bytes_received)
        self.on_wait = on_wait

    def received(self, count: int) -> None:
        """So many bytes more of a body have come."""
        self.traffic.bytes_received += count

    def waits_for_limit(self, seconds: float, why: str) -> None:
        """A wait for the rate limit begins."""
        self.traffic.limit_wait_seconds += seconds
        self.tracer.waits(seconds)
        self.on_wait(Wait("limit", seconds, why))

    def waits_for_retry(self, seconds: float, why: str) -> None:
        """A wait before the next try begins."""
        self.traffic.retries += 1
        self.traffic.retry_wait_seconds += seconds
        self.tracer.waits(seconds)
        self.on_wait(Wait("retry", seconds, why))

    def waits_for_job(self, seconds: float, why: str) -> None:
        """A wait before the next look at a job begins; it is no trouble, and is counted nowhere."""
        self.on_wait(Wait("job", seconds, why))
