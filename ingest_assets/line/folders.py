"""Where the state of limits and tokens is kept, one folder a user; and where locks and last requests are."""

import os
from pathlib import Path

from ingest_assets.raw.paths import encoded


def limits_folder() -> Path:
    """Where the grants of rate limits are kept: one folder a user, for all projects on the machine (XDG)."""
    return Path(os.environ.get("INGEST_LIMITS") or _state_folder() / "limits")


def tokens_folder() -> Path:
    """Where tokens are kept that secrets were exchanged for: beside the limits, never among data."""
    return Path(os.environ.get("INGEST_TOKENS") or _state_folder() / "tokens")


def _state_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "ingest_assets"


def partition_lock(data: Path, source: str, endpoint: str, partition: str | None) -> Path:
    """The lock of a partition: one process at a time fetches, loads or prunes it."""
    return data / "locks" / source / endpoint / f"{encoded(partition)}.lock"


def trace_file(data: Path, source: str) -> Path:
    """Where the last requests of a source are kept."""
    return data / "trace" / f"{source}.jsonl"
