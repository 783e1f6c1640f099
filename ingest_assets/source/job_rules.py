"""What has to fit together where an endpoint's records come from a job."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.source.model import PLACEHOLDER, Problem, values_of

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint
    from ingest_assets.source.job import Job, JobRequest

_SENT = ("path", "params", "headers", "body")


def named_in(told: "JobRequest") -> set[str]:
    """The placeholders of a request."""
    return set(PLACEHOLDER.findall(str(values_of(told, *_SENT))))


def requests_of(job: "Job") -> "dict[str, JobRequest]":
    """The requests about a job that the file names, by where they stand."""
    named: dict[str, JobRequest | None] = {
        "create": job.create,
        "status": job.status,
        "cancel": job.cancel,
        "find": job.find,
    }
    return {name: told for name, told in named.items() if told is not None}


def job_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken in what an endpoint says of its job."""
    job = endpoint.job
    if job is None:
        if "path" not in endpoint.model_fields_set:
            yield (), "'path' is missing"
        return
    yield from _download_problems(endpoint, job)
    yield from _state_problems(job)
    yield from _shape_problems(endpoint)
    for name, told in requests_of(job).items():
        if told.body is not None and told.method == "GET":
            yield ("job", name, "body"), "a body is sent with method: POST or the like, and this is GET"
        if "://" in told.path:
            yield ("job", name, "path"), "a path is added to base_url: leave scheme and host out"
    if not job.status.path and job.status.url is None:
        yield ("job", "status"), "expected path, such as /jobs/{job.id}, or url: how is the job looked at?"
    if job.find is not None:
        yield from _find_problems(endpoint, job)


def _download_problems(endpoint: "Endpoint", job: "Job") -> Iterator[Problem]:
    if job.files is not None:
        for field in ("path", "params", "body", "method"):
            if field in endpoint.model_fields_set:
                told = "files of the job are fetched by their own URLs: leave it out; what makes the job is job.create"
                yield (field,), told
        if endpoint.paginator.type != "none":
            yield ("paginator",), "each file of a job is one page: leave it out"
        return
    if "path" not in endpoint.model_fields_set:
        yield (
            (),
            "'path' is missing: expected the path of the job's results, such as /jobs/{job.id}/results, or job.files",
        )
    sent = PLACEHOLDER.findall(str(values_of(endpoint, *_SENT)))
    if not any(name.startswith("job.") for name in sent):
        yield ("path",), "it names no job: write {job.id} where the API takes it, in path, params or body"


def _state_problems(job: "Job") -> Iterator[Problem]:
    values = (*job.done, *job.failed, *job.running, *job.expired)
    if job.state is None and values:
        yield ("job", "state"), "missing: where does the status say done, failed and the like?"
    if job.state is not None and not job.done:
        yield ("job", "done"), "expected the values of state that mean that the results are there"
    for twice in sorted({str(value) for value in values if [str(one) for one in values].count(str(value)) > 1}):
        yield ("job", "done"), f"{twice!r} means one thing: it stands in two of done, failed, running and expired"
    for name in job.told:
        if name == "id" or not PLACEHOLDER.fullmatch(f"{{job.{name}}}"):
            yield ("job", "told", name), "expected a name of small letters, digits and _, other than id"


def _shape_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    window, feed = endpoint.window, endpoint.feed
    if endpoint.named_parents:
        yield ("job",), "a job is made once a partition, not once a parent: let the export hold all of them"
    if endpoint.cut_lists or endpoint.count is not None:
        yield ("job",), "a job goes with neither cut_lists nor count"
    if window is not None and (window.cap is not None or window.stop_at is not None):
        yield ("window",), "a job goes with neither cap nor stop_at: its bounds stand in job.create"
    if feed is not None and feed.cursor is not None:
        yield ("feed",), "a feed of jobs goes on by time: its results hold no cursor for the next one"


def _find_problems(endpoint: "Endpoint", job: "Job") -> Iterator[Problem]:
    find = job.find
    if find is None:
        return
    if job.create.idempotency is not None:
        yield ("job", "find"), "idempotency already sees to it that there is one job: leave one of them out"
    told = named_in(find) | set(PLACEHOLDER.findall(str(find.where)))
    for name in sorted((named_in(job.create) & endpoint.placeholders) - told):
        yield (
            ("job", "find", "where"),
            f"{{{name}}} tells one job from another and is not looked at: another partition's job would be taken",
        )
