"""How fast to ask by what answers told: what is left is spread over the time that is left, before it is gone.

    left   all ──────────── a quarter ──────────────── nothing
           no wait          spread, and ever slower    a wait, until there is more

And of an API whose answers take longer than usual fewer requests are under way at once, in the end one. All of this
adds waits to those of the source file, and takes none away. What was learned lies in the file of the limit, for all
processes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import astuple

from ingest_assets.http.allowances import OF_BODY, Allowance

# Above this part of the limit a walk goes as fast as its file allows.
_EASY = 0.25
# Where nothing tells when there will be more, a walk goes on at least this slowly.
_SLOWEST_SECONDS = 30.0
_LONGEST_SECONDS = 86_400.0
# Of what rolls for longer, a little comes back all the time.
_ROLLS_SECONDS = 60.0
_MOST_NAMES = 20
# Answers: so many tell what is usual, and it is slow that takes twice as long, and at least so much longer.
_USUAL_AFTER, _SLOWER, _SLOWER_SECONDS = 5, 2.0, 0.25
_LONGEST_SLOW_SECONDS = 10.0
# More would cost answers of a server that is well and has a queue; this empties it.
_ASKED_SLOWER = 1.2
_STALE_SECONDS = 60.0
_NEWEST_PART, _USUAL_GROWS = 0.3, 1.02


class Wait(Struct, frozen=True):
    """A wait, and what for; one that is `spread` may be cut short, since something is left."""

    seconds: float
    why: str = ""
    spread: bool = True


class _Left(Struct):
    """What is left of an allowance. All times are moments of the file's clock; `last` is that of the last grant."""

    name: str
    left: float
    limit: float
    cost: float
    seen: float
    last: float
    until: float | None
    refills: float | None
    rolls: float | None
    closed: float

    def at(self, now: float) -> float:
        """What is left at a moment."""
        return min(self.limit, self.left + (self.refills or 0.0) * (now - self.seen))

    def is_over(self, now: float) -> bool:
        """Whether nothing is known of it any more."""
        ends = self.until if self.until is not None else self.seen + (self.rolls or _LONGEST_SECONDS)
        return max(ends, self.closed) <= now

    def wait(self, now: float) -> Wait:
        """How long a request has to wait for it."""
        left = self.at(now)
        why = f"{max(0, int(left))} of {int(self.limit)} left ({self.name})"
        if self.is_over(now):
            return Wait(0.0)
        if self.closed > now:
            return Wait(min(self.closed - now, _LONGEST_SECONDS), why, spread=False)
        if self.cost > 0 and left < min(self.cost, self.limit):
            return self._exhausted(left, now, why)
        if left >= _EASY * self.limit:
            return Wait(0.0)
        return Wait(self.last + self._interval(left, now) - now, why)

    def _exhausted(self, left: float, now: float, why: str) -> Wait:
        if self.until is not None:
            return Wait(min(self.until - now, _LONGEST_SECONDS), why, spread=False)
        if self.refills:
            return Wait((min(self.cost, self.limit) - left) / self.refills, why, spread=False)
        if self.rolls is not None and self.rolls <= _ROLLS_SECONDS:
            return Wait(self.seen + self.rolls - now, why, spread=False)
        return Wait(self.last + _SLOWEST_SECONDS - now, why)

    def _interval(self, left: float, now: float) -> float:
        """The seconds from one request to the next: few where much of the last quarter is left, and ever more."""
        scarce = 1 - max(0.0, left) / (_EASY * self.limit)
        if self.cost == 0:
            return float(_SLOWEST_SECONDS * scarce**2)
        if self.until is not None:
            return (self.until - now) * self.cost / left * scarce
        fills = self.refills or self.limit / (self.rolls or _LONGEST_SECONDS)
        return float(min(self.cost / fills * (_EASY * self.limit / left), _SLOWEST_SECONDS))


