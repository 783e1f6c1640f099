"""A walk that died goes on after its last stored page, and only where that is the same walk."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure

WALK = """\
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from ingest_assets.extract.pull import Puller
from ingest_assets.extract.request import Walk
from ingest_assets.http.client import Client
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Source

source = Source.model_validate_json(sys.argv[1])
moment = datetime.fromisoformat(sys.argv[3])
with Client(source.base_url) as client:
    begin = lambda _: (1, moment)
    Puller(client, Snapshots(Path(sys.argv[2])), begin, "run-1", now=lambda: moment).fetch(Walk(source, "things"))
"""


def pages(count):
    """Pages of one record each, each naming the next."""
    return [{"data": [{"id": n}], "next": str(n + 1) if n + 1 < count else None} for n in range(count)]


def dead(lab, api, answer, at):
    """A walk over six pages whose API is down from page `at` on."""
    api.pages(*pages(6)[:at], *[answer({}, status=503, headers={"Retry-After": "0"})] * (6 - at))
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk(), attempts=2)
    api.pages(*pages(6))
    api.asked.clear()


@pytest.mark.parametrize("at", range(6))
def test_a_walk_goes_on_with_the_page_that_failed(lab, api, answer, at):
    dead(lab, api, answer, at)

    snapshot = lab.fetch(lab.walk())

    assert api.asked == [{"cursor": str(n)} if n else {} for n in range(at, 6)]
    assert lab.records(snapshot) == [{"id": n} for n in range(6)]
    assert lab.verdicts() == ["complete"]


def forgetting(api, answer, refusal, *, until):
    """The API answers so to each cursor until it was asked for a first page again, `until` times."""
    told = pages(6)

    def page(query):
        firsts = sum("cursor" not in asked for asked in api.asked)
        return refusal if "cursor" in query and firsts < until else answer(told[int(query.get("cursor", 0))])

    return page


@pytest.mark.parametrize("status", [400, 404, 410])
def test_where_the_cursor_has_expired_the_walk_begins_anew_and_says_so(lab, api, answer, status):
    dead(lab, api, answer, 3)
    api.answer = forgetting(api, answer, answer({}, status=status), until=1)
    lab.progress.clear()

    snapshot = lab.fetch(lab.walk())

    assert [asked.get("cursor") for asked in api.asked] == ["3", None, "1", "2", "3", "4", "5"]
    assert lab.records(snapshot) == [{"id": n} for n in range(6)]
    assert lab.verdicts() == ["given_up", "complete"]
    reason = lab.stored()[0].manifest.ended.reason
    assert f"no longer knows the way on from page 2, which was stored before: GET {api.url}" in reason
    assert f"HTTP {status}" in reason
    assert [told.anew for told in lab.progress if told.anew] == [reason]


def test_by_which_status_a_cursor_expires_may_be_told(lab, api, answer):
    dead(lab, api, answer, 3)
    api.answer = forgetting(api, answer, answer({}, status=422), until=1)

    lab.fetch(lab.walk({"expired_cursor": [422]}))

    assert lab.verdicts() == ["given_up", "complete"]


def test_a_cursor_may_expire_inside_a_good_answer(lab, api, answer):
    dead(lab, api, answer, 3)
    refusal = answer({"data": [], "next": None, "error": "invalid_cursor"})
    api.answer = forgetting(api, answer, refusal, until=1)

    snapshot = lab.fetch(lab.walk({"errors": "error"}))

    assert lab.records(snapshot) == [{"id": n} for n in range(6)]
    assert lab.verdicts() == ["given_up", "complete"]
    assert "'invalid_cursor'" in lab.stored()[0].manifest.ended.reason


@pytest.mark.parametrize("status", [401, 403, 422])
def test_any_other_refusal_after_a_rest_is_a_failure(lab, api, answer, status):
    dead(lab, api, answer, 3)
    api.answer = forgetting(api, answer, answer({}, status=status), until=1)

    with pytest.raises(RequestFailed, match=str(status)):
        lab.fetch(lab.walk())

    assert lab.verdicts() == ["failed"]


@pytest.mark.parametrize("before", [0, 3])
def test_in_the_middle_of_a_walk_the_same_answer_is_a_failure(lab, api, answer, before):
    """Of a fresh walk, and of one that went on well at first."""
    if before:
        dead(lab, api, answer, before)
    told = pages(6)
    told[5] = answer({}, status=410)
    api.pages(*told)

    with pytest.raises(RequestFailed, match="410"):
        lab.fetch(lab.walk())

    assert lab.verdicts() == ["failed"]


def test_a_new_walk_whose_cursors_expire_too_is_a_failure_and_begins_no_third_one(lab, api, answer):
    dead(lab, api, answer, 3)
    api.answer = forgetting(api, answer, answer({}, status=410), until=9)

    with pytest.raises(RequestFailed, match="410"):
        lab.fetch(lab.walk())

    assert [asked.get("cursor") for asked in api.asked] == ["3", None, "1"]
    assert lab.verdicts() == ["given_up", "failed"]


def test_a_walk_that_goes_on_says_so(lab, api, answer):
    dead(lab, api, answer, 3)
    lab.progress.clear()

    lab.fetch(lab.walk())

    assert [(told.pages, told.resumed) for told in lab.progress] == [(3, True), (4, False), (5, False), (6, False)]


def test_circles_are_found_across_the_death_of_a_walk(lab, api, answer):
    dead(lab, api, answer, 3)
    api.pages(*pages(3), {"data": [{"id": 3}], "next": "1"})

    with pytest.raises(Exception, match="page 1 again"):
        lab.fetch(lab.walk())

    assert lab.verdicts() == ["failed"]


def test_what_the_api_says_is_the_end_when_a_walk_goes_on_is_believed(lab, api, answer):
    dead(lab, api, answer, 5)
    api.pages(*pages(5), {"data": [], "next": None})

    lab.fetch(lab.walk())

    assert lab.verdicts() == ["complete"]


def test_a_walk_that_stored_its_last_page_but_not_its_end_asks_nothing_more(lab, api, monkeypatch):
    api.pages(*pages(3))
    lab.progress = Dying(after=3)
    with pytest.raises(Death):
        lab.fetch(lab.walk())
    api.asked.clear()
    lab.progress = []

    snapshot = lab.fetch(lab.walk())

    assert api.asked == []
    assert lab.records(snapshot) == [{"id": n} for n in range(3)]
    assert lab.verdicts() == ["complete"]


def test_a_walk_is_given_up_where_the_source_file_asks_for_something_else(lab, api, answer):
    dead(lab, api, answer, 3)

    lab.fetch(lab.walk({"params": {"limit": 50}}))

    assert lab.verdicts() == ["given_up", "complete"]
    assert api.asked[0] == {"limit": "50"}
    assert "asks for something else" in lab.stored()[0].manifest.ended.reason


@pytest.mark.parametrize(("hours", "verdicts"), [(23.9, ["complete"]), (24.1, ["given_up", "complete"])])
def test_a_walk_is_given_up_where_it_is_too_old(lab, api, answer, hours, verdicts):
    dead(lab, api, answer, 3)
    lab.later(hours=hours)

    lab.fetch(lab.walk())

    assert lab.verdicts() == verdicts
    assert len(api.asked) == (3 if len(verdicts) == 1 else 6)


def test_a_changed_table_does_not_end_a_walk(lab, api, answer):
    dead(lab, api, answer, 3)

    lab.fetch(lab.walk({"columns": {"id": {"type": "varchar"}}}))

    assert lab.verdicts() == ["complete"]


@pytest.mark.parametrize("at", [0, 1, 4])
def test_after_a_kill_no_stored_page_is_asked_for_again(lab, api, answer, tmp_path, at):
    told = pages(6)
    api.answer = lambda query: killed_at(api, answer, told, int(query.get("cursor", 0)), at)
    api.victim = None
    source = lab.source({}).model_dump_json(by_alias=True, exclude_unset=True)
    command = [sys.executable, "-c", WALK, source, str(tmp_path / "raw"), lab.now.isoformat()]
    api.victim = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    code = api.victim.wait(30)
    before = [query.get("cursor") for query in api.asked]
    api.pages(*told)
    api.asked.clear()

    snapshot = lab.fetch(lab.walk())

    assert code == -signal.SIGKILL
    assert len(before) == at + 1
    assert [query.get("cursor") for query in api.asked] == [str(n) if n else None for n in range(at, 6)]
    assert lab.records(snapshot) == [{"id": n} for n in range(6)]
    assert snapshot.verify() == []


def killed_at(api, answer, told, page, at):
    """The page; the process that asks for page `at` is killed before it gets all of it."""
    if page < at:
        return answer(told[page])
    while api.victim is None:  # it may ask before the test knows its process
        time.sleep(0.001)
    os.kill(api.victim.pid, signal.SIGKILL)
    return answer(told[page], cut=True)


class Death(BaseException):
    """Ends a walk as a crash does: nothing that catches errors sees it."""


class Dying(list):
    """A progress that dies after so many pages."""

    def __init__(self, after):
        self.after = after

    def append(self, told):
        if told.pages == self.after:
            raise Death
