"""Files that a job made: several, at another origin, whose URLs are signed for a while; and several jobs at once."""

import gzip
import json
import logging
import threading
from dataclasses import replace

import pytest

from ingest_assets_tests.whole import Reply, api_of_its_own

STATUS = {"path": "/jobs/{job.id}"}


@pytest.fixture
def storage():
    """Another origin, where files lie; `good` is the signature that it takes."""
    with api_of_its_own() as other:
        other.good = "s1"

        def answer(asked):
            if asked.query.get("sig") != other.good:
                return Reply({}, 403)
            number = asked.path.rpartition("/")[2]
            if number == "2":
                return Reply(b"Id,Name\n")
            return Reply(gzip.compress(f"Id,Name\n{number}0,a\n{number}1,b\n".encode()))

        other.answer = answer
        yield other


@pytest.fixture
def files(bulk, whole, storage):
    """An endpoint whose job makes three files, the middle one without records."""
    usual = bulk.answer

    def answer(asked):
        told = usual(asked)
        if asked.path.startswith("/jobs/") and isinstance(told, dict) and told.get("state") == "JobComplete":
            told["parts"] = [{"url": f"{storage.url}/{number}?sig={storage.good}"} for number in (1, 2, 3)]
        return told

    bulk.api.answer = answer
    job = {"files": {"path": "parts[].url"}, "status": STATUS}
    return lambda **more: whole(job, **{"path": None, "params": None, "paginator": None} | more)


@pytest.fixture
def listed(bulk, files, storage):
    """The same, whose files are named in `order`, a list that may be changed."""
    usual, order = bulk.api.answer, ["1", "2", "3"]

    def answer(asked):
        told = usual(asked)
        if isinstance(told, dict) and "parts" in told:
            told["parts"] = [
                {"url": f"{storage.url}/{name}{'&' if '?' in name else '?'}sig={storage.good}"} for name in order
            ]
        return told

    bulk.api.answer = answer
    return files, order


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_file_is_read_and_none_gets_the_credential(bulk, files, storage, at_once, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "tok-secret-1")
    auth = {"auth": {"type": "bearer", "token": {"env": "SHOP_TOKEN"}}}
    here = files(at_once=at_once, source=auth)

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert all(asked.headers["authorization"] == "Bearer tok-secret-1" for asked in bulk.api.asked)
    assert sorted(asked.path for asked in storage.asked) == ["/1", "/2", "/3"]
    assert not any("tok-secret-1" in str(asked) for asked in storage.asked)
    assert b"sig=" not in here.files()


def test_a_signature_that_ran_out_on_the_way_is_asked_for_again(bulk, files, storage):
    usual = storage.answer

    def answer(asked):
        told = usual(asked)
        storage.good = "s2" if asked.path == "/1" else storage.good
        return told

    storage.answer = answer
    here = files()

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert len(bulk.created) == 1


def test_a_walk_that_died_between_two_files_asks_for_those_that_are_missing_under_new_signatures(bulk, files, storage):
    here = files()
    assert "Killed" in here.run(kill_after=1)
    storage.good = "s2"
    storage.asked.clear()

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert [asked.path for asked in storage.asked if asked.query["sig"] == "s2"] == ["/3"]
    assert len(bulk.created) == 1


def test_files_that_a_later_look_lists_in_another_order_are_read_once_each(storage, listed):
    files, order = listed
    usual = storage.answer

    def answer(asked):
        told = usual(asked)
        if asked.path == "/1":
            storage.good, order[:] = "s2", ["3", "1", "2"]
        return told

    storage.answer = answer
    here = files()

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]


def test_a_walk_that_died_finds_its_files_in_another_order(bulk, storage, listed):
    files, order = listed
    here = files()
    assert "Killed" in here.run(kill_after=1)
    order.reverse()
    storage.asked.clear()

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert [asked.path for asked in storage.asked] == ["/3"]
    assert len(bulk.created) == 1


def test_files_that_differ_by_a_parameter_are_read_once_each_in_whatever_order(bulk, storage, listed):
    files, order = listed
    order[:] = ["download?part=1", "download?part=2", "download?part=3"]
    usual = storage.answer
    storage.answer = lambda asked: usual(replace(asked, path=f"/{asked.query['part']}"))
    here = files()
    assert "Killed" in here.run(kill_after=1)
    order.reverse()
    storage.good = "s2"

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert len(bulk.created) == 1


def test_files_of_one_name_are_known_by_their_places(bulk, storage, listed):
    files, order = listed
    order[:] = ["download?part=1", "2", "download?part=3"]
    usual = storage.answer

    def answer(asked):
        return usual(replace(asked, path=f"/{asked.query.get('part', '2')}"))

    storage.answer = answer
    here = files()
    assert "Killed" in here.run(kill_after=1)

    assert here.run() == ""

    assert here.values("Id") == ["10", "11", "30", "31"]
    assert len(bulk.created) == 1


