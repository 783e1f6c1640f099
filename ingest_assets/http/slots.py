"""The file that all processes share about one limit: who waits, who is in flight, and what counts by now.

    0          128 KB     256 KB          352 KB          448 KB
    │ state    │ state    │ log           │ log           │
      by turns   by turns   one is in use, and moves into the other when it is full

It is written in place, since to replace a file takes forty times as long. What is new goes where nothing refers to
yet, and the state that refers to it last, with a checksum: of a process killed on the way, the state before it holds.
The log has a record for each request that was counted: when it ended, and how many requests and points there were so
far. So what a window holds is the difference of two sums, found by bisection, and a record can be left out: its
request is then counted with the next one, later than it was, and never comes free too early.
"""

import bisect
import contextlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from ingest_assets.errors import Locked
from ingest_assets.http.pace import Pace
from ingest_assets.http.processes import can_be_seen, is_alive, this_process
from ingest_assets.locks import held

Unit = Literal["requests", "points"]

_HEAD = struct.Struct("<IIq")
_RECORD = struct.Struct("<dqq")
_STATE_BYTES = 128 << 10
_MOST_RECORDS = 4096
_EXACT_RECORDS = 1024
_LOCK_SECONDS = 60.0
_LOCK_POLL_SECONDS = 0.001
# No request is in flight for longer: its connect and read timeouts are far shorter, also with redirects.
_LOST_SECONDS = 3600.0
# Who waits looks again in time, or is stopped: the others no longer wait for it.
_LATE_SECONDS = 5.0
_BURY_SECONDS = 0.5


