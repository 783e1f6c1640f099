"""The last requests of each source, for who asks what happened: also those that failed, which leave no page.

    <data>/trace/<source>.jsonl      a line a request, appended by whichever process made it
    <data>/trace/<source>.jsonl.1    the lines before those; older ones are gone

Nothing decides by it: where it cannot be written, the walk goes on without. It holds no header, no body, no secret.
"""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import asdict

from ingest_assets.errors import IngestError

_MOST_BYTES = 1_000_000
_MOST_URL = 2_000
_MOST_PROBLEM = 500
_PARAMETER = re.compile(r"([?&;])([^=&;#]+)=([^&;#]*)")
_SECRET = re.compile(
    r"(^|[^a-z])(api_?key|apikey|app_?key|key|secret|password|passwd|pwd|auth|authorization|access_?token|id_?token"
    r"|refresh_?token|auth_?token|token|jwt|signature|sig|hmac|credential|code|session|sessionid|sid)$"
)
_HIDDEN = "(hidden)"
_as_json = json.JSONEncoder(ensure_ascii=False).encode


class Asked(Struct, frozen=True):
    """One request as it went over the network, and what came of it.

    `url` is without secrets; `bytes` is what was received of the body, as sent; `attempt` counts from 1;
    `wait_seconds` is how long it waited before, for a limit or after a failure; `left` is what the answer told of the
    API's scarcest allowance, such as `4990 of 5000 (x-ratelimit core)`. `status` is None where no answer
    came, `problem` where nothing was wrong.
    """

    at: datetime
    method: str
    url: str
    attempt: int
    wait_seconds: float
    milliseconds: float = 0.0
    status: int | None = None
    bytes: int = 0
    left: str | None = None
    problem: str | None = None


class Tracer:
    """Follows the requests of one client; `tell` is told of each once it is over, `received` counts bytes so far."""

    def __init__(
        self,
        tell: Callable[[Asked], None],
        received: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tell, self._received, self._clock, self._now = tell, received, clock, now
        self._attempt, self._waited = 0, 0.0
        self._status: int | None = None
        self._left: str | None = None
        self._open: tuple[datetime, str, str, int, float] | None = None
        self._began, self._before = 0.0, 0

    def begins(self) -> None:
        """A page is asked for: its first attempt follows."""
        self._attempt, self._waited = 0, 0.0

    def waits(self, seconds: float) -> None:
        """The next request waits."""
        self._waited += seconds

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """All requests of one attempt: redirects make more than one of it."""
        self._attempt += 1
        try:
            yield
        except BaseException as error:
            self._end(str(error) if isinstance(error, IngestError) else type(error).__name__)
            raise
        self._end()

    def sends(self, method: str, url: str) -> None:
        """A request goes out."""
        self._end()
        self._open = self._now(), method, url, self._attempt, round(self._waited, 3)
        self._began, self._before, self._waited = self._clock(), self._received(), 0.0
        self._status = self._left = None

    def answered(self, status: int, left: str | None = None) -> None:
        """The head of its answer is there."""
        self._status, self._left = status, left

    def _end(self, problem: str | None = None) -> None:
        sent, self._open = self._open, None
        if sent is None:
            return
        at, method, url, attempt, waited = sent
        if problem is not None:
            problem = discreet(problem.removeprefix(f"{method} {url}: "))[:_MOST_PROBLEM]
        took, came = round((self._clock() - self._began) * 1000, 1), self._received() - self._before
        url = discreet(url)[:_MOST_URL]
        self._tell(Asked(at, method, url, attempt, waited, took, self._status, came, self._left, problem))


def discreet(url: str) -> str:
    """The URL without the values of parameters that look like credentials: they may be of somebody else's.

    >>> discreet("https://x.example/a?page=2&api_key=abc&X-Amz-Signature=def&page_token=3")
    'https://x.example/a?page=2&api_key=(hidden)&X-Amz-Signature=(hidden)&page_token=3'
    """
    return _PARAMETER.sub(_without_value, url)


def _without_value(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    return f"{mark}{name}={_HIDDEN}" if _is_secret(name) else found[0]


@lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    plain = unquote(name).lower().rstrip("]").replace("-", "_")
    is_place = re.search(r"(page|next|cursor|continuation|sync|start)_?token$", plain) is not None
    return _SECRET.search(plain) is not None and not is_place


class TraceLog(Struct, frozen=True):
    """The trace of one source; lines are JSON objects. Any number of processes may add and read."""

    file: Path
    most_bytes: int = _MOST_BYTES

    @property
    def former(self) -> Path:
        """The file of the lines before those in `file`."""
        return self.file.with_name(f"{self.file.name}.1")

    def add(self, asked: Asked, **more: str | None) -> None:
        """Append a request; what cannot be written is left out."""
        told = more | asdict(asked) | {"at": asked.at.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        with contextlib.suppress(OSError):
            self._append(_as_json(told).encode("utf-8", "replace") + b"\n")

    def _append(self, line: bytes) -> None:
        with self._held() as descriptor:
            size = os.fstat(descriptor).st_size
            # What a power cut or a full disk tore must not take this line with it.
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + line if torn else line)
            if size + len(line) >= self.most_bytes:
                self.file.replace(self.former)

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        """The file, for this process alone; another one may have moved it away while this one waited."""
        while True:
            descriptor = self._opened()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_named(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.file, flags, 0o600)
        except FileNotFoundError:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.file, flags, 0o600)

    def _is_named(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.file.stat())
        except FileNotFoundError:
            return False

    def kept(self) -> list[dict[str, Any]]:
        """All requests that are kept, oldest first; torn lines are left out."""
        found = list[dict[str, Any]]()
        for line in (line for file in (self.former, self.file) for line in _lines(file)):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
