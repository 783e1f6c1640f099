"""A walk whose token ends on the way, and whose token's server gives no other one: that says nothing of its pages."""

from urllib.parse import parse_qs, urlsplit

import pytest

from ingest_assets import catalog
from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.line import Line, Pace
from ingest_assets_tests.loopback import Replying, serving

LIFE = 3  # requests that a token is good for
OAUTH2 = '{{type: oauth2_client_credentials, token_url: "{url}/token", client_id: me, client_secret: {{env: SECRET}}}}'
LOGIN = '{{type: login, login_url: "{url}/token", user: me, password: {{env: SECRET}}, token: access_token}}'
FILE = """\
base_url: {url}
auth: %s
endpoints:
  shops: {{path: /shops, records: data, primary_key: id, auth: {{type: none}}}}
  things: {{path: /things, records: data, primary_key: id, paginator: {{type: page, until: 404}}}}
  orders: {{path: "/shops/{{shops.id}}/orders", records: data, primary_key: id, parents: {{gone: [404]}}}}
"""


class Handler(Replying):
    """Things on nine pages, and an order of each of nine shops, for a token that is good for some requests."""

    def post(self):
        self.body()
        self.server.tokens += 1
        self.server.uses = 0
        status = 200 if self.server.tokens == 1 else self.server.refusal
        self.send(status, {"access_token": "token-number-1"} if status == 200 else {"error": "invalid_client"})

    def get(self):
        parts = urlsplit(self.path)
        if parts.path == "/shops":
            self.send(200, {"data": [{"id": number} for number in range(1, 10)]})
            return
        self.server.uses += 1
        page = int(parse_qs(parts.query).get("page", [0])[0])
        if self.server.uses > LIFE:
            self.send(401, {})
        else:
            self.send(200 if page < 10 else 404, {"data": [{"id": self.path}]})


@pytest.fixture
def line_of(tmp_path, monkeypatch):
    for name, value in {"INGEST_LIMITS": tmp_path / "l", "INGEST_TOKENS": tmp_path / "t", "SECRET": "s3cr3t"}.items():
        monkeypatch.setenv(name, str(value))

    def made(server, auth):
        (tmp_path / "shop.yaml").write_text((FILE % auth).format(url=server.url))
        source = catalog.load(tmp_path / "shop.yaml", [tmp_path])
        return Line(source, tmp_path / "data", run="test", pace=Pace(retry_seconds=0.0))

    return made


@pytest.mark.parametrize("auth", [OAUTH2, LOGIN])
def test_a_token_url_that_is_not_there_is_no_last_page(line_of, auth):
    with serving(Handler, refusal=404, tokens=0, uses=0) as server:
        line = line_of(server, auth)

        with pytest.raises(RequestFailed, match=r"/token: HTTP 404"):
            line.fetch("things", None)


@pytest.mark.parametrize("refusal", [400, 403, 404, 500])
@pytest.mark.parametrize("auth", [OAUTH2, LOGIN])
def test_without_a_token_no_other_parent_is_asked_for(line_of, auth, refusal):
    with serving(Handler, refusal=refusal, tokens=0, uses=0) as server:
        line = line_of(server, auth)
        line.fetch("shops", None)
        line.load("shops", None)

        with pytest.raises(TransientFailure if refusal == 500 else RequestFailed, match=f"HTTP {refusal}"):
            line.fetch("orders", None)

        assert server.tokens <= (7 if refusal == 500 else 2)  # it is tried six times
