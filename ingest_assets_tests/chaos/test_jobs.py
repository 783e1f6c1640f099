"""The API's side of jobs, and what is said of faults of them: of the examples of docs/jobs.md, and of other shapes."""

import os
from dataclasses import replace

import pytest
import yaml

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.bench import bench
from ingest_assets.chaos.faults import FAULTS
from ingest_assets.chaos.faults.jobs import JOBS
from ingest_assets.chaos.trials import Chosen, trials
from ingest_assets.source import Source
from ingest_assets_tests.extract.test_jobs_examples import EXAMPLES

LONG = os.environ.get("INGEST_LONG") == "1"
SOME = ("none", "job", "cut_once", "status_403", "redirected_elsewhere", "expired")
_DAYS = {"partitions": {"every": "day", "start": "2026-01-01"}, "changes": "immutable"}
_JOB = {"create": {"path": "/jobs"}, "id": "id", "status": {"path": "/jobs/{job.id}"}, "state": "state", "done": "ok"}
SHAPES = {
    "no_state_and_a_url_to_look_at": {
        "path": "/results",
        "params": {"job": "{job.id}"},
        "paginator": {"type": "page", "has_more": "more"},
        "job": {"create": {"path": "/jobs"}, "id": {"header": "X-Job"}, "status": {"url": {"header": "Location"}}},
    },
    "several_files": {"job": {**_JOB, "files": {"path": "parts[].url"}, "cancel": {"path": "/jobs/{job.id}"}}},
    "bounds_of_pieces": {
        "window": {"from": "from", "until": "until", "format": "unix", "pieces": 2},
        **_DAYS,
        "job": {**_JOB, "files": {"path": "urls[]"}, "running": "busy"},
    },
    "found_in_a_list": {
        "path": "/results/{job.id}",
        "job": {
            **_JOB,
            "create": {"path": "/jobs", "body": {"q": "all"}},
            "find": {"path": "/jobs", "jobs": "jobs", "id": "id", "created": "at", "where": {"q": "all"}},
        },
    },
}


def shop(endpoint):
    """A source with one endpoint, whose records are made by a job."""
    auth = {"type": "bearer", "token": {"env": "SHOP_TOKEN"}}
    things = {"primary_key": "id", "records": "data", **endpoint}
    return Source.model_validate(
        {"name": "shop", "base_url": "https://shop.example/v1", "auth": auth, "endpoints": {"things": things}}
    )


def broken(found):
    """What breaks a promise."""
    return [(one.fault, one.happened) for one in found.values() if not one.good]


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_fault_breaks_the_promise_of_an_example(name):
    source = Source.model_validate({"name": name, **yaml.safe_load(EXAMPLES[name])})

    found = {one.fault: one for one in trials(source, Chosen(only=() if LONG else SOME))}

    assert broken(found) == []
    assert {found[one].verdict for one in ("as_said", "loaded", "job_202", "job_503_once", "cut_once")} == {"kept"}
    assert {found[one].verdict for one in ("job_fails", "job_never_ends", "job_unknown")} == {"refused"}


@pytest.mark.parametrize("name", SHAPES)
def test_no_fault_breaks_the_promise_of_a_shape_of_jobs(name):
    found = {
        one.fault: one
        for one in trials(shop(SHAPES[name]), Chosen(only=() if LONG else (*SOME, "one_page", "endless")))
    }

    assert broken(found) == []
    assert {found[one].verdict for one in ("as_said", "loaded", "job_404_once", "job_lost_once")} == {"kept"}
    assert found["job_never_ends"].verdict == "refused"


def test_a_job_that_names_no_file_is_unseen_where_the_file_says_that_it_may():
    absent = {"path": "url", "absent": "empty"}

    found = [
        next(trials(shop({"job": {**_JOB, "files": files}}), Chosen(only=["job_fileless"])))
        for files in (absent, {"path": "url"})
    ]

    assert [one.verdict for one in found] == ["unseen", "refused"]
    assert "`absent: empty`" in found[0].todo


def test_a_job_whose_failure_is_passed_over_breaks_the_promise():
    fails = next(fault for fault in JOBS if fault.name == "job_fails")
    endpoint = {**SHAPES["several_files"], "job": {**SHAPES["several_files"]["job"], "failed": "no"}}

    with bench(shop(endpoint), "things") as here:
        told = here.run(replace(fails, harmless=True))

    assert told.verdict == "broken"
    assert "its state is 'no'" in told.happened


def test_results_of_a_job_that_is_not_done_are_a_complaint_and_an_unsigned_file_is_not_given():
    with bench(shop(SHAPES["found_in_a_list"]), "things") as here:
        here.begin(FAULTS[0])
        api, let_in = here.api, {"authorization": f"Bearer {here.gate.known[0]}"}
        api(Asked("POST", "/o0/v1/jobs", {**let_in, "content-type": "application/json"}, b'{"q": "all"}'))

        early = api(Asked("GET", "/o0/v1/results/gid:%2F%2Fjobs%2F1", let_in))
        unsigned = api.stored(Asked("GET", "/~files/1/0", {}))

    assert (early.status, unsigned.status) == (400, 404)
    assert api.complaints == ["job gid://jobs/1 is not done, and its results are asked for"]
