"""Where data are, with locks and last requests; and where limits and tokens are kept, one folder a user."""

import os
from pathlib import Path

from ingest_assets.raw.paths import encoded


def data_folder(given: str = "") -> Path:
    """The folder of warehouse and snapshots: as given, else INGEST_DATA, else `data` below the working folder."""
    return Path(given or os.environ.get("INGEST_DATA") or "data").expanduser().absolute()


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
