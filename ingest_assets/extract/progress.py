"""How far a walk is."""

from msgspec import Struct


class Progress(Struct, frozen=True):
    """How far a walk is: shown while it works. `anew` is why an unfinished one before it was given up."""

    label: str
    pages: int
    records: int
    bytes: int
    resumed: bool = False
    anew: str | None = None
