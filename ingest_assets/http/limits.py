"""At most N requests in any window, counted by whoever counts them, over all processes and threads of the user.

A request reaches the server some time between its grant and its answer, so a grant holds its slot from the
grant until a window after the *answer's head*:

    grant ├── in flight ──┤ answer ├──────── window ────────┤ free again
                  ↑ somewhere here the server counts it

Whenever a request is granted, then, fewer than N others can be counted in the window that ends with it: whatever the
server's moment, no window of the stated length holds more than N, neither of grants nor of what it counts. No client
can promise that and go faster: had a slot come free earlier, the server might have counted its request with its
answer, and the new one at once. So N slots give N / (window + time to answer) requests a second at most.

Of a request that nobody waits for any more, because its time was up or its process was killed, it is taken that the
server has counted it when that is seen. One that does so later, with nobody to answer, can't be known of.

Who waits stands in a queue, and goes in the order of asking; a slot is kept for each, and nobody else takes it.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest_assets.durations import clock as shown
from ingest_assets.durations import spoken
from ingest_assets.errors import NotBefore
from ingest_assets.http import slots
from ingest_assets.http.allowances import allowances, of_body
from ingest_assets.http.bounds import MARGIN_SECONDS, Flights, Window, bound
from ingest_assets.http.rates import Allowed
from ingest_assets.http.slots import Ask, Slots

# Others may push back meanwhile, or end: look again at least so often.
_LOOK_SECONDS = 30.0


class Grant:
    """A request that was granted."""

    def __init__(self, limiter: "Limiter", number: int | None) -> None:
        self._limiter, self._number = limiter, number
        self._points: int | None = None

    def answered(self, headers: Mapping[str, str] | None = None, seconds: float | None = None) -> str | None:
        """The head of the answer is here: the server has counted the request by now.

        The names of `headers` are in small letters; `seconds` is how long a good answer took. Gives what is left of
        the API's scarcest allowance, where the limiter learns and the answer tells.
        """
        if self._number is None:
            return None
        needed, left = self._limiter.answered(self._number, headers or {}, seconds)
        self._number = self._number if needed else None
        return left

    def read(self, envelope: Any, points: int | None = None) -> None:
        """What the body tells: what is left, and how many points the request counted."""
        self._points = points
        self._limiter.read(envelope)

    def give_back(self) -> None:
        """The request was not made after all: it does not count."""
        self._over(made=False)

    def over(self) -> None:
        """The answer was received, or none came."""
        self._over(made=True)

    def _over(self, *, made: bool) -> None:
        number, self._number = self._number, None
        if number is not None:
            self._limiter.over(number, made=made, points=self._points)


class Limiter:
    """Grants requests of one key: an origin and a credential, and a bucket where an API counts apart.

    `limits` may be empty: then only `push_back` holds requests back, and what is learned. Each request counts as so
    many `points`; where only the body tells how many (`corrected`), it is counted once that was read, and the next
    one for as many. What answers say is left is learned where it `learns`, by `endpoint`, since an API may count
    these apart.
    `share` uses at most that part of each limit, where others use the same credential elsewhere. `max_wait_seconds`
    is the longest that a request waits for its grant. Of those that wait the highest `priority` goes first; how long
    others wait for it counts for nothing. `clock` is the same for all processes (monotonic since the machine started),
    `wall` bridges a restart of the machine.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        limits: Sequence[Allowed] = (),
        *,
        points: int = 1,
        priority: int = 0,
        corrected: bool = False,
        endpoint: str = "",
        learns: bool = False,
        share: float = 1.0,
        max_wait_seconds: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share is a part of each limit, above 0 and at most 1, not {share}")
        self.max_wait_seconds = max_wait_seconds
        self._file = folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + ".slots")
        self._bounds = [bound(limit, share) for limit in limits]
        self._window = max((one.window for one in self._bounds if isinstance(one, Window)), default=0.0)
        self._flights = any(isinstance(one, Flights) for one in self._bounds)
        self._points, self._corrected = points, corrected
        self._endpoint, self._learns = endpoint, learns
        self._priority = priority
        self._clock, self._wall, self._sleep = clock, wall, sleep
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def granted(self, on_wait: Callable[[float, str], None] = lambda _seconds, _why: None) -> Iterator[Grant]:
        """Wait for a slot, and hold it while inside, which is to last until the answer was received.

        `on_wait` is told the seconds before each wait, and what for. Raises NotBefore, with the time that the
        API's limit asks for, where the whole wait would be longer than `max_wait_seconds`.
        """
        grant = Grant(self, self._wait_for_grant(on_wait))
        try:
            yield grant
        finally:
            grant.over()

    def ahead(self) -> float:
        """How many seconds a request would wait for its grant, as things stand."""
        with self._slots(changes=False) as here:
            seconds, _ = self._turn(here, here.add(None, self._points))
        return max(0.0, seconds)

    def push_back(self, seconds: float) -> None:
        """Let no process have a grant for so many seconds, as a 429 or a Retry-After asks."""
        with self._slots() as here:
            here.state.held_back_until = max(here.state.held_back_until, here.now + seconds)

    def answered(self, number: int, headers: Mapping[str, str], seconds: float | None) -> tuple[bool, str | None]:
        """Count a request from now on for a window, and learn from its answer.

        Gives whether the limiter is to be told when the request is over, and what is left.
        """
        found = allowances(headers, datetime.fromtimestamp(self._wall(), UTC)) if self._learns else []
        needed = self._flights or self._corrected
        with self._slots() as here:
            ask = here.find(number)
            if ask is not None and not self._corrected:
                here.end(ask)
            if ask is not None and not needed:
                here.remove(ask)
            if not self._learns:
                return needed, None
            here.pace.answered(self._endpoint, found, here.now, here.flying, seconds)
            return needed, here.pace.shown(self._endpoint, here.now)

    def read(self, envelope: Any) -> None:
        """Learn from a body without its records."""
        found = of_body(envelope, datetime.now(UTC)) if self._learns else []
        if found:
            with self._slots() as here:
                here.pace.told(self._endpoint, found, here.now, here.flying)

    def over(self, number: int, *, made: bool, points: int | None = None) -> None:
        """A request needs its slot no longer; unless it was `made`, it does not count either."""
        with self._slots() as here:
            if points is not None:
                here.pace.costs[self._endpoint] = points
            ask = here.find(number)
            if ask is not None:
                ask.points = ask.points if points is None else points
                if made:
                    here.end(ask)
                here.remove(ask)

    def _wait_for_grant(self, on_wait: Callable[[float, str], None]) -> int | None:
        waited, number = 0.0, None
        with contextlib.ExitStack() as leaving:
            while True:
                with self._slots() as here:
                    ask = here.find(number) or here.add(number, self._cost(here), self._priority)
                    seconds, why = self._turn(here, ask)
                    step = min(seconds + MARGIN_SECONDS, _LOOK_SECONDS)
                    if seconds <= 0:
                        leaving.pop_all()
                        return self._grant(here, ask)
                    ask.looks = here.now + step
                    if number is None:
                        leaving.callback(self.over, ask.number, made=False)
                    number = ask.number
                    yields = any(one.priority > ask.priority for one in here.state.asks)
                if waited + seconds > self.max_wait_seconds:
                    until = datetime.fromtimestamp(self._wall() + seconds, UTC)
                    told = f"waits until {shown(until)}, longer than the {spoken(self.max_wait_seconds)} allowed"
                    raise NotBefore(f"{why}: {told}", until, waited + seconds)
                on_wait(step, why)
                self._sleep(step)
                waited += 0.0 if yields else step

    def _turn(self, here: Slots, ask: Ask) -> tuple[float, str]:
        """How many seconds until a request may be granted, as things stand, and what for."""
        seconds, why = self._wait(here, ask)
        return self._wait(here, ask) if seconds > 0 and here.bury() else (seconds, why)

    def _wait(self, here: Slots, ask: Ask) -> tuple[float, str]:
        waits = [(here.state.held_back_until - here.now, "held back by the API")]
        if self._learns:
            learned = here.pace.wait(self._endpoint, here.now, here.flying)
            left = self.max_wait_seconds - (here.now - ask.asked)
            waits.append((min(learned.seconds, left) if learned.spread else learned.seconds, learned.why))
            ask.queued = learned.seconds <= 0  # others use another allowance, and need not wait behind it
        return max(waits + [(one.wait(here, ask), str(one)) for one in self._bounds])

    def _cost(self, here: Slots) -> int:
        return here.pace.costs.get(self._endpoint, self._points) if self._corrected else self._points

    def _grant(self, here: Slots, ask: Ask) -> int | None:
        if not self._bounds and not self._learns:
            here.remove(ask)
            return None
        ask.granted = here.now
        if self._learns:
            here.pace.granted(self._endpoint, here.now)
        return ask.number

    def _slots(self, *, changes: bool = True) -> contextlib.AbstractContextManager[Slots]:
        return slots.opened(self._file, self._window, self._clock, self._wall, changes=changes)
