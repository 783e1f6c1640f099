"""How long: durations in a source file, as ISO 8601 writes them, and as messages say them."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_SHORT = re.compile(r"(\d+) ?([smhd])[a-z]*", re.IGNORECASE)

_NO_NUMBER = "expected a duration with its unit, such as PT1S (1 second) or P28D (28 days), and no number"


def _duration(value: Any) -> Any:
    """pydantic would read a number as seconds, and text such as 12:30 as a time of day."""
    if isinstance(value, timedelta) or (isinstance(value, str) and value.lstrip("+").startswith("P")):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(_NO_NUMBER)  # noqa: TRY004 -- pydantic collects ValueErrors only
    short = _SHORT.fullmatch(str(value))
    if short is None:
        raise ValueError("expected a duration such as PT26H (26 hours) or P28D (28 days)")
    unit = short[2].upper()
    raise ValueError(f"expected a duration such as PT26H: write {'P' if unit == 'D' else 'PT'}{short[1]}{unit}")


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def spoken(seconds: float) -> str:
    """A length of time in words.

    >>> spoken(0.4), spoken(90), spoken(900), spoken(6.5 * 3600), spoken(3 * 86400)
    ('1 s', '90 s', '15 min', '6.5 h', '3 days')
    """
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def clock(moment: datetime) -> str:
    """A moment in UTC, to the second; part of one counts as one, so that nobody comes too early.

    >>> clock(datetime(2026, 1, 1, 12, 0, 59, 200, tzinfo=UTC))
    '2026-01-01 12:01:00 UTC'
    """
    whole = moment.astimezone(UTC) + timedelta(microseconds=-moment.microsecond % 1_000_000)
    return f"{whole:%Y-%m-%d %H:%M:%S} UTC"
