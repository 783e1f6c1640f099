"""At most N requests in any window, counted by whoever counts them, over all processes of the user.

A request reaches the server some time between its grant and its response, so a grant holds its slot from the
grant until a window after the *response*:

    grant ├── in flight ──┤ response ├──────── window ────────┤ free again
                  ↑ somewhere here the server counts it

Whenever a request is granted, then, fewer than N others can be counted in the window that ends with it. The
log of grants is a file a key, which all processes read and replace under a lock.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ingest_assets.durations import Duration
from ingest_assets.errors import TransientFailure
from ingest_assets.locks import held

# No request is in flight for longer: its connect and read timeouts are far shorter, also with redirects.
_LOST_SECONDS = 3600.0
# A sleep may end a little early, and the next look would find the slot not quite free.
_MARGIN_SECONDS = 0.001
# Others may push back meanwhile, or end: look again at least so often.
_LOOK_SECONDS = 30.0
_LOCK_SECONDS = 60.0


class RateLimit(BaseModel):
    """At most so many requests in any window of this length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(gt=0, description="how many requests the API allows in a window")
    per: Duration = Field(gt=timedelta(0), description="the window's length, as an ISO 8601 duration such as PT1M")


@dataclass
class _Grant:
    """One granted request. `ended` is when its response came, None while it is in flight."""

    number: int
    process: str
    granted: float
    ended: float | None = None


@dataclass
class _Log:
    """What all processes know of one key. `monotonic` and `wall` are both clocks when it was written."""

    monotonic: float
    wall: float
    grants: list[_Grant] = field(default_factory=list)
    next_number: int = 0
    keep_seconds: float = 0.0
    held_back_until: float = -math.inf


class Limiter:
    """Grants requests of one key: an origin and a credential, and a bucket where an API counts apart.

    `limits` may be empty: then only `push_back` holds requests back. `share` uses at most that part of each
    limit, where others use the same credential elsewhere. `max_wait_seconds` is the longest that a request
    waits for its grant. `clock` is the same for all processes (monotonic
    since the machine started), `wall` bridges a restart of the machine.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        limits: Sequence[RateLimit] = (),
        *,
        share: float = 1.0,
        max_wait_seconds: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share is a part of each limit, above 0 and at most 1, not {share}")
        self.max_wait_seconds = max_wait_seconds
        self._file = folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + ".json")
        self._limits = [(max(1, math.floor(limit.requests * share)), limit.per.total_seconds()) for limit in limits]
        self._window = max((window for _, window in self._limits), default=0.0)
        self._clock, self._wall, self._sleep = clock, wall, sleep
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def granted(
        self, on_wait: Callable[[float, str], None] = lambda _seconds, _why: None
    ) -> Iterator[Callable[[], None]]:
        """Wait for a slot, and hold it while inside, which is to last until the response has come.

        What is given inside gives the slot back, for a request that was not made after all. `on_wait` is told the
        seconds before each wait, and what for. Raises TransientFailure, with the seconds that the API's limit asks
        for, where the whole wait would be longer than `max_wait_seconds`.
        """
        number = self._wait_for_grant(on_wait)
        try:
            yield lambda: self._forget(number)
        finally:
            if number is not None:
                self._end(number)

    def push_back(self, seconds: float) -> None:
        """Let no process have a grant for so many seconds, as a 429 or a Retry-After asks."""
        with self._log() as log:
            log.held_back_until = max(log.held_back_until, self._clock() + seconds)

    def _wait_for_grant(self, on_wait: Callable[[float, str], None]) -> int | None:
        waited = 0.0
        while True:
            with self._log() as log:
                seconds, why = self._wait(log)
                if seconds <= 0:
                    return self._grant(log)
            if waited + seconds > self.max_wait_seconds:
                raise TransientFailure(
                    f"{why}: the next request may go in {seconds:.0f} s, longer than the {self.max_wait_seconds:.0f} s "
                    "allowed. Run again later",
                    wait_seconds=waited + seconds,
                )
            step = min(seconds + _MARGIN_SECONDS, _LOOK_SECONDS)
            on_wait(step, why)
            self._sleep(step)
            waited += step

    def _wait(self, log: _Log) -> tuple[float, str]:
        """How many seconds until a request may be granted, as things stand, and what for."""
        now = self._clock()
        waits = [(log.held_back_until - now, "held back by the API")]
        for most, window in self._limits:
            # What is in flight now comes free a window from now at the earliest.
            free = sorted((now if grant.ended is None else grant.ended) + window for grant in log.grants)
            occupied = [moment for moment in free if moment >= now]
            if len(occupied) >= most:
                # Equal is not yet free, for then the server might count both at the window's two ends.
                wait = max(occupied[len(occupied) - most] - now, _MARGIN_SECONDS)
                waits.append((wait, f"limit of {most} requests in {window:g} s"))
        return max(waits)

    def _grant(self, log: _Log) -> int | None:
        if not self._limits:
            return None
        log.grants.append(_Grant(log.next_number, _this_process(), self._clock()))
        log.next_number += 1
        return log.next_number - 1

    def _end(self, number: int) -> None:
        with self._log() as log:
            for grant in log.grants:
                if grant.number == number and grant.ended is None:
                    grant.ended = self._clock()

    def _forget(self, number: int | None) -> None:
        with self._log() as log:
            log.grants = [grant for grant in log.grants if grant.number != number]

    @contextlib.contextmanager
    def _log(self) -> Iterator[_Log]:
        """The log, for this process alone, and written when left."""
        with held(self._file.with_suffix(".lock"), "granting requests", _LOCK_SECONDS):
            log = self._read()
            log.keep_seconds = max(log.keep_seconds, self._window)
            self._tidy(log)
            yield log
            self._write(log)

    def _read(self) -> _Log:
        now, wall = self._clock(), self._wall()
        try:
            told = json.loads(self._file.read_bytes())
            log = _Log(**{**told, "grants": [_Grant(*grant) for grant in told["grants"]]})
        except FileNotFoundError:
            return _Log(now, wall)
        except (ValueError, TypeError, KeyError):
            # A power cut can tear it. Nothing is known of what was granted, so a window passes without any.
            return _Log(now, wall, held_back_until=now + self._window)
        if log.monotonic > now:
            _shift(log, now - max(0.0, wall - log.wall) - log.monotonic)
        return log

    def _tidy(self, log: _Log) -> None:
        """End what is lost, and forget what no window reaches."""
        now = self._clock()
        for grant in log.grants:
            if grant.ended is None and (now - grant.granted > _LOST_SECONDS or not _alive(grant.process)):
                grant.ended = now
        log.grants = [grant for grant in log.grants if grant.ended is None or grant.ended + log.keep_seconds >= now]

    def _write(self, log: _Log) -> None:
        log.monotonic, log.wall = self._clock(), self._wall()
        told = {**vars(log), "grants": [[g.number, g.process, g.granted, g.ended] for g in log.grants]}
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.replace(self._file)


def _shift(log: _Log, seconds: float) -> None:
    """Put every time on the clock of a machine that was started again."""
    log.held_back_until += seconds
    for grant in log.grants:
        grant.granted += seconds
        grant.ended = None if grant.ended is None else grant.ended + seconds


def _started(pid: int) -> str:
    """When a process began, where the system tells: with it, a number that is used again is not mistaken."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _this_process() -> str:
    return _name_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _name_of(pid: int) -> str:
    return f"{pid}:{_started(pid)}"


def _alive(process: str) -> bool:
    if process == _this_process():
        return True
    pid, _, started = process.partition(":")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _started(int(pid)) == started
