"""The trace: every request that went over the network is told once, without secrets, in a file that stays small."""

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.auth.static import ApiKey
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.rates import RateLimit
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.trace import Asked, TraceLog

KEY = "sk/test+123"
QUERY = ApiKey(type="api_key", name="key", value={"env": "KEY"}, place="query")


def whole(response):
    return b"".join(response.chunks())


@pytest.fixture
def told():
    return []


@pytest.fixture
def client_for(told, clock):
    clients = []

    def made(api, **options):
        retry = RetryPolicy(attempts=3)
        more = {"sleep": clock.sleep, "on_asked": told.append, "retry": retry} | options
        clients.append(Client(api.url, QUERY, Secrets({"KEY": KEY}), **more))
        return clients[-1]

    yield made
    for client in clients:
        client.close()


def test_each_try_is_told_with_what_came_of_it_and_how_long_it_waited(api, client_for, told):
    api.answer(503, b"busy").answer(429, b"slow", {"Retry-After": "7"}).answer(200, b"good")

    client_for(api).fetch(PageRequest(f"{api.url}/a"), whole)

    assert [(a.status, a.attempt, a.bytes) for a in told] == [(503, 1, 0), (429, 2, 0), (200, 3, 4)]
    assert [a.problem for a in told] == ["HTTP 503 Service Unavailable", "HTTP 429 Too Many Requests", None]
    assert [a.wait_seconds for a in told][::2] == [0.0, 7.0]
    assert all(a.milliseconds > 0 for a in told)


def test_a_lost_connection_and_a_cut_body_are_told_too(api, client_for, told):
    api.answer(200, [None]).answer(200, [b"half"], length=100).answer(200, b"good")

    client_for(api).fetch(PageRequest(f"{api.url}/a"), whole)

    assert [(a.status, a.bytes) for a in told] == [(None, 0), (200, 4), (200, 4)]
    assert told[0].problem.startswith("no connection")
    assert told[1].problem is not None


def test_a_redirect_is_a_request_of_its_own(api, client_for, told):
    api.answer(302, headers={"Location": "/b?page=2"}).answer(200, b"good")

    client_for(api).fetch(PageRequest(f"{api.url}/a"), whole)

    assert [(a.url, a.status, a.attempt) for a in told] == [(f"{api.url}/a", 302, 1), (f"{api.url}/b?page=2", 200, 1)]


def test_a_wait_for_the_limit_is_told_with_the_request_that_waited(api, client_for, told, clock, tmp_path):
    api.answer(200, b"good")
    limits = [RateLimit(requests=1, per="PT10S")]
    client = client_for(api, limiters=[Limiter(tmp_path, "k", limits, clock=clock, sleep=clock.sleep)])

    for _ in range(2):
        client.fetch(PageRequest(f"{api.url}/a"), whole)

    assert [round(a.wait_seconds) for a in told] == [0, 10]


def test_neither_the_key_nor_what_looks_like_one_is_told(api, client_for, told):
    api.answer(403, b"no")
    url = f"{api.url}/a?key={KEY.replace('/', '%2F').replace('+', '%2B')}&signature=theirs&page_token=p2"

    with pytest.raises(RequestFailed):
        client_for(api).fetch(PageRequest(url), whole)

    [asked] = told
    assert asked.url == f"{api.url}/a?key=(hidden)&signature=(hidden)&page_token=p2"
    assert "theirs" not in str(asked)
    assert "test" not in str(asked)


def test_what_was_never_sent_is_not_told(api, client_for, told, clock, tmp_path):
    limiter = Limiter(tmp_path, "k", max_wait_seconds=1, clock=clock, sleep=clock.sleep)
    limiter.push_back(100)

    with pytest.raises(TransientFailure):
        client_for(api, limiters=[limiter]).fetch(PageRequest(f"{api.url}/a"), whole)

    assert told == []


def asked(number: int) -> Asked:
    return Asked(datetime(2026, 1, 1, tzinfo=UTC), "GET", f"https://x.example/{number}", 1, 0.0, 12.5, 200, 34)


def test_the_log_gives_back_what_was_added_oldest_first(tmp_path):
    log = TraceLog(tmp_path / "trace" / "shop.jsonl")

    for number in range(3):
        log.add(asked(number), endpoint="orders")

    assert [told["url"] for told in log.kept()] == [f"https://x.example/{number}" for number in range(3)]
    assert log.kept()[0]["at"] == "2026-01-01T00:00:00Z"
    assert log.kept()[0]["endpoint"] == "orders"
    assert (log.file.stat().st_mode & 0o777, log.file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_log_stays_small_and_keeps_the_newest(tmp_path):
    log = TraceLog(tmp_path / "shop.jsonl", most_bytes=2_000)

    for number in range(500):
        log.add(asked(number))

    kept = [int(told["url"].rpartition("/")[2]) for told in log.kept()]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 5_000
    assert kept == list(range(kept[0], 500))
    assert len(kept) > 5


def test_a_torn_line_costs_no_other(tmp_path):
    log = TraceLog(tmp_path / "shop.jsonl")
    log.add(asked(1))
    with log.file.open("ab") as torn:
        torn.write(b'{"url": "https://x.exa')

    log.add(asked(2))

    assert [told["url"][-1] for told in log.kept()] == ["1", "2"]


def add_many(file: Path, first: int) -> None:
    log = TraceLog(file, most_bytes=20_000)
    for number in range(first, first + 200):
        log.add(asked(number))


def test_lines_of_several_processes_do_not_mix(tmp_path):
    file = tmp_path / "shop.jsonl"
    fork = multiprocessing.get_context("spawn")
    processes = [fork.Process(target=add_many, args=(file, first)) for first in (0, 1000)]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    lines = [line for part in tmp_path.iterdir() for line in part.read_text().splitlines()]
    kept = [json.loads(line) for line in lines]
    assert [process.exitcode for process in processes] == [0, 0]
    assert 50 < len(kept) == len({told["url"] for told in kept})


def test_a_walk_goes_on_where_the_log_cannot_be_written(tmp_path):
    (tmp_path / "trace").write_text("no folder")
    log = TraceLog(tmp_path / "trace" / "shop.jsonl")

    log.add(asked(1))

    assert (tmp_path / "trace").read_text() == "no folder"
