"""A process dies while the API works for it: the next one goes on with the same job, or says that it cannot know."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ingest_assets_tests.whole import Reply

CHILD = """
import sys
from pathlib import Path
from ingest_assets.line import Line
from ingest_assets.source import Source

line = Line(Source.model_validate_json(sys.argv[1]), Path(sys.argv[2]), run="child")
with line.partition("things", None):
    line.fetch("things", None)
"""
FIND = {"path": "/list", "jobs": "jobs", "id": "id", "created": "createdDate", "where": {"query": "SELECT Id"}}


def killed_at(bulk, here, path):
    """Run a process that is killed while the API answers the first request for a path, which it has obeyed by then."""
    usual, told = bulk.answer, here.line().source.model_dump_json(by_alias=True, exclude_unset=True)
    process = []

    def answer(asked):
        obeyed = usual(asked)
        if asked.path == path and process:
            process[0].kill()
            process[0].wait(60)
            process.clear()
            return Reply(reset="before")
        return obeyed

    with subprocess.Popen([sys.executable, "-c", CHILD, told, str(here.data)], env=os.environ) as child:
        process.append(child)
        bulk.api.answer = answer
        try:
            assert child.wait(120) == -signal.SIGKILL
        finally:
            child.kill()
    bulk.api.answer = usual


def test_a_job_whose_process_dies_in_poll_goes_on_with_the_same_job(bulk, whole):
    here = whole()
    killed_at(bulk, here, "/jobs/7501")

    assert here.run() == ""

    assert len(bulk.created) == 1
    assert here.values("Id") == ["1", "2", "3"]
    assert here.verdicts() == ["complete"]


def test_one_that_dies_between_two_pages_asks_for_none_of_them_twice(bulk, whole):
    bulk.states = ["JobComplete"]
    here = whole(
        paginator={
            "type": "cursor",
            "header": "Sforce-Locator",
            "param": {"path": "page"},
            "end": ["null"],
            "first": "0",
        },
        path="/jobs/{job.id}/results/{page}",
    )
    killed_at(bulk, here, "/jobs/7501/results/MTA")
    bulk.api.asked.clear()

    assert here.run() == ""

    assert bulk.paths() == ["/jobs/7501", "/jobs/7501/results/MTA"]
    assert here.values("Id") == ["1", "2", "3"]


def test_a_death_before_the_answer_makes_no_second_job_where_the_api_takes_a_key(bulk, whole):
    bulk.knows_keys = True
    here = whole({"create": {"path": "/jobs", "body": {"query": "SELECT Id"}, "idempotency": "Idempotency-Key"}})
    killed_at(bulk, here, "/jobs")

    assert here.run() == ""

    assert len({asked.headers["idempotency-key"] for asked in bulk.api.asked if asked.path == "/jobs"}) == 1
    assert len(bulk.created) == 1
    assert here.values("Id") == ["1", "2", "3"]


def test_nor_where_the_api_lists_its_jobs(bulk, whole):
    here = whole({"find": FIND})
    now = datetime.now(UTC)
    bulk.listed = [
        {"id": "7499", "query": "SELECT Id", "createdDate": (now - timedelta(hours=1)).isoformat()},
        {"id": "7501", "query": "SELECT Id", "createdDate": (now + timedelta(minutes=1)).isoformat()},
        {"id": "7502", "query": "SELECT Name", "createdDate": (now + timedelta(minutes=2)).isoformat()},
    ]
    killed_at(bulk, here, "/jobs")

    assert here.run() == ""

    assert len(bulk.created) == 1
    assert here.values("Id") == ["1", "2", "3"]


@pytest.mark.parametrize("milliseconds", [1, 1000])
def test_nor_where_the_api_tells_their_times_as_numbers(bulk, whole, milliseconds):
    here = whole({"find": FIND})
    created = (datetime.now(UTC) + timedelta(minutes=1)).timestamp() * milliseconds
    bulk.listed = [{"id": "7501", "query": "SELECT Id", "createdDate": str(int(created))}]
    killed_at(bulk, here, "/jobs")

    assert here.run() == ""

    assert len(bulk.created) == 1


def test_nor_where_the_clock_of_the_api_that_lists_them_is_slow(bulk, whole):
    here = whole({"find": FIND})
    killed_at(bulk, here, "/jobs")
    late, usual = datetime.now(UTC) - timedelta(minutes=10), bulk.answer
    listed = {"jobs": [{"id": "7501", "query": "SELECT Id", "createdDate": late.isoformat()}]}
    dated = Reply(listed, headers={"Date": format_datetime(late, usegmt=True)})
    bulk.api.answer = lambda asked: dated if asked.path == "/list" else usual(asked)

    assert here.run() == ""

    assert len(bulk.created) == 1


def test_of_any_other_api_the_verdict_says_that_there_may_be_one_more(bulk, whole):
    here = whole()
    killed_at(bulk, here, "/jobs")

    assert here.run() == ""

    (told,) = here.ask("SELECT verdict, reason FROM w._ingest.fetches")
    assert told[0] == "complete"
    assert "the API may have made a job more" in told[1]
    assert here.values("Id") == ["1", "2", "3"]
