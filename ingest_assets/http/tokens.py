"""One token for all processes of the user: kept in a file that only the user can read, renewed under a lock.

    <state>/ingest_assets/tokens/    0700
        <hash>.json                  0600: the token, how long it lives, and both clocks when it was asked for
        <hash>.lock                  held while a token is asked for, so that one process does it for all

A token is a secret, so it lies in the user's state folder and never among data, and its file is named by a hash
of all that decides it. Whatever is wrong with a file, it counts as none: the next renewal replaces it.

A refresh token lies beside the token that it gave. Before it is sent a note of that is written, and the new one is on
disk before anything else happens; so who dies in between leaves word that an answer may be lost.
"""

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.http.auth.exchanged import Token
from ingest_assets.locks import held

# A token is not used in the last tenth of its life: it may be over when it arrives. A minute is enough for any.
_MARGIN_SHARE = 0.1
_LONGEST_MARGIN_SECONDS = 60.0
_NEW_SECONDS = 60.0
_MOST_BYTES = 1 << 17


@dataclass(frozen=True)
class KeptToken:
    """A token, and what both clocks said before it was asked for: the server cannot have begun to count earlier.

    `refresh` is what the next one is asked for with; `is_pending` says that it was sent, and no answer noted yet.
    """

    value: str = field(repr=False)
    lifetime_seconds: float | None
    monotonic: float
    wall: float
    refresh: str | None = field(default=None, repr=False)
    is_pending: bool = False


class TokenFile:
    """The token of one key.

    `clock` is the same for all processes and never goes back (monotonic since the machine started); `wall` goes on
    while the machine is off or sleeps. `lock_wait_seconds` is how long others may take to renew.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        *,
        lock_wait_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = folder / f"{key}.json"
        self._lock_wait_seconds = lock_wait_seconds
        self._clock, self._wall = clock, wall

    def fresh(self) -> KeptToken | None:
        """The token that is kept, where it can be used; else None."""
        kept = self.kept()
        return kept if kept is not None and kept.value and self.is_fresh(kept) else None

    def kept(self) -> KeptToken | None:
        """What is kept, fresh or not."""
        return self._read()

    def note_sent(self, refresh: str, *, is_pending: bool = True) -> None:
        """Write down that a refresh token is being sent, or that it is still good to be sent; under the lock."""
        kept = self.kept() or KeptToken("", 0.0, 0.0, 0.0)
        self._write(replace(kept, refresh=refresh, is_pending=is_pending))

    def put(self, token: Token) -> None:
        """Keep a token that was given to a person."""
        _make_private(self._file.parent)
        with held(self._file.with_suffix(".lock"), "keeping a token", self._lock_wait_seconds):
            self._write(self._stamped(token, self._clock(), self._wall()))

    def is_fresh(self, kept: KeptToken) -> bool:
        """Whether a token will still be alive when it arrives.

        The clock that went further counts: one stands still while a machine sleeps, the other may be set back.
        Where both went back nothing is known, and the token counts as over.
        """
        passed = max(self._clock() - kept.monotonic, self._wall() - kept.wall)
        if kept.lifetime_seconds is None:
            return True
        margin = min(_MARGIN_SHARE * kept.lifetime_seconds, _LONGEST_MARGIN_SECONDS)
        return 0 <= passed < kept.lifetime_seconds - margin

    def is_new(self, kept: KeptToken) -> bool:
        """Whether a token was asked for just now, so that its life cannot be what is over."""
        return 0 <= max(self._clock() - kept.monotonic, self._wall() - kept.wall) < _NEW_SECONDS

    def renewed(self, exchange: Callable[[], Token], instead_of: KeptToken | None = None) -> KeptToken:
        """A fresh token other than `instead_of`: one that another process got meanwhile, else what `exchange` gives.

        Raises what `exchange` raises, Locked where another process takes too long, and StorageFailed or ConfigError
        where the folder cannot be used.
        """
        _make_private(self._file.parent)
        with held(self._file.with_suffix(".lock"), "renewing a token", self._lock_wait_seconds):
            kept = self.fresh()
            if kept is not None and (instead_of is None or kept.value != instead_of.value):
                return kept
            monotonic, wall = self._clock(), self._wall()
            token = exchange()
            kept = self._stamped(token, monotonic, wall)
            self._write(kept)
            return kept

    def _stamped(self, token: Token, monotonic: float, wall: float) -> KeptToken:
        return KeptToken(token.value, token.lifetime_seconds, monotonic, wall, token.refresh)

    def _read(self) -> KeptToken | None:
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not _is_private(os.fstat(descriptor)):
                return None
            text = file.read(_MOST_BYTES)
        return _kept(text)

    def _write(self, kept: KeptToken) -> None:
        new = self._file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)  # of a process that died here
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(kept), file)
                file.flush()
                os.fsync(descriptor)
            new.replace(self._file)
            _sync(self._file.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise StorageFailed(f"{self._file.parent}: a token cannot be kept there: {error.strerror}") from error


def _sync(folder: Path) -> None:
    """See that a file's new name is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _kept(text: bytes) -> KeptToken | None:
    try:
        told = json.loads(text)
        kept = KeptToken(
            told["value"],
            None if told["lifetime_seconds"] is None else float(told["lifetime_seconds"]),
            float(told["monotonic"]),
            float(told["wall"]),
            told.get("refresh"),
            bool(told.get("is_pending")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    if not isinstance(kept.value, str) or not isinstance(kept.refresh, str | None):
        return None
    return kept if kept.value or kept.refresh else None


def _is_private(told: os.stat_result) -> bool:
    return told.st_uid == os.geteuid() and not stat.S_IMODE(told.st_mode) & 0o077


def _make_private(folder: Path) -> None:
    """See that the folder is there, is the user's own, and that nobody else can look into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = folder.stat()
        if told.st_uid == os.geteuid() and not _is_private(told):
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"{folder}: tokens cannot be kept there: {error.strerror}. Name another folder in INGEST_TOKENS"
        ) from error
    if told.st_uid != os.geteuid():
        raise ConfigError(f"{folder} belongs to another user: name a folder for tokens in INGEST_TOKENS")
