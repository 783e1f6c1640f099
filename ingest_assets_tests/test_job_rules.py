"""Mistakes in what a source file says of a job."""

import pytest
from pydantic import ValidationError

from ingest_assets.source import Source

JOB = {
    "create": {"path": "/jobs"},
    "id": "id",
    "status": {"path": "/jobs/{job.id}"},
    "state": "state",
    "done": "done",
}


def source(job=None, **endpoint):
    """A source of one endpoint whose records come from a job, with changes; None leaves a key out."""
    told = {name: value for name, value in {**JOB, **(job or {})}.items() if value is not None}
    things = {"path": "/jobs/{job.id}/results", "primary_key": "id", "job": told, **endpoint}
    things = {name: value for name, value in things.items() if value is not None}
    return Source.model_validate({"name": "shop", "base_url": "https://x.example", "endpoints": {"things": things}})


def test_a_job_as_it_should_be_is_taken():
    assert source().endpoints["things"].job.id.path == "id"


FILES = {"files": {"path": "url"}}
DAILY = {"partitions": {"every": "day", "start": "2026-01-01"}, "changes": "immutable"}


@pytest.mark.parametrize(
    ("job", "endpoint", "message"),
    [
        ({}, {"path": "/results"}, "it names no job: write {job.id}"),
        ({}, {"path": "/results/{job.file}"}, "{job.file} is replaced by nothing; known here: {job.id}"),
        ({}, {"path": None}, "'path' is missing: expected the path of the job's results"),
        (FILES, {}, "files of the job are fetched by their own URLs"),
        (FILES, {"path": None, "paginator": {"type": "link"}}, "each file of a job is one page"),
        ({"status": {}}, {}, "expected path, such as /jobs/{job.id}, or url"),
        ({"create": {"path": "/jobs/{job.id}"}}, {}, "{job.id} is replaced by nothing"),
        ({"create": {"path": "/j", "method": "GET", "body": {}}}, {}, "a body is sent with method: POST or the like"),
        ({"create": {"path": "https://y.example/j"}}, {}, "leave scheme and host out"),
        ({"create": {"path": "/j", "headers": {"Authorization": "x"}}}, {}, "a header of credentials"),
        ({"state": None}, {}, "where does the status say done, failed and the like?"),
        ({"done": None}, {}, "expected the values of state that mean that the results are there"),
        ({"failed": "done"}, {}, "'done' means one thing"),
        ({"told": {"id": "x"}}, {}, "expected a name of small letters, digits and _, other than id"),
        ({}, {"path": "/j/{job.id}/{users.id}"}, "a job is made once a partition, not once a parent"),
        (
            {},
            {"feed": {"start": "2026-01-01", "cursor": {"path": "c", "param": "c"}}},
            "a feed of jobs goes on by time",
        ),
        ({}, {**DAILY, "window": {"format": "iso"}}, "'from' is missing: name the parameter of this bound"),
        (
            {"create": {"path": "/j/{from}/{until}"}, "find": {"id": "id", "created": "at", "where": {"q": "{from}"}}},
            {**DAILY, "window": {"format": "iso"}},
            "{until} tells one job from another and is not looked at",
        ),
        (
            {
                "create": {"path": "/j", "idempotency": "Key"},
                "find": {"id": "id", "created": "at", "where": {"q": "1"}},
            },
            {},
            "idempotency already sees to it that there is one job",
        ),
        ({"within": "PT0S"}, {}, "greater than 0"),
    ],
)
def test_a_mistake_is_told(job, endpoint, message):
    with pytest.raises(ValidationError) as told:
        source(job, **endpoint)

    assert message in str(told.value)


def test_an_endpoint_without_a_job_needs_a_path():
    told = {"name": "shop", "base_url": "https://x.example", "endpoints": {"things": {"primary_key": "id"}}}

    with pytest.raises(ValidationError, match="missing"):
        Source.model_validate(told)
