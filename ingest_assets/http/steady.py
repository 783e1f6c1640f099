"""What comes of an answer, given up where it comes drop by drop: each byte begins the wait for the next one anew.

A server, or a proxy before it, that sends one byte a minute would hold a run for ever, and no timeout of a socket ends
that. In ten times as long as is waited for one byte, 10,000 bytes have to come, or the end.
"""

import io
import time
from collections.abc import Callable
from typing import Any

_TIMES = 10
_LEAST_BYTES = 10_000


class Steady(io.RawIOBase):
    """Reads from a stream of a socket; TimeoutError where too little came in ten times these seconds.

    Seconds count that were waited: who reads may take as long as they want between two reads.
    """

    def __init__(self, stream: Any, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._stream, self._span, self._clock = stream, _TIMES * seconds, clock
        self._waited, self._bytes = 0.0, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, into: Any) -> int | None:
        """As the stream does."""
        began = self._clock()
        count: int | None = self._stream.readinto(into)
        self._waited += self._clock() - began
        self._bytes += count or 0
        if self._waited > self._span:
            if count and self._bytes < _LEAST_BYTES:
                raise TimeoutError("the answer comes drop by drop")
            self._waited, self._bytes = 0.0, 0
        return count

    def close(self) -> None:
        """Close the stream, too."""
        self._stream.close()
        super().close()
