"""Open-Meteo as its sheet tells: weather as parallel lists, an archive that lags, no key.

The last days of the archive are null, the days before them are corrected for some time. A place's weather follows
from the laws, its coordinates as asked, and the hour.
"""

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from ingest_assets.sandbox.answers import Answer, Api, Asked, answered
from ingest_assets.sandbox.world import DAY, Laws, World, draws

PREFIX = "/open-meteo"
LAG_DAYS = 5
CORRECTED_DAYS = 9
FIRST = date(1940, 1, 1)
HOUR = 3600
COMMON = {"latitude", "longitude", "hourly", "daily", "timezone", "start_date", "end_date", "timeformat"}


class Variable(NamedTuple):
    """What is measured: its unit, and the value of an hour from that hour's dice; a day's from its hours."""

    unit: str
    value: Callable[[float, int], float]


HOURLY = {
    "temperature_2m": Variable(
        "°C", lambda chance, hour: 10 + 5 * math.sin((hour - 9) / 24 * 2 * math.pi) + 4 * chance
    ),
    "relative_humidity_2m": Variable("%", lambda chance, _hour: int(40 + 60 * chance)),
    "precipitation": Variable("mm", lambda chance, _hour: max(0.0, 6 * chance - 4)),
    "wind_speed_10m": Variable("km/h", lambda chance, _hour: 30 * chance),
    "weather_code": Variable("wmo code", lambda chance, _hour: (0, 1, 2, 3, 61, 63)[int(6 * chance)]),
}
DAILY: dict[str, tuple[str, str, Callable[[list[float]], float]]] = {
    "temperature_2m_max": ("°C", "temperature_2m", max),
    "temperature_2m_min": ("°C", "temperature_2m", min),
    "precipitation_sum": ("mm", "precipitation", sum),
}


class BadRequest(Exception):
    """A parameter that the API refuses, in its own words."""


def answer(asked: Asked) -> Answer:
    """What the API answers, by path."""
    if asked.path not in ("/v1/archive", "/v1/forecast") or asked.method != "GET":
        return answered({"error": True, "reason": "Not Found"}, 404)
    try:
        return answered(_reply(asked))
    except BadRequest as error:
        return failed(400, str(error))


def failed(status: int, reason: str) -> Answer:
    """An error in the API's envelope."""
    return answered({"error": True, "reason": reason}, status)


def _reply(asked: Asked) -> dict[str, object]:
    latitude, longitude = _coordinate(asked, "latitude", 90), _coordinate(asked, "longitude", 180)
    first, last = _days(asked)
    zone = asked.one("timezone") or "GMT"
    if zone not in ("GMT", "UTC"):
        raise BadRequest("Invalid timezone: this sandbox knows GMT and UTC")
    reply: dict[str, object] = {
        "latitude": round(latitude * 10) / 10,  # of the grid's cell, and not as asked
        "longitude": round(longitude * 10) / 10,
        "generationtime_ms": 0.21,
        "utc_offset_seconds": 0,
        "timezone": zone,
        "timezone_abbreviation": zone,
        "elevation": 5.0,
    }
    place = (latitude, longitude)
    if names := _names(asked, "hourly", set(HOURLY)):
        rows = [*hours(asked.world, place, first, last, lag=asked.path == "/v1/archive")]
        reply["hourly_units"] = {"time": "iso8601"} | {name: HOURLY[name].unit for name in names}
        reply["hourly"] = {name: [row[name] for row in rows] for name in ("time", *names)}
    if names := _names(asked, "daily", set(DAILY)):
        if asked.one("timezone") is None:
            raise BadRequest("Timezone is required")
        rows = [*days(asked.world, place, first, last, lag=asked.path == "/v1/archive")]
        reply["daily_units"] = {"time": "iso8601"} | {name: DAILY[name][0] for name in names}
        reply["daily"] = {name: [row[name] for row in rows] for name in ("time", *names)}
    return reply


def _coordinate(asked: Asked, name: str, most: float) -> float:
    text = asked.one(name)
    if text is None:
        raise BadRequest(f"Value of type 'Float' required for key '{name}'.")
    if not re.fullmatch(r"-?\d{1,3}(\.\d+)?", text) or abs(float(text)) > most:
        raise BadRequest(f"{name.title()} must be in range of -{most} to {most}°. Given: {text[:20]}.")
    return float(text)


def _names(asked: Asked, kind: str, known: set[str]) -> list[str]:
    names = [name for name in (asked.one(kind) or "").split(",") if name]
    for name in names:
        if name not in known:
            raise BadRequest(
                f"Cannot initialize SurfaceAndPressureVariable from invalid String value {name[:40]} for key {kind}"
            )
    return names