@pytest.mark.parametrize("later", [["1", "2", "4"], ["1", "2"], ["1", "2", "3", "4"]])
def test_a_job_that_names_other_files_than_before_is_made_again(bulk, listed, later):
    files, order = listed
    here = files()
    assert "Killed" in here.run(kill_after=1)
    order[:] = later

    assert here.run() == ""

    assert here.values("Id") == sorted(f"{name}{n}" for name in later if name != "2" for n in (0, 1))
    assert len(bulk.created) == 2


def test_other_files_than_before_are_a_failure_where_a_signature_ran_out(storage, listed):
    files, order = listed
    usual = storage.answer

    def answer(asked):
        told = usual(asked)
        if asked.path == "/1":
            storage.good, order[:] = "s2", ["1", "2", "3", "4"]
        return told

    storage.answer = answer

    assert "is gone at the API: it names other files than before, 3 then and 4 now. Another" in files().run()


def test_a_file_that_is_refused_is_a_failure_that_names_no_signature(files, storage):
    storage.answer = lambda _: Reply({}, 403)

    told = files().run()

    assert f"GET {storage.url}/1: HTTP 403" in told
    assert "sig" not in told


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("begin", ["{url}/~files", "/~files", "~files"])
def test_the_signature_of_a_file_beside_the_api_stands_nowhere(bulk, files, caplog, status, begin):
    caplog.set_level(logging.DEBUG)
    usual = bulk.api.answer

    def answer(asked):
        if asked.path.startswith("/~files"):
            return Reply({}, status)
        told = usual(asked)
        if isinstance(told, dict) and "parts" in told:
            told["parts"] = [{"url": f"{begin.format(url=bulk.api.url)}/1?t=let-anybody-in"}]
        return told

    bulk.api.answer = answer
    here = files()

    told = here.run()

    assert f"GET {bulk.api.url}/~files/1: HTTP {status}" in told
    assert "let-anybody-in" not in told + caplog.text
    assert b"let-anybody-in" not in here.files()


def test_the_signature_of_a_file_elsewhere_is_in_no_log(files, storage, caplog):
    caplog.set_level(logging.DEBUG)

    assert files().run() == ""

    assert "GET /1?(hidden) HTTP/1.1" in caplog.text
    assert f"sig={storage.good}" not in caplog.text


@pytest.mark.parametrize("told", ["Ready at {url}/1?sig=let-anybody-in now", "my report.csv?sig=let-anybody-in"])
def test_a_signature_in_a_text_of_the_status_is_not_kept(bulk, files, storage, told):
    usual = bulk.api.answer

    def answer(asked):
        status = usual(asked)
        return {**status, "told": told.format(url=storage.url)} if isinstance(status, dict) else status

    bulk.api.answer = answer
    here = files()

    assert here.run() == ""

    assert b"let-anybody-in" not in here.files()


def test_a_job_that_names_no_file_is_a_failure(bulk, whole):
    here = whole({"files": {"path": "parts[].url"}}, path=None, params=None, paginator=None)

    assert "it is done, and its status names no file at 'parts[].url'" in here.run()


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2)])
def test_no_more_jobs_are_at_work_than_the_source_says(bulk, whole, most, expected):
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    here = whole(
        {"create": {"path": "/jobs", "body": {"q": "{from} {until}"}}, "longest": "PT0.05S"},
        window={"format": "iso"},
        partitions={"every": "day", "start": days[0]},
        changes="immutable",
        source={"jobs_at_once": most},
    )
    usual, working, seen = bulk.answer, set(), [0]

    def answer(asked):
        if asked.path.endswith("/results"):
            number = asked.path.split("/")[2]
            return Reply(f"Id,Name\n{number},x\n".encode(), headers={"Sforce-Locator": "null"})
        told = usual(asked)
        if asked.path == "/jobs":
            working.add(told["id"])
        elif told.__class__ is dict and told.get("state") == "JobComplete":
            working.discard(told["id"])
        seen[0] = max(seen[0], len(working))
        return told

    bulk.api.answer, bulk.states = answer, ["InProgress"] * 4 + ["JobComplete"]
    problems = list[str]()
    threads = [threading.Thread(target=lambda day=day: problems.append(here.run(day, load=False))) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == ["", "", ""]
    assert len(bulk.created) == 3
    assert seen[0] <= expected


def test_the_pieces_of_a_window_have_their_jobs_at_once(bulk, whole):
    day = "2026-01-01"
    here = whole(
        {"create": {"path": "/jobs", "body": {"q": "{from} {until}"}}, "within": "PT30S"},
        window={"format": "iso", "pieces": 3},
        partitions={"every": "day", "start": day},
        changes="immutable",
        at_once=3,
    )
    usual = bulk.answer

    def answer(asked):
        told = usual(asked)
        if asked.path.endswith("/results"):
            return Reply(f"Id,Name\n{asked.path.split('/')[2]},x\n".encode(), headers={"Sforce-Locator": "null"})
        if isinstance(told, dict) and asked.path != "/jobs":  # none is done before all of them are there
            told["state"] = "JobComplete" if len(bulk.created) == 3 else "InProgress"
        return told

    bulk.api.answer = answer

    assert here.run(day) == ""

    assert here.values("Id") == ["7501", "7502", "7503"]
    assert sorted(json.loads(asked.body)["q"][11:13] for asked in bulk.created) == ["00", "08", "16"]
