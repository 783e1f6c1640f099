"""A job that an API has to be given before there is anything to fetch: create, poll, then download."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from ingest_assets.durations import Duration
from ingest_assets.http.place import Place
from ingest_assets.http.responses import Values
from ingest_assets.source.model import Model


class JobRequest(Model):
    """A request about a job: placeholders are replaced, `{job.id}` too once there is one."""

    path: str = Field("", description="added to the job's base_url, such as /jobs/query/{job.id}")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict, description="beside those of the source and the endpoint")
    body: dict[str, Any] | None = Field(None, description="sent with anything but a GET")
    body_as: Literal["json", "form"] = "json"


class Create(JobRequest):
    """What makes the job; a window's or feed's own parameters are added to this request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    idempotency: str | None = Field(
        None,
        min_length=1,
        description="header that takes a key by which the API knows a request that comes twice, such as "
        "Idempotency-Key: then no crash or lost answer makes a second job",
    )


class Status(JobRequest):
    """What asks how far the job is."""

    url: Place | None = Field(
        None,
        description="instead of path: where the answer to `create` holds the URL to ask, such as {header: Location}",
    )


class Find(JobRequest):
    """What lists the jobs, to find the one whose number was lost when a process died or an answer did not come."""

    jobs: str = Field("", description="path of the list of jobs, or of one job; left out where the body is it")
    id: str = Field(min_length=1, description="path in each job of what `id` is in the answer to `create`")
    created: str = Field(min_length=1, description="path in each job of when it was created: ISO 8601, or Unix time")
    where: dict[str, str] = Field(
        min_length=1,
        description="what else tells the job, by path in it: all that differs from partition to partition, such as "
        "the text of its query",
    )


class Files(Model):
    """Where the status of a job that is done names its results."""

    path: str = Field(
        min_length=1, description="path of the URL, or of a list of them; of a list of objects such as parts[].url"
    )
    absent: Literal["refuse", "empty"] = Field(
        "refuse", description="'empty' where null, or nothing, means that there are no records"
    )


class Job(Model):
    """An export that the API makes on its own time; the endpoint's own request, or `files`, fetches what it made."""

    create: Create
    id: Place = Field(description="where the answer to `create` names the job; {job.id} stands for it")
    status: Status
    state: Place | None = Field(
        None, description="where the status says how far it is; left out where HTTP 202 means that it is not done"
    )
    done: Values = Field((), description="values of `state` that mean that its results are there")
    failed: Values = Field((), description="values that mean that none will come")
    running: Values = Field(
        (), description="values that mean that it goes on; where they are given, any other is a failure"
    )
    expired: Values = Field((), description="values that mean that its results are gone: it is created again")
    gone: tuple[int, ...] = Field(
        (404, 410), description="statuses that say the same of a job that a walk goes on with after a rest"
    )
    errors: tuple[str, ...] = Field(
        (), description="paths in answers of status 200 to `create` and `status` where anything is a failure"
    )
    message: str | None = Field(None, min_length=1, description="path in the status of why the job failed")
    told: dict[str, str] = Field(
        default_factory=dict,
        description="what else its status tells once it is done, by path: {job.NAME} stands for it",
    )
    files: Files | None = Field(
        None,
        description="where its status names the results; without it, the endpoint's own path and params fetch them. "
        "At another origin they are fetched without credentials",
    )
    every: Duration = Field(
        timedelta(seconds=5), gt=timedelta(0), description="the first wait between two looks; a Retry-After comes first"
    )
    longest: Duration = Field(
        timedelta(minutes=1), gt=timedelta(0), description="what that grows to, by half at each look"
    )
    within: Duration = Field(
        timedelta(hours=2), gt=timedelta(0), description="how long it may take; then the fetch fails"
    )
    cancel: JobRequest | None = Field(
        None, description="what ends a job that goes on, where its fetch failed or is interrupted"
    )
    find: Find | None = Field(
        None, description="finds a job whose number was lost; not needed where create has `idempotency`"
    )
    base_url: str | None = Field(
        None, description="where create, status, cancel and find go, where it is elsewhere than the download"
    )
