"""Refresh tokens that are replaced at each renewal: kept durably, used by one process, and never lost in silence."""

import json
import multiprocessing
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import ConfigError, RequestFailed, TransientFailure
from ingest_assets.http.auth import Auth
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.tokens import TokenFile
from ingest_assets_tests.loopback import Replying, serving

FORKS = multiprocessing.get_context("spawn")
LONG = os.environ.get("INGEST_LONG") == "1"


@dataclass
class Server:
    """Gives an access token and a new refresh token for the one that is good; a former one ends the family."""

    refresh: str = "refresh-0"
    access: str = ""
    renewals: int = 0
    rotates: bool = True
    loses: int = 0
    odd: dict = field(default_factory=dict)
    kill: tuple[int, float] | None = None
    asked: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, told):
        """The answer to a token request; None where it gets lost."""
        with self.lock:
            self.asked.append(told)
            if told["refresh_token"] != self.refresh:
                self.refresh = "nothing is good any more"
                return 400, {"error": "invalid_grant"}
            self.renewals += 1
            self.access = f"access-{self.renewals}"
            given = {"access_token": self.access, "token_type": "Bearer", "expires_in": 3600}
            if self.rotates:
                self.refresh = given["refresh_token"] = f"refresh-{self.renewals}"
            odd, self.odd = self.odd, {}
            given = {name: value for name, value in {**given, **odd}.items() if value != ""}
            if self.loses:
                self.loses -= 1
                return None
            return 200, given


class Handler(Replying):
    def post(self):
        server = self.server.told
        body = self.body()
        answer = server.token({name: values[0] for name, values in parse_qs(body.decode()).items()})
        if server.kill and server.kill[1] < 0:
            os.kill(server.kill[0], signal.SIGKILL)
        if answer is None:
            self.close_connection = True
            return
        self.send(*answer)
        if server.kill:
            threading.Event().wait(max(0.0, server.kill[1]))
            os.kill(server.kill[0], signal.SIGKILL)

    def get(self):
        good = self.headers.get("authorization") == f"Bearer {self.server.told.access}"
        self.send(200 if good else 401, {"data": []})


@pytest.fixture
def server():
    with serving(Handler, told=Server()) as running:
        running.told.url = running.url
        yield running.told


def auth(url, **more):
    given = {"token_url": f"{url}/token", "client_id": "ingest", "refresh_token": {"env": "REFRESH"}}
    return TypeAdapter(Auth).validate_python({"type": "oauth2_refresh_token", **given, **more})


def page(url, folder, refresh="refresh-0", attempts=1, **more):
    secrets = Secrets({"REFRESH": refresh})
    retry = RetryPolicy(attempts=attempts, first_wait_seconds=0.001)
    with Client(url, auth(url, **more), secrets, tokens=folder, retry=retry) as client:
        return client.fetch(PageRequest(url), lambda response: b"".join(response.chunks()))


