"""`ingest auth`: a person allows a client in on a server's page, and from then on its refresh token does."""

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from ingest_assets import catalog
from ingest_assets.errors import ConfigError
from ingest_assets.line import Line
from ingest_assets_tests.loopback import Replying, serving

FILE = """
base_url: "{url}"
auth:
  type: oauth2_refresh_token
  token_url: "{url}/token"
  authorize_url: "{url}/authorize"
  client_id: ingest
  scope: orders.read offline_access
  authorize_params: {{prompt: consent}}
endpoints:
  orders: {{path: /orders, records: data, primary_key: id}}
"""
CODE, REFRESH = "code-of-the-person", "refresh-of-the-person"


class Handler(Replying):
    """An authorization server and its API. `refuses` is the error that the person's page ends with."""

    def get(self):
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/authorize":
            self.server.permitted = asked
            told = {"error": self.server.refuses} if self.server.refuses else {"code": CODE}
            self.send(302, {}, {"Location": f"{asked['redirect_uri']}?{urlencode(told | {'state': asked['state']})}"})
        else:
            good = self.headers["Authorization"] == "Bearer access-token-1"
            self.send(200 if good else 401, {"data": [{"id": 1}] if good else []})

    def post(self):
        body = self.body().decode()
        told = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.tokens.append(told)
        digest = hashlib.sha256(told.get("code_verifier", "").encode()).digest()
        asked = self.server.permitted
        if told["grant_type"] == "authorization_code" and (
            told["code"] != CODE
            or told["redirect_uri"] != asked["redirect_uri"]
            or base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]
        ):
            self.send(400, {"error": "invalid_grant"})
            return
        self.send(200, {"access_token": "access-token-1", "token_type": "Bearer", "expires_in": 60} | self.server.gives)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("INGEST_TOKENS", str(tmp_path / "tokens"))
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Handler, permitted={}, tokens=[], refuses="", gives={"refresh_token": REFRESH}) as running:
        (tmp_path / "shop.yaml").write_text(FILE.format(url=running.url))
        yield running


@contextmanager
def asking(folder, *options) -> Iterator[tuple[subprocess.Popen, str]]:
    """The command at work, and the address that it wants opened."""
    command = (sys.executable, "-m", "ingest_assets.cli", "--data", str(folder / "data"), "auth")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    words = (*command, str(folder / "shop.yaml"), *options)
    with subprocess.Popen(words, text=True, env={**os.environ}, **pipes) as process:
        line = ""
        while not line.startswith("http"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
        yield process, line.strip()
        process.kill()


def opened(url):
    """Where a browser ends that opens an address, and its status."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
            return answer.geturl(), answer.status
    except HTTPError as error:
        error.close()
        return error.geturl(), error.code


def rows(folder):
    line = Line(catalog.load(folder / "shop.yaml", [folder]), folder / "data", run="test")
    with line.partition("orders", None):
        line.fetch("orders", None)
        return line.load("orders", None)


def test_a_person_allows_it_once_and_the_source_is_in(server, tmp_path):
    with pytest.raises(ConfigError, match="run `ingest auth shop` once"):
        rows(tmp_path)

    with asking(tmp_path, "--no-browser") as (process, url):
        _, status = opened(url)
        said, complained = process.communicate(timeout=30)

    assert (process.returncode, status) == (0, 200), complained
    assert "allowed in" in said
    assert rows(tmp_path)
    assert [told["grant_type"] for told in server.tokens] == ["authorization_code"]
    asked = server.permitted
    assert (asked["scope"], asked["prompt"], asked["code_challenge_method"]) == (
        "orders.read offline_access", "consent", "S256",
    )  # fmt: skip
    (file,) = (tmp_path / "tokens").glob("*.refresh")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["value"] == REFRESH
    stored = b"".join(one.read_bytes() for one in (tmp_path / "data").rglob("*") if one.is_file())
    told = said + complained + stored.decode("latin-1")
    assert not [secret for secret in (REFRESH, CODE, "access-token-1") if secret in told]


def test_the_refresh_token_that_was_granted_is_used_and_replaced(server, tmp_path):
    with asking(tmp_path, "--no-browser") as (process, url):
        opened(url)
        process.communicate(timeout=30)
    (file,) = (tmp_path / "tokens").glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lifetime_seconds": 0.001}))
    server.gives = {"refresh_token": "refresh-number-2"}

    rows(tmp_path)

    assert server.tokens[-1] == {
        "grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": "ingest",
        "scope": "orders.read offline_access",
    }  # fmt: skip
    (refresh,) = (tmp_path / "tokens").glob("*.refresh")
    assert json.loads(refresh.read_text())["value"] == "refresh-number-2"


def test_an_answer_that_belongs_to_another_request_is_not_taken(server, tmp_path):
    with asking(tmp_path, "--no-browser") as (process, url):
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        opened(f"{back}?{urlencode({'code': 'stolen', 'state': 'guessed'})}")
        opened(back.replace("/callback", "/favicon.ico"))
        opened(url)
        process.communicate(timeout=30)

    assert process.returncode == 0
    assert [told["code"] for told in server.tokens] == [CODE]


def test_a_refusal_is_told(server, tmp_path):
    server.refuses = "access_denied"

    with asking(tmp_path, "--no-browser") as (process, url):
        opened(url)
        _, complained = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "permission was refused: 'access_denied'" in complained
    assert server.tokens == []


def test_an_answer_without_a_refresh_token_says_what_to_ask_for(server, tmp_path):
    server.gives = {}

    with asking(tmp_path, "--no-browser") as (process, url):
        opened(url)
        _, complained = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "offline_access" in complained


def test_the_address_may_be_pasted_from_a_browser_elsewhere(server, tmp_path):
    with asking(tmp_path, "--paste") as (process, url):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        server.permitted = asked
        address = f"{asked['redirect_uri']}?{urlencode({'code': CODE, 'state': asked['state']})}"
        said, complained = process.communicate(address + "\n", timeout=30)

    assert process.returncode == 0, complained
    assert "allowed in" in said


def test_a_source_that_nobody_has_to_allow_is_told(server, tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(re.sub(r"auth:\n(  .*\n)+", "auth: {type: none}\n", file.read_text()))
    command = (sys.executable, "-m", "ingest_assets.cli", "auth", str(file))

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 2
    assert "nobody has to be asked" in done.stderr
