"""Faults of jobs: those that fail, never end or are gone; answers about them that are lost or say something else."""

import json
from collections.abc import Callable
from dataclasses import replace

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.echo import echoing, refusal, repeated
from ingest_assets.chaos.faults.fault import Fault, Means, Step
from ingest_assets.chaos.made import put
from ingest_assets.chaos.server import Answer
from ingest_assets.source import Endpoint
from ingest_assets.source.job import Job

About = Callable[[Answer, Step, Asked], Answer]


def _where(fits: Callable[[Job], object] = lambda _: True) -> Callable[[Endpoint, int], bool]:
    return lambda endpoint, _: endpoint.job is not None and bool(fits(endpoint.job))


def _struck(what: str, change: About, times: int | None = 1) -> About:
    return lambda answer, step, asked: (
        change(answer, step, asked) if step.what == what and (times is None or step.times <= times) else answer
    )


def _status(status: int) -> About:
    return lambda _, step, asked: refusal(status, asked, step.error_message)


def _always(means: Means) -> Callable[[Means, Endpoint], Means]:
    return lambda _means, _endpoint: means


def _error(answer: Answer, step: Step, asked: Asked) -> Answer:
    """An error at the first of the paths that the file names, with status 200."""
    paths = step.endpoint.job.errors if step.endpoint.job is not None else ()
    return replace(answer, body=json.dumps(put({}, paths[0], [{"message": repeated(asked)}])).encode())


def _fileless(answer: Answer, step: Step, _: Asked) -> Answer:
    """A status that names no file."""
    job = step.endpoint.job
    path = job.files.path.partition("[]")[0] if job is not None and job.files is not None else ""
    return replace(answer, body=json.dumps(put(json.loads(answer.body), path, None)).encode())


def _absent_is_refused(endpoint: Endpoint) -> bool:
    return endpoint.job is None or endpoint.job.files is None or endpoint.job.files.absent == "refuse"


JOBS = (
    Fault("job_fails", "job", "the job fails", fits=_where(lambda job: job.failed), state=_always("failed")),
    Fault("job_never_ends", "job", "the job is never done", fits=_where(), state=_always("running")),
    Fault(
        "job_unknown",
        "job",
        "the job is in a state that the file does not know",
        fits=_where(lambda job: job.state),
        state=_always("unknown"),
    ),
    Fault(
        "job_expires",
        "job",
        "what the job made is gone",
        fits=_where(lambda job: job.expired),
        state=_always("expired"),
    ),
    Fault(
        "job_404_once",
        "job",
        "a job that was made a moment ago is not there yet",
        harmless=True,
        fits=_where(lambda job: 404 in job.gone),
        about=_struck("status", _status(404)),
    ),
    Fault(
        "job_404_for_good",
        "job",
        "the job is never there",
        fits=_where(),
        about=_struck("status", _status(404), None),
    ),
    Fault(
        "job_500_once",
        "job",
        "a look at the job is answered with 500, and then as it should be",
        harmless=True,
        fits=_where(),
        about=_struck("status", _status(500)),
    ),
    Fault(
        "job_202",
        "job",
        "the job is accepted with 202",
        harmless=True,
        fits=_where(),
        about=_struck("create", lambda answer, *_: replace(answer, status=202), None),
    ),
    Fault(
        "job_503_once",
        "job",
        "the job is made, and answered with 503",
        harmless=True,
        fits=_where(),
        about=_struck("create", _status(503)),
    ),
    Fault(
        "job_lost_once",
        "job",
        "the job is made, and the connection breaks before the answer",
        harmless=True,
        fits=_where(),
        about=_struck("create", lambda answer, *_: replace(answer, how="reset")),
    ),
    Fault(
        "job_refused", "job", "the job is refused with 403", fits=_where(), about=_struck("create", _status(403), None)
    ),
    Fault(
        "job_error_in_200",
        "job",
        "the job is refused by an error with status 200",
        fits=_where(lambda job: job.errors),
        about=_struck("create", _error, None),
    ),
    Fault(
        "job_nameless",
        "job",
        "the answer names no job",
        fits=_where(),
        about=_struck("create", lambda answer, *_: Answer(b"{}", answer.status), None),
    ),
    Fault(
        "job_fileless",
        "job",
        "the job is done, and names no file",
        fits=_where(lambda job: job.files),
        seen=_absent_is_refused,
        advice="leave `absent: empty` of `files` out, where a file comes without records, too",
        about=_struck("status", _fileless, None),
    ),
    Fault(
        "job_echo",
        "job",
        "the status of the job repeats what was sent, credentials among it",
        harmless=True,
        fits=_where(),
        about=_struck("status", lambda answer, _, asked: echoing(answer, asked), None),
    ),
)
