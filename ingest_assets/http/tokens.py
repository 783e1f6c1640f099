"""One token for all processes of the user: kept in a file that only the user can read, renewed under a lock.

    <state>/ingest_assets/tokens/    0700
        <hash>.json                  0600: the token, how long it lives, and both clocks when it was asked for
        <hash>.refresh               0600: the refresh token to come, and whether it was sent
        <hash>.lock                  held while a token is asked for, so that one process does it for all

A token is a secret, so it lies in the user's state folder and never among data, and its file is named by a hash
of all that decides it. Whatever is wrong with a file, it counts as none: the next renewal replaces it.

A refresh token lies beside the tokens that it gives, in a file that is named by what it began with alone: each may be
good once, so tokens of several scopes are asked for by one chain of them. Before it is sent a note of that is written,
and the new one is on disk before anything else happens; so who dies in between leaves word that an answer may be lost.
"""

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
    """A token, and what both clocks said before it was asked for: the server cannot have begun to count earlier."""

    value: str = field(repr=False)
    lifetime_seconds: float | None
    monotonic: float
    wall: float


@dataclass(frozen=True)
class KeptRefresh:
    """A refresh token, and whether it was sent, and no answer noted yet."""

    value: str = field(repr=False)
    is_pending: bool = False


class TokenFile:
    """The token of one key, and the refresh token of its `chain`, which other keys may share.

    `clock` is the same for all processes and never goes back (monotonic since the machine started); `wall` goes on
    while the machine is off or sleeps. `lock_wait_seconds` is how long others may take to renew.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        *,
        chain: str = "",
        lock_wait_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = folder / f"{key}.json"
        self._refresh = folder / f"{chain or key}.refresh"
        self._lock_wait_seconds = lock_wait_seconds
        self._clock, self._wall = clock, wall

    def fresh(self) -> KeptToken | None:
        """The token that is kept, where it can be used; else None."""
        kept = _kept(_private_text(self._file))
        return kept if kept is not None and self.is_fresh(kept) else None

    def refresh(self) -> KeptRefresh | None:
        """The refresh token that is kept, where there is one."""
        return _kept_refresh(_private_text(self._refresh))

    def note_sent(self, refresh: str, *, is_pending: bool = True) -> None:
        """Write down that a refresh token is being sent, or that it is still good to be sent; under the lock."""
        _write(self._refresh, KeptRefresh(refresh, is_pending))

    def put(self, token: Token) -> None:
        """Keep a token that was given to a person."""
        _make_private(self._file.parent)
        with held(self._lock, "keeping a token", self._lock_wait_seconds):
            self._keep(token, self._clock(), self._wall())

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
        with held(self._lock, "renewing a token", self._lock_wait_seconds):
            kept = self.fresh()
            if kept is not None and (instead_of is None or kept.value != instead_of.value):
                return kept
            monotonic, wall = self._clock(), self._wall()
            return self._keep(exchange(), monotonic, wall)

    @property
    def _lock(self) -> Path:
        """That of the chain: a refresh token is good for one of all that share it."""
        return self._refresh.with_suffix(".lock")

    def _keep(self, token: Token, monotonic: float, wall: float) -> KeptToken:
        if token.refresh is not None:  # first: without the token another one is asked for, and without this one none
            self.note_sent(token.refresh, is_pending=False)
        kept = KeptToken(token.value, token.lifetime_seconds, monotonic, wall)
        _write(self._file, kept)
        return kept


def _private_text(file: Path) -> bytes:
    """What a file holds that nobody else can read; nothing where there is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(_MOST_BYTES) if _is_private(os.fstat(descriptor)) else b""


def _write(file: Path, kept: KeptToken | KeptRefresh) -> None:
    new = file.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)  # of a process that died here
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(asdict(kept), opened)
            opened.flush()
            os.fsync(descriptor)
        new.replace(file)
        _sync(file.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise StorageFailed(f"{file.parent}: a token cannot be kept there: {error.strerror}") from error


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
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return kept if isinstance(kept.value, str) and kept.value else None


def _kept_refresh(text: bytes) -> KeptRefresh | None:
    try:
        told = json.loads(text)
        kept = KeptRefresh(told["value"], bool(told["is_pending"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return kept if isinstance(kept.value, str) and kept.value else None


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
