"""Schedules as cron writes them."""

_CRON = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CRON_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}


def cron(text: str) -> str:
    """The schedule itself, or a ValueError that names the field which cron would not understand.

    >>> cron("*/15 6-22 * * mon-fri")
    '*/15 6-22 * * mon-fri'
    """
    fields = text.split()
    if len(fields) != len(_CRON):
        raise ValueError("expected five fields of cron (minute, hour, day, month, day of the week), such as 30 2 * * *")
    for field, (name, low, high) in zip(fields, _CRON, strict=True):
        if not all(_is_cron_item(item, name, low, high) for item in field.lower().split(",")):
            raise ValueError(f"{field!r} is no {name} of cron: *, */2, or numbers from {low} to {high} such as 1,3-5")
    return text


def _is_cron_item(item: str, name: str, low: int, high: int) -> bool:
    span, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if span == "*":
        return True
    names = _CRON_NAMES.get(name, {})
    ends = [names.get(end, int(end) if end.isdecimal() else -1) for end in span.split("-")]
    return len(ends) <= 2 and all(low <= end <= high for end in ends) and ends == sorted(ends)
