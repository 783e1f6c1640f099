"""Where the values of secrets are looked up: the environment, files, and the stores that a server keeps.

An entry of a store is asked for once by all threads of a process, and used for a stated time; it is forgotten at once
where an API no longer takes a value. It is kept in memory only.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest_assets.errors import ConfigError, TransientFailure
from ingest_assets.http.aws_secrets import AwsSecrets
from ingest_assets.http.secret import SHORTEST, Secret
from ingest_assets.http.vault import Vault

Remember = Callable[[str, str], None]
"""Is told name and value of what a store itself is asked with, so that it is hidden like any other secret."""


# How long a store that gave nothing is not asked again: each time may take as long as its timeouts.
_LEFT_ALONE_SECONDS = 60.0
_LOOKS_AGAIN_SECONDS = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class _Entry:
    """What an entry of a store holds, when it was asked for, and when that was tried again in vain."""

    fields: Mapping[str, str] = field(repr=False)
    asked: float
    failed: float = -math.inf


class Stores:
    """The values by place. `overrides`, by `Secret.place`, win over all else."""

    def __init__(
        self,
        overrides: Mapping[str, str],
        environ: Mapping[str, str] | None,
        remember: Remember,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._overrides = dict(overrides)
        self._environ = os.environ if environ is None else environ

        def long_enough(name: str, value: str) -> None:
            if len(value) >= SHORTEST:
                remember(name, value)

        self._vault, self._aws = Vault(self._environ, long_enough), AwsSecrets(long_enough)
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._forgotten: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def value(self, secret: Secret) -> str:
        """The value; ConfigError where it is not there, TransientFailure where a store does not answer."""
        if secret.place in self._overrides:
            return self._overrides[secret.place]
        if secret.env is not None:
            if secret.env not in self._environ:
                raise ConfigError(f"{secret} is not set; export {secret.env}=… before you start")
            return self._environ[secret.env]
        return _read(secret) if secret.file is not None else self._stored(secret)

    def forget(self, secret: Secret, *, is_refused: bool = True) -> None:
        """See that a store is asked anew for this secret; one that is refused is not used any more meanwhile."""
        key = _key(secret)
        with self._lock:
            if is_refused:
                self._forgotten.add(key)
            elif key in self._entries:
                self._entries[key] = replace(self._entries[key], asked=-math.inf)

    def _stored(self, secret: Secret) -> str:
        with self._lock:
            fields = self._entry(secret).fields
        if (wanted := secret.field or "") not in fields:
            known = ", ".join(sorted(name for name in fields if name)) or "none: expected an object of texts"
            raise ConfigError(f"{secret}: no such field that is a text; there are {known}")
        return fields[wanted]

    def _entry(self, secret: Secret) -> _Entry:
        key, now = _key(secret), self._clock()
        kept = self._entries.get(key)
        is_refused = key in self._forgotten
        is_new = kept is not None and now - kept.asked < secret.cached_for.total_seconds()
        if kept is not None and not is_refused and (is_new or now - kept.failed < _LEFT_ALONE_SECONDS):
            return kept
        try:
            found = self._vault.fields(secret.vault) if secret.vault else self._aws.fields(secret.aws_secret or "")
        except (TransientFailure, ConfigError):
            if kept is None or is_refused:
                raise
            # What a store gave is good until the API says otherwise: no walk ends or waits each time for its sake.
            self._entries[key] = replace(kept, failed=self._clock())
            return kept
        self._forgotten.discard(key)
        self._entries[key] = _Entry(found, now)
        return self._entries[key]


def _key(secret: Secret) -> tuple[str, str]:
    return ("vault", secret.vault) if secret.vault else ("aws_secret", secret.aws_secret or "")


def _read(secret: Secret) -> str:
    """What a file holds; who writes it anew empties it first, so that one that is empty is looked at again."""
    for seconds in _LOOKS_AGAIN_SECONDS:
        if text := _text(secret):
            return text
        time.sleep(seconds)
    return _text(secret)


def _text(secret: Secret) -> str:
    try:
        return Path(secret.file or "").read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ConfigError(f"{secret} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{secret} is not text in UTF-8") from None  # the error would show the bytes
