"""One collection of an API: what is asked, how it changes, what its table promises."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from ingest_assets.column import Columns
from ingest_assets.contract import Children, Contract, Deletes, Names, Sweeping, Tombstone, Write
from ingest_assets.durations import Duration
from ingest_assets.http.auth import Auth
from ingest_assets.http.decoders import Decoder, Json
from ingest_assets.http.one_of import Later
from ingest_assets.http.paginators import Paginator, SinglePage
from ingest_assets.http.rates import Cost, Limit
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.selector import Selector
from ingest_assets.http.total import Total
from ingest_assets.http.unpacking import AnswerRules
from ingest_assets.modes import Modes, ToldModes
from ingest_assets.partitions import Listed, Partitions, Slice
from ingest_assets.periods import Periods
from ingest_assets.source import endpoint_rules
from ingest_assets.source.changes import Changes, Feed, Window
from ingest_assets.source.count import Count
from ingest_assets.source.cut_list import CutList
from ingest_assets.source.job_rules import requests_of
from ingest_assets.source.model import Model, refuse
from ingest_assets.source.parents import Parents, named_fields
from ingest_assets.source.volume import Volume

if TYPE_CHECKING:
    from ingest_assets.source.job import Job, JobRequest
else:
    Job = Annotated[Model, Later("ingest_assets.source.job", "Job")]  # few endpoints have one, and it is many models

RateLimits = Annotated[
    tuple[Limit, ...],
    BeforeValidator(
        lambda given: given if isinstance(given, list | tuple) else (given,),
        json_schema_input_type=Limit | tuple[Limit, ...],
    ),
]
Key = Annotated[Names, WithJsonSchema({"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]})]


class Endpoint(Model):
    """One collection of an API: it becomes one table and its children."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra={"anyOf": [{"required": ["path"]}, {"required": ["job"]}]},
    )

    path: str = Field("", description="added to base_url")
    description: str | None = None
    base_url: str | None = Field(
        None, description="where this endpoint is elsewhere than the source; credentials go there"
    )
    method: Literal["GET", "POST"] = "GET"
    auth: Auth | None = Field(None, description="how to get in where it is otherwise than for the source")
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = Field(None, description="sent with a POST; placeholders in its texts are replaced")
    body_as: Literal["json", "form"] = "json"
    decoder: Decoder = Field(default_factory=Json, description="how a body is written: json, jsonl, csv, tsv or xml")
    answer: AnswerRules = Field(
        default_factory=AnswerRules, description="how large an answer may be, and which file of a zip archive is read"
    )
    records: Selector = Field(default_factory=lambda: Selector(path=""), description="where in a body the records are")
    paginator: Paginator = Field(default_factory=SinglePage)
    cut_lists: dict[str, CutList] = Field(
        default_factory=dict,
        description="nested lists that the API cuts, by their path in the record: all of each is read by itself",
    )
    total: Total | None = Field(None, description="where the first page says how many records there are in all")
    count: Count | None = Field(
        None, description="a request of its own that says how many records there are, where no page does"
    )
    errors: str | None = Field(
        None, description="where an answer of status 200 tells errors; anything there is a failure"
    )
    empty_page: Literal["fail", "continue"] = Field(
        "fail", description="what a page without records in the middle means"
    )
    max_empty_pages: int = Field(
        100, ge=1, description="with empty_page: continue, after so many empty pages in a row the walk has failed"
    )
    expired_cursor: tuple[int, ...] = Field(
        (400, 404, 410),
        description="statuses that say that an unfinished walk's cursor is no longer known: where it goes on and is "
        "refused so at once, it is given up and a new one begins",
    )
    incomplete: Literal["fail", "warn"] = Field(
        "fail", description="whether an incomplete walk is loaded with a warning"
    )
    only_if_changed: bool = Field(
        False,
        description="ask whether the page has changed since the last fetch (ETag, Last-Modified), for endpoints whose "
        "partitions are one page each; one that has not is taken from what is stored",
    )
    responses: tuple[ResponseRule, ...] = Field(
        (), description="what answers of this endpoint mean beyond their status; looked at before the source's rules"
    )
    rate_limit: RateLimits = Field((), description="limits of this endpoint alone, beside the source's")
    bucket: Key = Field((), description="the source's buckets that its requests count in, too")
    cost: Annotated[int, Field(gt=0)] | Cost = Field(1, description="how many points each of its requests counts")
    at_once: int | None = Field(
        None, ge=1, le=64, description="how many requests of a fetch may be on their way at the same time"
    )
    parents: Parents = Field(
        default_factory=Parents,
        description="where the request names a field of another endpoint, such as {customers.id}: which of its records",
    )
    job: Job | None = Field(
        None, description="an export that has to be made first: the endpoint's own request fetches what it made"
    )
    window: Window | None = None
    feed: Feed | None = None
    partitions: Partitions | None = None
    changes: Changes | None = Field(None, description="what a window misses; `unseen` where nothing is said")
    time_zone: str = Field("UTC", description="of the days, and of times written without an offset")
    primary_key: Key = ()
    newest_by: str | None = Field(None, description="the column that says which version of a key is newer")
    write: Write = "merge"
    deleted: Tombstone | None = None
    sweep: Sweeping = Field(
        None, description="what a complete fetch does not bring any more is deleted: of a window, in its partition"
    )
    deletes: Deletes = Field("hard", description="soft: a deleted row stays, and its column _deleted says since when")
    columns: Columns = Field(default_factory=dict)
    modes: ToldModes = Field(
        default_factory=Modes,
        alias="contract",
        description="what is done about what is not foreseen: evolve, freeze, quarantine or drop; or by tables, "
        "columns and types; and a pydantic model of the records, package.module:Model",
    )
    children: dict[str, Children] = Field(default_factory=dict, description="columns of child tables, by list path")
    fresh_within: Duration | None = Field(None, description="older than this, the data is late")
    volume: Volume | Literal[False] = Field(
        default_factory=Volume,
        description="when a partition's number of records is unusual; false: it is not looked at",
    )
    max_quarantined: float = Field(0.0, ge=0, le=1, description="the share of quarantined records that is fine")

    @property
    def contract(self) -> Contract:
        """What the table promises."""
        names = ("columns", "children", "primary_key", "newest_by", "write", "deleted", "sweep", "deletes", "time_zone")
        position = self.window.position if self.window is not None else None
        within = self.window.stop_at if self.window is not None else None
        modes = self.modes.model_copy(update={"model": None})  # which gave its columns
        told = {"modes": modes, **{name: getattr(self, name) for name in names}}
        return Contract(position=position, within=within, texts=self.decoder.texts, **told)

    @property
    def asks_graphql(self) -> bool:
        """Whether GraphQL is asked: by its pages, or about the job that makes its records."""
        told: list[Endpoint | JobRequest] = [self, *(requests_of(self.job).values() if self.job is not None else ())]
        bodies = [one.body for one in told if one.method == "POST" and one.body is not None and one.body_as == "json"]
        return self.paginator.type == "graphql" or any(isinstance(body.get("query"), str) for body in bodies)

    @property
    def makes(self) -> bool:
        """Whether its records stand nowhere in a body as they are, so that none can be taken out of it."""
        return self.records.makes or self.decoder.makes

    def of_list(self, name: str) -> "Endpoint":
        """What is said of one of its nested lists, as of an endpoint whose records are the list's elements."""
        told = self.cut_lists[name]
        own: dict[str, Any] = {"paginator": told.paginator, "records": told.records, "cut_lists": {}}
        own |= {"parents": Parents()}  # that a parent is gone says nothing of a list that its record holds
        return self.model_copy(update=own | dict.fromkeys(("total", "count", "window", "feed", "changes")))

    @property
    def points(self) -> int:
        """How many points a request counts as long as no answer has told."""
        return self.cost.guess if isinstance(self.cost, Cost) else self.cost

    @property
    def periods(self) -> Periods | None:
        """The periods of its time partitions; None without."""
        told = self.partitions
        return Periods(told.every, told.start, self.time_zone) if told and told.every and told.start else None

    @property
    def settle(self) -> timedelta:
        """How long after its end a period may still change."""
        return self.partitions.settle if self.partitions else timedelta(0)

    def slice(self, key: str | None) -> Slice:
        """What a partition's key is made of; ValueError where it is no key of this endpoint."""
        if self.partitions is None or key is None:
            return Slice(None, {})
        return self.partitions.slice(key)

    def told(self, key: str | None) -> dict[str, str]:
        """The value of each dimension of a partition, as columns take it: of a period, its first moment or day."""
        found, bounds = self.slice(key), self.bounds(key)
        if self.partitions is None or self.partitions.every is None or bounds is None:
            return dict(found.by)
        began = bounds[0].isoformat() if self.partitions.every == "hour" else bounds[0].date().isoformat()
        return {**found.by, self.partitions.every: began}

    def bounds(self, key: str | None) -> tuple[datetime, datetime] | None:
        """A partition's first moment and the next one's; None without time partitions."""
        period = self.slice(key).period
        return None if self.periods is None or period is None else self.periods.bounds(period)

    def offers(self, key: str) -> bool:
        """Whether a partition can be asked for: not one before the first period, nor of an account that left the list.

        >>> daily = {"every": "day", "start": "2026-01-05"}
        >>> window = {"from": "from", "until": "until"}
        >>> endpoint = Endpoint(path="/x", primary_key="id", window=window, partitions=daily)
        >>> endpoint.offers("2026-01-05"), endpoint.offers("2026-01-04")
        (True, False)
        """
        found, by = self.slice(key), self.partitions.by if self.partitions else {}
        listed_there = all(isinstance(there := by[name], Listed) or value in there for name, value in found.by.items())
        return listed_there and (self.periods is None or self.periods.holds(found.period or ""))

    def settled_at(self, key: str | None) -> datetime | None:
        """When a partition is over and nothing of it will change by itself; None without time partitions."""
        bounds = self.bounds(key)
        return None if bounds is None else bounds[1].astimezone(UTC) + self.settle

    @property
    def keys_cross_partitions(self) -> bool:
        """Whether the same key can come in several partitions, so that load order says nothing about age."""
        return self.changes == "window" or bool(self.loose_dimensions)

    @property
    def loose_dimensions(self) -> list[str]:
        """The dimensions that its key does not tell apart: a key can come in several of their partitions."""
        told = {self.columns[name].from_partition for name in self.primary_key if name in self.columns}
        return [name for name in (self.partitions.by if self.partitions else ()) if name not in told]

    @property
    def parent(self) -> str | None:
        """The endpoint whose records are its parents; None where it has none."""
        return next(iter(self.named_parents), None)

    @property
    def named_parents(self) -> dict[str, set[str]]:
        """The endpoints whose fields its request names, with those fields; more than one is a mistake."""
        found = named_fields(self.path, self.params, self.headers, self.body)
        return {name: fields for name, fields in found.items() if self.job is None or name != "job"}

    @property
    def counts_parents(self) -> bool:
        """Whether its count is of one parent, so that each is counted by itself."""
        return self.count is not None and bool(named_fields(*self.count.asks))

    @property
    def parent_key(self) -> tuple[str, ...]:
        """The fields of its parent that its request names, in order of the alphabet."""
        return tuple(sorted(self.named_parents.get(self.parent or "", ())))

    @property
    def parent_fields(self) -> tuple[str, ...]:
        """All columns of its parent's table that it needs."""
        columns = {column.from_parent for column in self.columns.values() if column.from_parent is not None}
        return tuple(sorted({*self.parent_key, *columns}))

    @property
    def placeholders(self) -> set[str]:
        """What differs from partition to partition, and is replaced in path, params, headers and body."""
        told = self.partitions
        return (
            ({"from", "until"} if self.window else set())
            | ({"from"} if self.feed and self.feed.position else set())
            | ({"partition"} if told and told.every else set())
            | set(told.by if told else ())
            | {f"{name}.{field}" for name, fields in self.named_parents.items() for field in fields}
        )

    @property
    def job_placeholders(self) -> set[str]:
        """What stands for values of its job, in the request for what that made."""
        return {f"job.{name}" for name in ("id", *self.job.told)} if self.job is not None else set()

    @model_validator(mode="before")
    @classmethod
    def _with_columns_of_model(cls, told: Any) -> Any:
        if not isinstance(told, Mapping) or not told.get("contract"):
            return told
        from ingest_assets.source.model_columns import with_model_columns  # few name a model, and it imports much

        return with_model_columns(told)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone such as Europe/Amsterdam")
        return value

    @model_validator(mode="after")
    def _rules_hold(self) -> "Endpoint":
        refuse([*endpoint_rules.problems(self)])
        return self


def listed(endpoint: Endpoint) -> dict[str, Listed]:
    """The dimensions of an endpoint's partitions whose values another endpoint lists, by name."""
    by = endpoint.partitions.by if endpoint.partitions else {}
    return {name: values for name, values in by.items() if isinstance(values, Listed)}
