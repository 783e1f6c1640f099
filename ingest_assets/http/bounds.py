"""When a request may go under one limit, by what is in flight, what was counted, and who asked before it."""

import math
from typing import Literal

from msgspec import Struct

from ingest_assets.http.rates import Allowed, FlightLimit, RateLimit
from ingest_assets.http.slots import Ask, Slots

# A sleep may end a little early, and the next look would find the slot not quite free.
MARGIN_SECONDS = 0.001
# Nobody tells when a request is over, so who waits for that looks again after a part of its wait so far.
_FIRST_LOOK_SECONDS = 0.005
_LAST_LOOK_SECONDS = 0.25
_PART_OF_WAIT = 8


class Window(Struct, frozen=True):
    """At most so many requests or points in any window of so many seconds."""

    most: int
    window: float
    unit: Literal["requests", "points"] = "requests"

    def __str__(self) -> str:
        return f"limit of {self.most} {self.unit} in {self.window:g} s"

    def wait(self, slots: Slots, ask: Ask) -> float:
        """The seconds until this request may go, or until that can be told; none where it may go now."""
        left = self.most - sum(min(self.most, one.weight(self.unit)) for one in (ask, *_before(slots, ask)))
        if left < 0:  # what is in flight or waits before it comes free a window from now at the earliest
            return math.ceil(-left / self.most) * self.window
        last = slots.ended_beyond(self.unit, left)
        # Equal is not yet free, for then the server might count both at the window's two ends.
        if last is None or last + self.window < slots.now:
            return 0.0
        return max(last + self.window - slots.now, MARGIN_SECONDS)


class Flights(Struct, frozen=True):
    """At most so many requests at once, until their answers were received."""

    most: int

    def __str__(self) -> str:
        return f"limit of {self.most} in flight"

    def wait(self, slots: Slots, ask: Ask) -> float:
        """The seconds until a look whether there is a place by then; none where there is one now."""
        answered = sum(one.ended is not None for one in slots.state.asks)
        if len(_before(slots, ask)) + answered < self.most:
            return 0.0
        return min(max((slots.now - ask.asked) / _PART_OF_WAIT, _FIRST_LOOK_SECONDS), _LAST_LOOK_SECONDS)


def bound(limit: Allowed, share: float) -> Window | Flights:
    """A limit of a source file, of which at most this part is used."""
    if isinstance(limit, FlightLimit):
        return Flights(_part(limit.in_flight, share))
    if isinstance(limit, RateLimit):
        return Window(_part(limit.requests, share), limit.per.total_seconds())
    return Window(_part(limit.points, share), limit.per.total_seconds(), "points")


def _part(most: int, share: float) -> int:
    return max(1, math.floor(most * share))


def _before(slots: Slots, ask: Ask) -> list[Ask]:
    """Those that are in flight, and those that wait and go before it."""
    return [
        one
        for one in slots.state.asks
        if one is not ask and one.ended is None and (one.granted is not None or (one.queued and one.goes_before(ask)))
    ]
