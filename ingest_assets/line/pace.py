"""How fast and how patiently an API is asked."""

from datetime import timedelta

from msgspec import Struct


class Pace(Struct, frozen=True):
    """How fast and how patiently an API is asked; of those that wait for a limit, the higher priority goes first."""

    share: float = 1.0
    max_wait: timedelta = timedelta(minutes=15)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    retry_seconds: float = 600.0
    priority: int = 0