def _days(asked: Asked) -> tuple[date, date]:
    """First and last day, both included."""
    today = datetime.fromtimestamp(asked.world.now, UTC).date()
    unknown = set(asked.query) - COMMON - {"forecast_days"}
    if unknown:
        raise BadRequest(f"Unknown parameter: {min(unknown)}")
    bounds = [asked.one("start_date"), asked.one("end_date")]
    if bounds == [None, None] and asked.path == "/v1/forecast":
        ahead = asked.one("forecast_days") or "7"
        if not ahead.isdigit() or not 0 <= int(ahead) <= 16:
            raise BadRequest("Forecast days is invalid. Allowed range 0 to 16.")
        return today, today + timedelta(days=int(ahead) - 1)
    try:
        first, last = (date.fromisoformat(bound or "") for bound in bounds)
    except ValueError:
        raise BadRequest("Invalid date format. Make sure to use 'YYYY-MM-DD'") from None
    earliest = FIRST if asked.path == "/v1/archive" else today - timedelta(days=92)
    latest = today if asked.path == "/v1/archive" else today + timedelta(days=15)
    for name, day in (("start_date", first), ("end_date", last)):
        if not earliest <= day <= latest:
            raise BadRequest(f"Parameter '{name}' is out of allowed range from {earliest} to {latest}")
    if first > last:
        raise BadRequest("End-date must be larger or equals than start-date")
    return first, last


def hours(
    world: World, place: tuple[float, float], first: date, last: date, *, lag: bool
) -> Iterator[dict[str, float | str | None]]:
    """The hours from the first to the last day, all variables of each; with `lag`, null where nothing is known yet."""
    for number in range(first.toordinal(), last.toordinal() + 1):
        day = number - date(1970, 1, 1).toordinal()
        for hour in range(24):
            values = _values(world, place, day, hour, lag=lag)
            yield {"time": f"{date.fromordinal(number)}T{hour:02}:00", **values}


def days(
    world: World, place: tuple[float, float], first: date, last: date, *, lag: bool
) -> Iterator[dict[str, float | str | None]]:
    """The days from the first to the last, made from their hours."""
    for number in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(number)
        rows = [*hours(world, place, day, day, lag=lag)]
        told: dict[str, float | str | None] = {"time": day.isoformat()}
        for name, (_, of, over) in DAILY.items():
            known = [value for row in rows if isinstance(value := row[of], float)]
            told[name] = round(over(known), 2) if known else None
        yield told


def _values(world: World, place: tuple[float, float], day: int, hour: int, *, lag: bool) -> dict[str, float | None]:
    if lag and day >= world.today - LAG_DAYS:
        return dict.fromkeys(HOURLY)
    early = 0.1 if lag and day >= world.today - CORRECTED_DAYS else 0.0
    chances = _chances(world.laws, place, day, hour)
    return {
        name: _rounded(variable.value(chance, hour) + (early if name == "temperature_2m" else 0))
        for (name, variable), chance in zip(HOURLY.items(), chances, strict=True)
    }


def _rounded(value: float) -> float:
    """To a tenth; what is a whole number stays one, as codes and percentages are."""
    return value if isinstance(value, int) else round(value, 1)


def _chances(laws: Laws, place: tuple[float, float], day: int, hour: int) -> list[float]:
    dice = draws(laws, f"weather {place[0]} {place[1]}", day * DAY + hour * HOUR)
    return [dice.random() for _ in HOURLY]


def throttled(_asked: Asked, bucket: str, wait: float | None) -> Answer:
    """A 429 in the API's words; it never says how long to wait."""
    reasons = {"minutely": "one minute", "hourly": "the next hour", "daily": "tomorrow"}
    kind = bucket.rpartition("_")[2]
    reason = f"{kind.title()} API request limit exceeded. Please try again in {reasons.get(kind, 'one minute')}."
    told = failed(429, reason)
    return told if wait is None else Answer(told.body, 429, {"Retry-After": f"{wait:.0f}"})


API = Api(
    prefix=PREFIX,
    limits={
        "open_meteo_minutely": (600, 60.0),
        "open_meteo_hourly": (5000, 3600.0),
        "open_meteo_daily": (10_000, 86_400.0),
    },
    buckets=lambda _path, _who: ("open_meteo_minutely", "open_meteo_hourly", "open_meteo_daily"),
    credential=lambda _asked: "anyone",
    expired=failed(401, "The supplied API key is invalid."),
    broken=lambda _asked, status: failed(status, "Internal server error"),
    throttled=throttled,
    answer=answer,
)
