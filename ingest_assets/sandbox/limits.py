"""The limits of the sandbox as sliding windows, and how close to them its callers came."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest_assets.sandbox.answers import Room


@dataclass
class Bucket:
    """One limit: at most `limit` granted requests in any `window` of seconds.

    `worst` is the greatest number that arrived in any such window, those included that were refused.
    """

    limit: int
    window: float
    granted: deque[float] = field(default_factory=deque)
    arrived: deque[float] = field(default_factory=deque)
    requests: int = 0
    worst: int = 0
    refused: int = 0

    def arrive(self, now: float) -> None:
        """Counts a request, whatever becomes of it."""
        _forget(self.arrived, now - self.window)
        _forget(self.granted, now - self.window)
        self.arrived.append(now)
        self.requests += 1
        self.worst = max(self.worst, len(self.arrived))

    def wait(self, now: float) -> float:
        """The seconds until a request would be granted, 0 where it is now."""
        if len(self.granted) < self.limit:
            return 0.0
        return self.granted[-self.limit] + self.window - now

    def room(self, now: float) -> Room:
        """What is left."""
        reset = self.granted[0] + self.window - now if self.granted else 0.0
        return Room(self.limit, self.limit - len(self.granted), reset)


def _forget(times: deque[float], until: float) -> None:
    while times and times[0] <= until:
        times.popleft()


@dataclass(frozen=True)
class Refusal:
    """The limit that is full, and the seconds until it is not."""

    bucket: str
    wait_seconds: float


class Limits:
    """All limits of a server; `factor` multiplies how many requests each allows, never its window."""

    def __init__(
        self,
        limits: Mapping[str, tuple[int, float]],
        factor: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._buckets = {name: Bucket(max(1, int(limit * factor)), window) for name, (limit, window) in limits.items()}

    def take(self, names: Iterable[str]) -> Mapping[str, Room] | Refusal:
        """A place in each of these limits and what is left of them, or the one that is full: then none is taken."""
        now = self._clock()
        buckets = {name: self._buckets[name] for name in names}
        for bucket in buckets.values():
            bucket.arrive(now)
        waits = {name: bucket.wait(now) for name, bucket in buckets.items()}
        full = max(waits, key=waits.__getitem__, default=None)
        if full is not None and waits[full] > 0:
            buckets[full].refused += 1
            return Refusal(full, waits[full])
        for bucket in buckets.values():
            bucket.granted.append(now)
        return {name: bucket.room(now) for name, bucket in buckets.items()}

    def told(self) -> list[dict[str, Any]]:
        """Each limit with the worst window that was seen and the number of requests that it refused."""
        return [
            {
                "bucket": name,
                "limit": bucket.limit,
                "window_seconds": bucket.window,
                "requests": bucket.requests,
                "worst": bucket.worst,
                "refused": bucket.refused,
            }
            for name, bucket in self._buckets.items()
        ]
