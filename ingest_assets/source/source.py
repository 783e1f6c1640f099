"""One API: where it is, how to get in, how fast one may ask."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from ingest_assets.durations import Duration
from ingest_assets.http.auth import Auth, NoAuth
from ingest_assets.http.breaker import BreakerSettings
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.tls import Tls
from ingest_assets.source import source_rules
from ingest_assets.source.cron import cron
from ingest_assets.source.endpoint import Endpoint, RateLimits
from ingest_assets.source.model import Model, one_or_more, refuse

Texts = Annotated[tuple[str, ...], BeforeValidator(one_or_more, json_schema_input_type=str | tuple[str, ...])]


class Setting(Model):
    """A value that differs from account to account, read from the environment; it is no secret."""

    env: str = Field(description="name of the environment variable")
    default: str | None = Field(None, description="used where the variable is not set")


def _kind_of_setting(given: Any) -> str | None:
    if isinstance(given, str):
        return "a text"
    return "Setting" if isinstance(given, dict | Setting) else None


SettingOrText = Annotated[
    Annotated[Setting, Tag("Setting")] | Annotated[str, Tag("a text")],
    Discriminator(
        _kind_of_setting, custom_error_type="setting", custom_error_message="expected text in quotes, or {env: NAME}"
    ),
]


class Source(Model):
    """One API, as read from its file; `name` is the file's name without ending."""

    name: str
    description: str | None = None
    base_url: str = Field(description="with scheme; {setting} is replaced")
    account: str = Field("", description="whose data it is; the warehouse refuses rows of another")
    settings: dict[str, SettingOrText] = Field(default_factory=dict)
    auth: Auth = Field(default_factory=NoAuth)
    tls: Tls | None = Field(None, description="the client's certificate, and an authority of the API's own")
    headers: dict[str, str] = Field(default_factory=dict)
    responses: tuple[ResponseRule, ...] = Field(
        (),
        description="what answers mean beyond their status, such as throttling in a 403, a 400 or a 200; the first "
        "rule that fits says",
    )
    rate_limit: RateLimits = Field((), description="limits that all requests count in")
    buckets: dict[str, RateLimits] = Field(
        default_factory=dict, description="limits, by a name of your own, of the endpoints that name it as their bucket"
    )
    at_once: int = Field(
        1,
        ge=1,
        le=64,
        description="how many requests of a fetch may be on their way at once, where an endpoint says none",
    )
    jobs_at_once: int | None = Field(
        None, ge=1, le=64, description="how many jobs may be at work at the same time, of all processes together"
    )
    learn: bool = Field(
        True, description="whether to slow down by what answers tell is left, and where they take longer than usual"
    )
    max_wait: Duration = Field(timedelta(minutes=15), description="the longest single wait for a limit or Retry-After")
    breaker: BreakerSettings = Field(
        BreakerSettings(), description="when the API counts as down, so that requests fail at once for a while"
    )
    publish: Duration = Field(
        timedelta(0),
        description="at most so often a run brings the reader's copy up to date, such as PT10M; each run does, where "
        "nothing is said",
    )
    resume_within: Duration = Field(timedelta(days=1), description="how old an unfinished walk may be to go on")
    error_message: Texts = Field(
        (), description="where an error body holds text that may be quoted, such as error.message"
    )
    schedule: str = Field("30 2 * * *", description="cron, UTC; schedules are delivered stopped")
    endpoints: dict[str, Endpoint]

    @model_validator(mode="before")
    @classmethod
    def _keeps_grants_by_name(cls, given: Any) -> Any:
        """Auth that a person grants is kept under the source's name, where the file gives no other."""
        if not isinstance(given, dict):
            return given
        name, endpoints = given.get("name", ""), given.get("endpoints")
        if isinstance(endpoints, dict):
            endpoints = {key: _kept_as(one, f"{name}_{key}") for key, one in endpoints.items()}
            given = {**given, "endpoints": endpoints}
        return _kept_as(given, name)

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        return cron(value)

    @model_validator(mode="after")
    def _rules_hold(self) -> "Source":
        refuse([*source_rules.problems(self)])
        return self

    @property
    def ways_in(self) -> list[Auth]:
        """Each auth that is used: the source's, and those of endpoints that have their own."""
        own = [endpoint.auth for endpoint in self.endpoints.values() if endpoint.auth is not None]
        return [*([self.auth] if len(own) < len(self.endpoints) else []), *own]

    def beginning(self, endpoint: str, start: datetime) -> "Source":
        """The same where the first fetch of an endpoint's feed begins at this time."""
        model = self.endpoints[endpoint]
        feed = None if model.feed is None else model.feed.model_copy(update={"start": start})
        return self.model_copy(
            update={"endpoints": {**self.endpoints, endpoint: model.model_copy(update={"feed": feed})}}
        )


def _kept_as(given: Any, name: str) -> Any:
    auth = given.get("auth") if isinstance(given, dict) else None
    if isinstance(auth, dict) and auth.get("type") == "oauth2_refresh_token" and "kept_as" not in auth:
        return {**given, "auth": {**auth, "kept_as": name}}
    return given
