"""What an API allows, as a source file says it: requests or points in a window, or requests in flight at once."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ingest_assets.durations import Duration
from ingest_assets.http.place import Place


class RateLimit(BaseModel):
    """At most so many requests in any window of this length."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    requests: int = Field(gt=0, description="how many requests the API allows in a window")
    per: Duration = Field(gt=timedelta(0), description="the window's length, as an ISO 8601 duration such as PT1M")


class PointLimit(BaseModel):
    """At most so many points in any window of this length: each request counts its endpoint's `cost`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    points: int = Field(gt=0, description="how many points the API allows in a window")
    per: Duration = Field(gt=timedelta(0), description="the window's length, as an ISO 8601 duration such as PT1M")


class FlightLimit(BaseModel):
    """At most so many requests at once, from when one is sent until its answer was received whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    in_flight: int = Field(gt=0, description="how many requests the API allows at once")


class Cost(BaseModel):
    """How many points a request counts where only its answer tells."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    guess: int = Field(gt=0, description="how many points the first one is taken to count")
    told: Place = Field(description="where an answer tells: the next request is taken to count as many")


Allowed = RateLimit | PointLimit | FlightLimit


def _kind(given: Any) -> str | None:
    if isinstance(given, Allowed):
        return type(given).__name__
    if not isinstance(given, dict):
        return None
    kinds = {"points": "PointLimit", "in_flight": "FlightLimit"}
    return next((kinds[key] for key in kinds if key in given), "RateLimit")


Limit = Annotated[
    Annotated[RateLimit, Tag("RateLimit")]
    | Annotated[PointLimit, Tag("PointLimit")]
    | Annotated[FlightLimit, Tag("FlightLimit")],
    Discriminator(
        _kind,
        custom_error_type="limit",
        custom_error_message="expected {requests: 25, per: PT1S}, {points: 900, per: PT1M} or {in_flight: 4}",
    ),
]