class Pace(Struct):
    """What was learned of one origin and credential: allowances by name, and by endpoint which of them it uses.

    `took` has for each endpoint how long its answers take usually and lately, how many there were, and when the last
    answer and the last grant were; `costs` how many points its last answer said.
    """

    left: dict[str, list[Any]] = field(default_factory=dict)
    uses: dict[str, list[str]] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)

    def wait(self, endpoint: str, now: float, flying: int) -> Wait:
        """The wait of a request that might go beside so many others: the longest that something asks for."""
        waits = [one.wait(now) for one in self._of(endpoint)]
        return max([*waits, self._slow(endpoint, now, flying)], key=lambda wait: wait.seconds)

    def granted(self, endpoint: str, now: float) -> None:
        """A request goes, and takes its part."""
        for one in self._of(endpoint):
            one.left, one.last = one.at(now) - one.cost, now
            one.seen = now if one.refills else one.seen
            self._keep(one)
        if endpoint in self.took:
            self.took[endpoint][4] = now

    def told(self, endpoint: str, found: Iterable[Allowance], now: float, flying: int) -> None:
        """What an answer said is left, while so many others are under way that it may not have counted."""
        for one in found:
            before = _Left(*self.left[one.name]) if one.name in self.left else None
            left = one.left - one.cost * flying
            most = one.limit or max(one.left, before.limit if before else 0.0, 1.0)
            until = None if one.resets is None else now + one.resets
            last = before.last if before else now
            self._keep(
                _Left(one.name, left, most, one.cost, now, last, until, one.refills, one.rolls, now + one.closed)
            )
            self.uses[endpoint] = [*dict.fromkeys([*self.uses.get(endpoint, []), one.name])]
        self._forget(now)

    def answered(
        self, endpoint: str, found: Sequence[Allowance], now: float, flying: int, seconds: float | None
    ) -> None:
        """What the headers of an answer say, and the seconds that it took where it was good.

        A good answer names all that its endpoint uses, but for what a body may say.
        """
        if found or seconds is not None:
            self.uses[endpoint] = [name for name in self.uses.get(endpoint, []) if name == OF_BODY]
        self.told(endpoint, found, now, flying)
        if seconds is not None:
            self._took(endpoint, seconds, now)

    def _took(self, endpoint: str, seconds: float, now: float) -> None:
        usual, lately, count, at, last = self.took.get(endpoint, [seconds, seconds, 0, now, now])
        if now - at > _STALE_SECONDS:
            lately = seconds
        lately += _NEWEST_PART * (seconds - lately)
        self.took[endpoint] = [min(usual * _USUAL_GROWS, seconds), lately, count + 1, now, last]

    def shown(self, endpoint: str, now: float) -> str | None:
        """What is left of the scarcest, for people."""
        known = [one for one in self._of(endpoint) if not one.is_over(now)]
        scarcest = min(known, key=lambda one: one.at(now) / one.limit, default=None)
        if scarcest is None:
            return None
        return f"{max(0, int(scarcest.at(now)))} of {int(scarcest.limit)} ({scarcest.name})"

    def _slow(self, endpoint: str, now: float, flying: int) -> Wait:
        """A wait that lets fewer be under way at once, and at least one: what they get through a second stays.

        So many that take so long are so many answers a second (Little's law); to ask somewhat more slowly than that
        empties the server's queue, if the time is spent there.
        """
        usual, lately, count, at, last = self.took.get(endpoint, [0.0, 0.0, 0, now, now])
        is_slow = lately > max(_SLOWER * usual, usual + _SLOWER_SECONDS)
        if count < _USUAL_AFTER or now - at > _STALE_SECONDS or not is_slow:
            return Wait(0.0)
        interval = min(_ASKED_SLOWER * lately / (flying + 1), lately, _LONGEST_SLOW_SECONDS)
        return Wait(last + interval - now, f"answers take {lately:.1f} s, usually {usual:.1f} s")

    def _of(self, endpoint: str) -> list[_Left]:
        return [_Left(*self.left[name]) for name in self.uses.get(endpoint, []) if name in self.left]

    def _keep(self, one: _Left) -> None:
        self.left[one.name] = list(astuple(one))

    def _forget(self, now: float) -> None:
        known = sorted((_Left(*each) for each in self.left.values()), key=lambda one: -one.seen)
        self.left = {one.name: self.left[one.name] for one in known[:_MOST_NAMES] if not one.is_over(now)}
