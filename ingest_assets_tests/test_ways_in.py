"""Auth of an endpoint of its own, and several tokens of one API that are used by their quota."""

import json
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest

from ingest_assets import catalog
from ingest_assets.errors import ConfigError
from ingest_assets.line import Line
from ingest_assets_tests.loopback import Replying, serving

PAGES = 9


class Handler(Replying):
    """Gives pages to whoever has a known token; each token may ask `quota` times, then it is told to wait an hour."""

    def get(self):
        told, parts = self.server, urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        told.asked[parts.path, token] += 1
        if token not in told.tokens[parts.path]:
            self.send(401, {})
        elif told.asked[parts.path, token] > told.quota:
            self.send(429, {}, {"Retry-After": "3600"})
        else:
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            self.send(200, {"data": [{"id": page}], "pages": PAGES})


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("LIMITS", "TOKENS"):
        monkeypatch.setenv(f"INGEST_{name}", str(tmp_path / name))
    for number in range(3):
        monkeypatch.setenv(f"TOKEN_{number}", f"token-number-{number}")
    return tmp_path


def line(home, text):
    (home / "shop.yaml").write_text(text)
    return Line(catalog.load(home / "shop.yaml", [home]), home / "data", run="test")


def rows(line, endpoint):
    with line.partition(endpoint, None):
        line.fetch(endpoint, None)
        line.load(endpoint, None)
    line.publish()
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as reader:
        return reader.table(f"shop.{endpoint}").shape[0]


ENDPOINT = "{path: /%s, records: data, paginator: {type: page, total_pages: pages}, primary_key: id%s}"


def test_an_endpoint_may_have_a_way_in_of_its_own(home):
    own = ", auth: {type: bearer, token: {env: TOKEN_1}}"
    tokens = {"/orders": {"token-number-0"}, "/private": {"token-number-1"}}
    with serving(Handler, asked=Counter(), quota=99, tokens=tokens) as server:
        text = f'base_url: "{server.url}"\nauth: {{type: bearer, token: {{env: TOKEN_0}}}}\nendpoints:\n'
        text += f"  orders: {ENDPOINT % ('orders', '')}\n  private: {ENDPOINT % ('private', own)}\n"
        shop = line(home, text)

        counts = [rows(shop, name) for name in ("orders", "private")]

    assert counts == [PAGES, PAGES]
    assert set(server.asked) == {("/orders", "token-number-0"), ("/private", "token-number-1")}
    assert [name for auth in shop.source.ways_in for name in auth.secret_names()] == [
        "environment variable TOKEN_0",
        "environment variable TOKEN_1",
    ]


def rotated(url, limits=""):
    each = ", ".join(f"{{type: bearer, token: {{env: TOKEN_{number}}}}}" for number in range(3))
    text = f'base_url: "{url}"\nauth: {{type: rotated, each: [{each}]}}\n{limits}\nendpoints:\n'
    return text + f"  orders: {ENDPOINT % ('orders', '')}\n"


def test_where_the_quota_of_one_token_is_used_up_the_next_one_goes_on(home):
    tokens = {"/orders": {f"token-number-{number}" for number in range(3)}}
    with serving(Handler, asked=Counter(), quota=4, tokens=tokens) as server:
        begun = time.monotonic()

        count = rows(line(home, rotated(server.url)), "orders")

    assert count == PAGES
    assert time.monotonic() - begun < 30  # and not the hour that each used token was told to wait
    assert sorted(server.asked.values(), reverse=True)[:2] == [5, 5]


def test_each_token_counts_in_the_limits_by_itself(home):
    tokens = {"/orders": {f"token-number-{number}" for number in range(3)}}
    limits = "rate_limit: {requests: 3, per: PT1H}\nmax_wait: PT1S"
    with serving(Handler, asked=Counter(), quota=99, tokens=tokens) as server:
        count = rows(line(home, rotated(server.url, limits)), "orders")

    assert count == PAGES
    assert set(server.asked.values()) == {3}


def test_the_token_that_was_refused_is_looked_up_again_and_not_the_one_before(home):
    class Replacing(Handler):
        def get(self):
            if self.headers["Authorization"] == "Bearer first-value-1":
                file.write_text("second-value-2")
            super().get()

    file = home / "token"
    file.write_text("first-value-1")
    tokens = {"/orders": {"token-number-0", "second-value-2"}}
    with serving(Replacing, asked=Counter(), quota=5, tokens=tokens) as server:
        each = f"{{type: bearer, token: {{env: TOKEN_0}}}}, {{type: bearer, token: {{file: {json.dumps(str(file))}}}}}"
        text = f'base_url: "{server.url}"\nauth: {{type: rotated, each: [{each}]}}\nendpoints:\n'

        count = rows(line(home, text + f"  orders: {ENDPOINT % ('orders', '')}\n"), "orders")

    assert count == PAGES
    assert server.asked["/orders", "first-value-1"] == 1


def test_a_placeholder_that_nothing_replaces_is_told_in_an_auth_of_its_own(home):
    own = ', auth: {type: basic, user: "{nobody}"}'

    with pytest.raises(ConfigError, match=r"\{nobody\} is replaced by nothing"):
        line(home, f"base_url: https://x.example\nendpoints:\n  private: {ENDPOINT % ('private', own)}\n")
