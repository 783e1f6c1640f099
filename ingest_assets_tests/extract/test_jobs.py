"""Records that an API has to make first: created once, looked at until done, then downloaded."""

import re
from typing import Any

import pytest

from ingest_assets.errors import RequestFailed
from ingest_assets.raw.copies import copied
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets_tests.whole import Asked, Reply


def test_a_job_is_created_looked_at_and_its_pages_are_read(bulk, whole):
    here = whole()

    assert here.run() == ""

    assert here.values("Id") == ["1", "2", "3"]
    assert bulk.paths() == ["/jobs", *["/jobs/7501"] * 3, *["/jobs/7501/results"] * 2]


def test_its_results_are_loaded_again_without_a_request(bulk, whole):
    here = whole()
    here.run()
    bulk.api.asked.clear()

    line = here.line()
    with line.partition("things", None):
        line.load("things", None, replay=True)

    assert here.values("Id") == ["1", "2", "3"]
    assert bulk.paths() == []


def test_a_retry_after_is_waited_for_and_202_means_running_where_no_state_is_named(bulk, whole):
    answers = iter([Reply({}, 202, {"Retry-After": "0"}), Reply({}, 202), Reply({"state": "any"})])
    usual = bulk.answer
    bulk.api.answer = lambda asked: next(answers) if asked.path == "/jobs/7501" else usual(asked)
    here = whole({"state": None, "done": None, "running": None, "failed": None})

    assert here.run() == ""

    assert here.values("Id") == ["1", "2", "3"]


def test_a_create_that_answers_202_is_taken_and_not_made_again(bulk, whole):
    usual = bulk.answer

    def answer(asked: Asked) -> Any:
        told = usual(asked)
        return Reply(told, 202, {"Location": "/jobs/7501"}) if asked.path == "/jobs" else told

    bulk.api.answer = answer
    here = whole({"id": "id", "status": {"url": {"header": "Location"}}})

    assert here.run() == ""
    assert bulk.paths().count("/jobs") == 1
    assert here.values("Id") == ["1", "2", "3"]


def test_a_job_that_failed_says_its_state_and_the_apis_reason(bulk, whole):
    bulk.states = ["InProgress", "Failed"]
    here = whole()

    told = here.run()

    assert re.search(r"job 7501 failed: its state is 'Failed': 'too hot', \d+ s after it was created", told), told
    assert here.verdicts() == ["failed"]


def test_a_state_that_the_file_does_not_know_is_a_failure(bulk, whole):
    bulk.states = ["Paused"]

    told = whole().run()

    assert "its state is 'Paused', and the file knows JobComplete, Failed, Aborted, UploadComplete, InProgress" in told


def test_a_job_that_takes_too_long_is_cancelled_and_the_failure_says_how_far_it_was(bulk, whole):
    bulk.states = ["InProgress"]
    here = whole({"within": "PT0.1S", "cancel": {"path": "/jobs/{job.id}/cancel", "method": "PATCH", "body": {"a": 1}}})

    told = here.run()

    assert "job 7501 is still 'InProgress'" in told
    assert "`within` allows 1 s. It is cancelled: raise `within`" in told
    assert bulk.cancelled == ["7501"]
    assert here.verdicts() == ["failed"]


def test_one_that_cannot_be_cancelled_is_looked_at_again_by_the_next_run(bulk, whole):
    bulk.states = ["InProgress"]
    here = whole({"within": "PT0.1S"})
    assert "It goes on at the API, and the next run looks at it again" in here.run()
    bulk.states = ["JobComplete"]

    assert here.run() == ""

    assert len(bulk.created) == 1
    assert here.values("Id") == ["1", "2", "3"]


def test_an_interrupt_cancels_it_and_the_next_run_makes_another(bulk, whole):
    here = whole({"cancel": {"path": "/jobs/{job.id}/cancel", "method": "DELETE"}})
    usual = bulk.answer

    class Interrupted(KeyboardInterrupt):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupted

    line = here.line()
    line.watcher.wait = interrupt
    with pytest.raises(Interrupted), line.partition("things", None):
        line.fetch("things", None)
    bulk.api.answer = usual

    assert bulk.cancelled == ["7501"]
    assert here.run() == ""
    assert len(bulk.created) == 2
    assert here.values("Id") == ["1", "2", "3"]


def test_a_job_that_expired_while_nobody_looked_is_created_again(bulk, whole):
    bulk.states = ["InProgress"]
    here = whole({"within": "PT0.05S"})
    here.run()
    bulk.gone, bulk.states = {"7501"}, ["JobComplete"]

    assert here.run() == ""

    assert len(bulk.created) == 2
    assert here.verdicts() == ["given_up", "complete"]
    assert here.values("Id") == ["1", "2", "3"]


def test_a_backup_holds_what_the_api_said_of_the_job(bulk, whole, tmp_path):
    here = whole()
    here.run()
    there = tmp_path / "backup"

    assert [one.problems for one in copied(here.line().snapshots, there)] == [()]

    (kept,) = Snapshots(there).fetches("shop", "things")
    note = kept.jobs.get("")
    assert (note.id, note.over, note.status["state"]) == ("7501", "done", "JobComplete")


def test_who_only_looks_has_a_job_made_and_writes_nothing(bulk, whole):
    here = whole()

    peek = here.line().peek("things", None)

    assert peek.records == 2
    assert len(bulk.created) == 1
    assert not (here.data / "raw").exists()


def test_who_only_looks_cancels_what_takes_too_long(bulk, whole):
    bulk.states = ["InProgress"]
    here = whole({"within": "PT0.1S", "cancel": {"path": "/jobs/{job.id}/cancel", "method": "PUT"}})

    with pytest.raises(RequestFailed, match="It is cancelled"):
        here.line().peek("things", None)

    assert bulk.cancelled == ["7501"]