class Ask(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A request that waits, is in flight, or is answered and still read; after that it is gone from here.

    `granted` and `ended` are when it was granted, and when its answer came: then it is in the log. `looks` is when it
    looks again while it waits. Others wait behind one that is `queued`, unless theirs is the higher `priority`.
    """

    number: int
    process: str
    points: int
    asked: float
    looks: float
    queued: bool = True
    granted: float | None = None
    ended: float | None = None
    priority: int = 0

    def goes_before(self, other: "Ask") -> bool:
        """Whether it comes first of two that wait: the higher priority, and among equals who asked first."""
        return (self.priority, -self.number) > (other.priority, -other.number)

    def weight(self, unit: Unit) -> int:
        """What it counts for."""
        return 1 if unit == "requests" else self.points


class State(msgspec.Struct, forbid_unknown_fields=True):
    """What all processes know. `moment` and `wall` are both clocks when it was written; all times are on the first.

    `base` and `sums` are the requests and points before the log's first record, and with its last.
    """

    moment: float
    wall: float
    turn: int = 0
    offset: float = 0.0
    number: int = 0
    buried: float = -math.inf
    keep_seconds: float = 0.0
    held_back_until: float = -math.inf
    region: int = 0
    records: int = 0
    base: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    sums: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    asks: list[Ask] = msgspec.field(default_factory=list)
    learned: Pace = msgspec.field(default_factory=Pace)


@contextlib.contextmanager
def opened(
    file: Path, window: float, clock: Callable[[], float], wall: Callable[[], float], *, changes: bool = True
) -> Iterator["Slots"]:
    """The slots in a file, for this thread alone, and written when left without an error, unless nothing `changes`.

    `window` is the length of the longest window that the caller looks at. A file that is damaged tells nothing of
    what was granted, so a window passes without any. Raises Locked where another holds it for a minute.
    """
    with held(_lock(file), "granting requests", _LOCK_SECONDS, _LOCK_POLL_SECONDS):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            slots = Slots(descriptor, window, clock(), wall())
            yield slots
            if changes:
                slots.write()
        finally:
            os.close(descriptor)


@lru_cache(maxsize=64)
def _lock(file: Path) -> Path:
    return file.with_suffix(".lock")


class Slots:
    """What is in the file, at the moment `now`."""

    def __init__(self, descriptor: int, window: float, clock: float, wall: float) -> None:
        self._file = descriptor
        state = _read(descriptor)
        if state is None:
            torn = os.fstat(descriptor).st_size > 0
            state = State(clock, wall, held_back_until=clock + window if torn else -math.inf)
        if state.moment > clock + state.offset:  # the machine was started again since
            state.offset = state.moment + max(0.0, wall - state.wall) - clock
        self.state = state
        self.pace = state.learned
        self.now = clock + state.offset
        state.moment, state.wall = self.now, wall
        state.keep_seconds = max(state.keep_seconds, window)

    def write(self) -> None:
        """Write what changed, as one."""
        self.state.turn += 1
        text = _written(self.state)
        if _HEAD.size + len(text) > _STATE_BYTES:
            raise Locked(f"{len(self.state.asks):,} requests wait for the same limit: let fewer run at once")
        head = _HEAD.pack(zlib.crc32(text), len(text), self.state.turn)
        os.pwrite(self._file, head + text, self.state.turn % 2 * _STATE_BYTES)

    def find(self, number: int | None) -> Ask | None:
        """The request of a number, unless it is gone."""
        return next((ask for ask in self.state.asks if ask.number == number), None)

    @property
    def flying(self) -> int:
        """How many requests are under way that the server may not have counted yet."""
        return sum(ask.granted is not None and ask.ended is None for ask in self.state.asks)

    def add(self, number: int | None, points: int, priority: int = 0) -> Ask:
        """A request that waits from now on: of a new number, or back in its place among the others."""
        if number is None:
            self.state.number += 1
            number = self.state.number
        ask = Ask(number, this_process(), points, self.now, self.now, priority=priority)
        self.state.asks.append(ask)
        return ask

    def end(self, ask: Ask) -> None:
        """Its answer has come: it counts from now on for a window."""
        if ask.granted is not None and ask.ended is None:
            ask.ended = self.now
            if self.state.keep_seconds:
                self._log(1, ask.points)

    def remove(self, ask: Ask) -> None:
        """It is over, or was not made after all."""
        self.state.asks.remove(ask)

    def bury(self) -> bool:
        """Whether there was something to end: requests of processes that are gone, and what no longer moves."""
        if self.now - self.state.buried < _BURY_SECONDS:
            return False
        self.state.buried, before = self.now, len(self.state.asks)
        gone = {name for name in {ask.process for ask in self.state.asks} if not is_alive(name)}
        late = [ask for ask in self.state.asks if ask.granted is None and ask.looks + _LATE_SECONDS < self.now]
        lost = [ask for ask in self.state.asks if ask.granted is not None and ask.granted + _LOST_SECONDS < self.now]
        dead = [ask for ask in self.state.asks if ask.process in gone]
        dead += [ask for ask in lost if not can_be_seen(ask.process)]
        for ask in (*lost, *dead):
            self.end(ask)
        self.state.asks = [ask for ask in self.state.asks if ask not in dead and ask not in late]
        return bool(lost) or len(self.state.asks) < before

    def ended_beyond(self, unit: Unit, most: int) -> float | None:
        """When the last request ended that has to come free before no more than `most` count; None where none has."""
        which = 0 if unit == "requests" else 1
        sum_there = self.state.sums[which] - most
        if sum_there <= self.state.base[which]:
            return None
        place = bisect.bisect_left(
            range(self.state.records), sum_there, key=lambda place: int(self._record(place)[1 + which])
        )
        return self._record(place)[0]

    def _record(self, place: int) -> tuple[float, int, int]:
        found = os.pread(self._file, _RECORD.size, _start(self.state.region) + place * _RECORD.size)
        ended, requests, points = _RECORD.unpack(found)
        return ended, requests, points

    def _log(self, requests: int, points: int) -> None:
        if self.state.records == _MOST_RECORDS:
            self._move()
        self.state.sums = [self.state.sums[0] + requests, self.state.sums[1] + points]
        record = _RECORD.pack(self.now, *self.state.sums)
        os.pwrite(self._file, record, _start(self.state.region) + self.state.records * _RECORD.size)
        self.state.records += 1

    def _move(self) -> None:
        """Into the other log goes what still counts; of what is older, fewer records."""
        text = os.pread(self._file, self.state.records * _RECORD.size, _start(self.state.region))
        records = list(_RECORD.iter_unpack(text))
        first = bisect.bisect_left(records, self.now - self.state.keep_seconds, key=lambda record: float(record[0]))
        if first:
            self.state.base = list(records[first - 1][1:])
        records = records[first:]
        while len(records) > _MOST_RECORDS // 2:
            records = records[:-_EXACT_RECORDS][1::2] + records[-_EXACT_RECORDS:]
        self.state.region, self.state.records = 1 - self.state.region, len(records)
        os.pwrite(self._file, b"".join(_RECORD.pack(*record) for record in records), _start(self.state.region))


def _start(region: int) -> int:
    return 2 * _STATE_BYTES + region * _MOST_RECORDS * _RECORD.size


def _read(descriptor: int) -> State | None:
    """The newer of the two states that are whole."""
    texts = [(place, os.pread(descriptor, 1 << 12, place)) for place in (0, _STATE_BYTES)]
    heads = [(_HEAD.unpack_from(text), place, text) for place, text in texts if len(text) >= _HEAD.size]
    for (checksum, length, _), place, begin in sorted(heads, key=lambda head: head[0][2], reverse=True):
        text = begin[_HEAD.size : _HEAD.size + length]
        if 0 < len(text) < length <= _STATE_BYTES:
            text += os.pread(descriptor, length - len(text), place + _HEAD.size + len(text))
        if text and len(text) == length and zlib.crc32(text) == checksum:
            return _state(text)
    return None


def _state(text: bytes) -> State | None:
    try:
        return _known.decode(text)
    except msgspec.MsgspecError:  # as another version wrote it, perhaps
        return None


_written = msgspec.msgpack.Encoder().encode
_known = msgspec.msgpack.Decoder(State)
