"""The European Central Bank's reference rates as its sheet tells: three XML files, newest day first, no key.

There are none on weekends and on the holidays of TARGET, and none of today. A day's rates follow from the laws and the
day. One currency ends with the year 2025, as the Bulgarian lev did.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby

from ingest_assets.sandbox.answers import Answer, Api, Asked
from ingest_assets.sandbox.world import World, draws

PREFIX = "/ecb"
DAYS_90 = 90
CURRENCIES: Mapping[str, float] = {"USD": 1.09, "JPY": 162.0, "BGN": 1.9558, "CZK": 24.9, "GBP": 0.86, "IDR": 17_400.0}
LAST_DAY = {"BGN": date(2025, 12, 31)}
_EPOCH = date(1970, 1, 1).toordinal()
_MISSING = b"<!DOCTYPE html><html><head><title>Page not found</title></head><body>404</body></html>"


def answer(asked: Asked) -> Answer:
    """The file that is asked for."""
    files = {"/eurofxref-daily.xml": 1, "/eurofxref-hist-90d.xml": DAYS_90, "/eurofxref-hist.xml": None}
    if asked.path not in files or asked.method != "GET":
        return Answer(_MISSING, 404, media="text/html")
    found = [*rates(asked.world, files[asked.path])] if files[asked.path] != 1 else _newest(asked.world)
    return Answer(document(found), media="text/xml", gzip=True)


def rates(world: World, days: int | None = None) -> Iterator[dict[str, str]]:
    """All rates, or those of the last so many days, newest first."""
    first = world.first_day if days is None else max(world.first_day, world.today - days)
    for number in range(world.today - 1, first - 1, -1):
        day = date.fromordinal(_EPOCH + number)
        if is_open(day):
            yield from _of_day(world, day, number)


def _newest(world: World) -> list[dict[str, str]]:
    return next([*rows] for _, rows in groupby(rates(world), key=lambda row: row["rate_date"]))


def _of_day(world: World, day: date, number: int) -> Iterator[dict[str, str]]:
    dice = draws(world.laws, "ecb", number)
    for currency, usual in CURRENCIES.items():
        value = usual * (0.95 + dice.random() / 10)
        if day <= LAST_DAY.get(currency, day):
            written = f"{value:.4f}" if value < 10 else f"{value:.3f}" if value < 100 else f"{value:.2f}"
            yield {"rate_date": str(day), "currency": currency, "rate": written}


def is_open(day: date) -> bool:
    """Whether TARGET is open on a day.

    >>> days = date(2026, 4, 2), date(2026, 4, 3), date(2026, 4, 4), date(2026, 4, 6), date(2026, 5, 1)
    >>> [is_open(day) for day in days]
    [True, False, False, False, False]
    """
    easter = _easter(day.year)
    closed = {(1, 1), (5, 1), (12, 25), (12, 26)} | {
        (one.month, one.day) for one in (easter - timedelta(2), easter + timedelta(1))
    }
    return day.weekday() < 5 and (day.month, day.day) not in closed


def _easter(year: int) -> date:
    """Easter Sunday of a year from 1900 to 2099 (Gauss, as simplified for these)."""
    moon = (19 * (year % 19) + 24) % 30
    week = (2 * (year % 4) + 4 * (year % 7) + 6 * moon + 5) % 7
    days = moon + week - (7 if moon + week == 35 or (moon == 28 and week == 6 and year % 19 > 10) else 0)
    return date(year, 3, 22) + timedelta(days)


def document(found: Iterable[Mapping[str, str]]) -> bytes:
    """Rates as the bank writes them."""
    days = [
        f"<Cube time='{day}'>"
        + "".join(f"<Cube currency='{r['currency']}' rate='{r['rate']}'/>" for r in rows)
        + "</Cube>"
        for day, rows in groupby(found, key=lambda row: row["rate_date"])
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n'
        "<gesmes:subject>Reference rates</gesmes:subject>\n"
        "<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>\n"
        f"<Cube>\n{chr(10).join(days)}\n</Cube>\n</gesmes:Envelope>\n"
    ).encode()


def throttled(_asked: Asked, _bucket: str, wait: float | None) -> Answer:
    """The bank states no limit; what stands before its files may have one."""
    headers = {} if wait is None else {"Retry-After": f"{wait:.0f}"}
    return Answer(b"<html><title>429 Too Many Requests</title></html>", 429, headers, "text/html")


API = Api(
    prefix=PREFIX,
    limits={"ecb": (600, 60.0)},
    buckets=lambda _path, _who: ("ecb",),
    credential=lambda _asked: "anyone",
    expired=Answer(_MISSING, 401, media="text/html"),
    broken=lambda _asked, status: Answer(b"<html><title>Error</title></html>", status, media="text/html"),
    throttled=throttled,
    answer=answer,
)
