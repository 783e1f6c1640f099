"""How long: durations in a source file, as ISO 8601 writes them."""

import re
from datetime import timedelta
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
