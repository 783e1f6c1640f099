"""Whether an API is down: seen by one process, known to all, so that nobody spends minutes on what cannot work.

    closed ── so many failures in a row ──► open ── its pause is over ──► half-open: one request goes through
       ▲                                     ▲                                   │
       │                                     └──── it fails: twice the pause ────┤
       └──────────────────────────────────────────────────── it is answered ─────┘

A failure is no connection, no answer in time, or a 5xx, whichever endpoint and process met it; any other answer, also
a 4xx, shows that the API is there. While open, requests fail at once. No file: closed, and no failure since. Who tries
is written down with its process: one that was killed is forgotten, and the next may try.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict, replace
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.durations import Duration, clock, spoken
from ingest_assets.errors import NotBefore
from ingest_assets.http.processes import is_alive, this_process
from ingest_assets.locks import held

_LOCK_SECONDS = 60.0
_LOOK_SECONDS = 0.05
# Longer than a request takes to be answered or to fail: who has not told by then is as good as dead.
_LOST_SECONDS = 600.0
_MOST_WHY = 200

Tell = Callable[[str | None], None]
"""Told what came of a request: why it failed, or None for an answer."""


class BreakerSettings(BaseModel):
    """When an API counts as down, and for how long it is left alone then."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    failures: int = Field(
        15, ge=1, description="so many failures in a row, of all endpoints and processes: no connection, no answer, 5xx"
    )
    lasting: Duration = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="and for so long at least: of many requests at once all fail in a hiccup, which retries ride out",
    )
    pause: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(0),
        description="how long nothing is asked then; twice as long each time that it is still down",
    )
    longest_pause: Duration = Field(timedelta(minutes=15), gt=timedelta(0), description="the longest such pause")

    @model_validator(mode="after")
    def _grows(self) -> "BreakerSettings":
        if self.pause > self.longest_pause:
            raise ValueError(
                f"pause is {spoken(self.pause.total_seconds())}, and longest_pause "
                f"{spoken(self.longest_pause.total_seconds())}: expected a longest pause that is not shorter"
            )
        return self


class Down(Struct, frozen=True):
    """What is known of an API that fails; times are Unix seconds.

    `failures` in a row since `since`, the last of them for `why`. `until` is when it may be tried again, 0 while it is
    not open. `process` tries it since `tried`.
    """

    failures: int
    since: float
    why: str
    pause: float = 0.0
    until: float = 0.0
    process: str = ""
    tried: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it counts as down, be it tried again or not."""
        return self.until > 0

    def told(self, now: float) -> str:
        """Since when it is down, why, and until when it is left alone.

        >>> Down(15, 1767225600.0, "HTTP 503", 30.0, until=1767225690.0).told(1767225690.0)
        'down since 2026-01-01 00:00:00 UTC: 15 requests in a row failed, the last: HTTP 503; the next request tries it'
        """
        since, until = (clock(datetime.fromtimestamp(moment, UTC)) for moment in (self.since, self.until))
        left = self.until - now
        waits = f"nothing is asked until {until} ({spoken(left)})" if left > 0 else "the next request tries it"
        return f"down since {since}: {self.failures} requests in a row failed, the last: {self.why}; {waits}"


class Breaker:
    """Guards the requests of a source to one origin. `now` is the time of day, the same for all processes."""

    def __init__(
        self,
        folder: Path,
        source: str,
        origin: str,
        settings: BreakerSettings | None = None,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings, self.origin = settings or BreakerSettings(), origin
        key = hashlib.sha256(f"{source} {origin}".encode()).hexdigest()[:32]
        self._file, self._lock = folder / f"{key}.breaker.json", folder / f"{key}.breaker.lock"
        self._now, self._sleep = now, sleep

    def state(self) -> Down | None:
        """What is known; None where nothing has failed since the last answer."""
        if not self._is_noted():
            return None
        try:
            return Down(**json.loads(self._file.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # what a power cut tore is found out anew

    def check(self) -> None:
        """Raise NotBefore where the API is down and its pause not over."""
        down = self.state()
        if down is not None and self._is_shut(down):
            raise self._refusal(down)

    @contextlib.contextmanager
    def request(self) -> Iterator[Tell]:
        """Make a request inside, and tell what is given what came of it.

        Where the pause of an API that was down is over, one request goes through, and others wait for what comes of it.
        Raises NotBefore where the API is (still) down. A request of which nothing is told, such as one that could not
        be sent, says nothing of the API: the next one may try it.
        """
        tries, told = self._enter(), list[str | None]()
        try:
            yield told.append
        finally:
            if told and told[0] is None:
                self._close()
            elif told:
                why = str(told[0])[:_MOST_WHY]
                self._change(lambda down: self._failed(down, why, tries=tries))
            elif tries:
                self._change(lambda down: down and replace(down, process=""))

    def _enter(self) -> bool:
        """Whether this request tries an API that was down."""
        while (down := self.state()) is not None and down.is_open:
            with self._locked():
                down = self.state()
                if down is None or not down.is_open:
                    return False
                if self._is_shut(down):
                    raise self._refusal(down)
                if not self._is_tried(down):
                    self._write(replace(down, process=this_process(), tried=self._now()))
                    return True
            self._sleep(_LOOK_SECONDS)
        return False

    def _close(self) -> None:
        if self._is_noted():
            self._change(lambda _down: None)

    def _is_noted(self) -> bool:
        return os.access(self._file, os.F_OK)  # thrice a request: `exists` meets its no by way of an exception

    def _failed(self, down: Down | None, why: str, *, tries: bool) -> Down:
        """What is known after one more failure."""
        now = self._now()
        down = down or Down(0, now, why)
        found = replace(down, failures=down.failures + 1, why=why)
        longest = self.settings.longest_pause.total_seconds()
        if tries:
            pause = min(down.pause * 2 or self.settings.pause.total_seconds(), longest)
            return replace(found, pause=pause, until=now + pause, process="")
        lasts = now - found.since >= self.settings.lasting.total_seconds()
        if down.is_open or found.failures < self.settings.failures or not lasts:
            return found  # what was on its way when it opened makes no pause longer
        pause = min(self.settings.pause.total_seconds(), longest)
        return replace(found, pause=pause, until=now + pause)

    def _is_shut(self, down: Down) -> bool:
        # A clock that was put back must not leave it open for ever.
        return down.is_open and 0 < down.until - self._now() <= self.settings.longest_pause.total_seconds()

    def _is_tried(self, down: Down) -> bool:
        """Whether somebody who lives is trying it."""
        is_late = not 0 <= self._now() - down.tried <= _LOST_SECONDS
        return bool(down.process) and not is_late and is_alive(down.process)

    def _refusal(self, down: Down) -> NotBefore:
        now, until = self._now(), datetime.fromtimestamp(down.until, UTC)
        return NotBefore(f"{self.origin} is {down.told(now)}", until, down.until - now, everywhere=True)

    def _change(self, changed: Callable[[Down | None], Down | None]) -> None:
        with self._locked():
            new = changed(self.state())
            if new is None:
                self._file.unlink(missing_ok=True)
            else:
                self._write(new)

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return held(self._lock, "noting whether an API is down", _LOCK_SECONDS)

    def _write(self, down: Down) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(asdict(down)))
        new.replace(self._file)