def test_each_renewal_uses_the_refresh_token_of_the_one_before(server, tmp_path):
    for _ in range(3):
        page(server.url, tmp_path)
        server.access = "revoked"

    page(server.url, tmp_path)

    assert [asked["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-1", "refresh-2", "refresh-3"]
    assert server.asked[0]["client_id"] == "ingest"


def test_a_server_that_keeps_its_refresh_token_is_asked_with_the_same(server, tmp_path):
    server.rotates = False
    page(server.url, tmp_path)
    server.access = "revoked"

    page(server.url, tmp_path)

    assert [asked["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-0"]


def test_what_is_kept_is_for_its_user_alone(server, tmp_path):
    page(server.url, tmp_path / "tokens")

    files = [*(tmp_path / "tokens").glob("*.json"), *(tmp_path / "tokens").glob("*.refresh")]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert json.loads(files[1].read_text()) == {"value": "refresh-1", "is_pending": False}


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": "orders.read"},
        {"params": {"audience": "shop"}},
        {"client_id": "another"},
        {"token_url": "{}/v2/token"},
    ],
)
def test_where_another_token_is_wanted_the_newest_refresh_token_asks_for_it_and_none_that_was_used(
    server, tmp_path, changed
):
    page(server.url, tmp_path)
    changed = {name: value.format(server.url) if name == "token_url" else value for name, value in changed.items()}

    page(server.url, tmp_path, **changed)

    assert [asked["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-1"]


def test_tokens_of_two_scopes_lie_side_by_side_and_are_asked_for_in_turn(server, tmp_path):
    for scope in ("a", "b", "a", "b"):
        page(server.url, tmp_path, scope=scope)

    told = [(asked["refresh_token"], asked["scope"]) for asked in server.asked]
    assert told == [("refresh-0", "a"), ("refresh-1", "b"), ("refresh-2", "a"), ("refresh-3", "b")]


def test_a_refresh_token_goes_on_at_the_origin_that_gave_it_only(server, tmp_path):
    page(server.url, tmp_path)
    elsewhere = server.url.replace("127.0.0.1", "localhost")

    with pytest.raises(RequestFailed, match="over, revoked, or was used elsewhere"):
        page(server.url, tmp_path, token_url=f"{elsewhere}/token")

    assert server.asked[-1]["refresh_token"] == "refresh-0"


def test_a_client_secret_that_is_replaced_does_not_lose_the_refresh_token(server, tmp_path):
    page(server.url, tmp_path)
    server.access = "revoked"
    more = {"client_secret": {"file": str(tmp_path / "secret")}}
    (tmp_path / "secret").write_text("a-new-secret")

    page(server.url, tmp_path, **more)

    assert server.asked[-1]["refresh_token"] == "refresh-1"


def test_a_lost_reply_ends_with_what_to_do(server, tmp_path):
    server.loses = 1

    with pytest.raises(RequestFailed, match=r"the answer was lost.*put a new one into environment variable REFRESH"):
        page(server.url, tmp_path, attempts=3)


def test_the_message_of_a_lost_reply_stays_until_a_new_refresh_token_is_there(server, tmp_path):
    server.loses = 1
    with pytest.raises(TransientFailure):
        page(server.url, tmp_path)
    for _ in range(2):
        with pytest.raises(RequestFailed, match="the answer was lost"):
            page(server.url, tmp_path)
    server.refresh = "granted-anew"

    assert page(server.url, tmp_path, "granted-anew")


@pytest.mark.parametrize(
    "odd",
    [{"token_type": "DPoP"}, {"access_token": "abc"}, {"access_token": ""}, {"error": "temporarily_unavailable"}],
)
def test_a_refresh_token_that_came_with_a_token_that_is_not_taken_is_kept(server, tmp_path, odd):
    server.odd = odd
    with pytest.raises((RequestFailed, TransientFailure)):
        page(server.url, tmp_path)

    assert page(server.url, tmp_path)

    assert [asked["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-1"]


def test_an_answer_of_200_without_tokens_may_have_lost_the_refresh_token(server, tmp_path):
    server.odd = {"access_token": "", "refresh_token": ""}
    with pytest.raises(RequestFailed, match="the answer holds no access_token"):
        page(server.url, tmp_path)

    with pytest.raises(RequestFailed, match="the answer was lost, with the refresh token that took its place"):
        page(server.url, tmp_path)


def test_an_error_that_is_null_is_none(server, tmp_path):
    server.odd = {"error": None}

    assert page(server.url, tmp_path)


def test_a_server_that_forgives_a_second_use_is_used_on(server, tmp_path):
    server.loses, server.rotates = 1, False

    assert page(server.url, tmp_path, attempts=2)


def test_a_refresh_token_that_is_over_is_told_as_such(server, tmp_path):
    for _ in range(2):
        with pytest.raises(RequestFailed, match=r"over, revoked, or was used elsewhere: put a new one into") as failed:
            page(server.url, tmp_path, "refresh-of-yesterday")
    assert "refresh-of-yesterday" not in str(failed.value)


def test_without_a_grant_the_command_that_gets_one_is_named(server, tmp_path):
    kind = {"refresh_token": None, "authorize_url": "https://auth.example/authorize", "kept_as": "shop"}

    with pytest.raises(ConfigError, match="run `ingest auth shop` once"):
        page(server.url, tmp_path, **kind)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"refresh_token": None}, "give one of refresh_token, and authorize_url"),
        ({"client_id": None}, "expected client_id"),
        ({"client_secret": {"env": "A"}, "private_key": {"env": "B"}}, "give one of client_secret and private_key"),
        ({"params": {"refresh_token": "x"}}, "refresh_token does not go here"),
    ],
)
def test_a_wrong_description_is_refused(given, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        auth("https://auth.example", **given)


def work(folder, url, together, results):
    """One page, at the same moment as others."""
    together.wait()
    try:
        results.put(page(url, folder).decode())
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test tells it
        results.put(repr(error))


def test_eight_processes_whose_token_is_over_at_once_renew_it_once(server, tmp_path):
    page(server.url, tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lifetime_seconds": 0.001}))
    results, together = FORKS.Queue(), FORKS.Barrier(8)
    workers = [FORKS.Process(target=work, args=(tmp_path, server.url, together, results)) for _ in range(8)]

    for worker in workers:
        worker.start()
    told = [results.get() for _ in workers]
    for worker in workers:
        worker.join()

    assert told == ['{"data": []}'] * 8
    assert server.renewals == 2  # the first page's, and one for all


CHILD = """
import sys, pathlib
sys.path.insert(0, {root!r})
from ingest_assets_tests.http import test_refresh as t
sys.stdin.readline()
t.page({url!r}, pathlib.Path({folder!r}), {refresh!r})
print("fine")
"""


def test_a_process_that_is_killed_between_renewal_and_storing_locks_nobody_out_in_silence(server, tmp_path):
    granted, messages, chance = "refresh-0", [], random.Random(5)  # noqa: S311 -- any moment will do
    for number in range(50 if LONG else 5):
        root = str(Path(__file__).parent.parent.parent)
        code = CHILD.format(root=root, url=server.url, folder=str(tmp_path), refresh=granted)
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        server.kill = (child.pid, -1.0 if number % 2 else chance.uniform(0, 0.004))
        child.communicate("go\n")
        server.kill = None
        try:
            page(server.url, tmp_path, granted)
        except RequestFailed as error:
            messages.append(str(error))
            granted = server.refresh = f"granted-{number}"
            page(server.url, tmp_path, granted)
        server.access = "revoked"

    told = "the answer was lost, with the refresh token that took its place: put a new one into environment variable"
    assert [message for message in messages if told not in message] == []
    assert len(messages) >= (20 if LONG else 2)


def test_a_refresh_token_is_on_disk_before_its_answer_is_used(tmp_path):
    file = TokenFile(tmp_path, "key")

    file.note_sent("refresh-0")

    kept = TokenFile(tmp_path, "key").refresh()
    assert (kept.value, kept.is_pending, TokenFile(tmp_path, "key").fresh()) == ("refresh-0", True, None)
    assert "refresh-0" not in repr(kept)
