"""Every kind of auth against an API that repeats whatever it is sent, amid faults: no secret is kept or said."""

import base64
import json
import os
import socket
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import duckdb
import pytest
from backports import zstd
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ingest_assets_tests.loopback import Replying, serving

LONG = os.environ.get("INGEST_LONG") == "1"
PAGES = 3
_TOKEN = 'token_url: "URL/NAME/token", client_id: ingest'
KINDS = {
    "bearer": "type: bearer, token: {env: BEARER}",
    "basic": "type: basic, user: jo, password: {env: BASIC}",
    "in_query": "type: api_key, name: key, place: query, value: {env: QUERY}",
    "in_body": "type: api_key, name: auth.key, place: body, value: {env: BODY}",
    "client": f"type: oauth2_client_credentials, {_TOKEN}, client_secret: {{env: CLIENT}}",
    "client_form": f"type: oauth2_client_credentials, {_TOKEN}, place: body, client_secret: {{env: FORM}}",
    "client_key": f"type: oauth2_client_credentials, {_TOKEN}, private_key: {{file: KEY_FILE}}",
    "refresh": f"type: oauth2_refresh_token, {_TOKEN}, refresh_token: {{env: REFRESH}}",
    "assertion": f"type: oauth2_jwt, {_TOKEN}, private_key: {{file: KEY_FILE}}",
    "signed_here": "type: jwt, key: {env: JWT}, algorithm: HS256",
    "hashed": 'type: hmac, key: {env: HMAC}, message: "{url}{body}", headers: {X-Signature: "{signature}"}',
    "aws": "type: aws_sigv4, region: r, service: s, access_key_id: AKIA, secret_access_key: {env: AWS}",
    "in_turn": "type: rotated, each: [{type: bearer, token: {env: TURN_1}}, {type: bearer, token: {env: TURN_2}}]",
    "login": 'type: login, login_url: "URL/NAME/login", user: jo, password: {env: LOGIN}, token: access_token',
    "stored": "type: bearer, token: {vault: secret/shop, field: token}",
    "bought": "type: bearer, token: {aws_secret: shop, field: token}",
    "session": 'type: login, login_url: "URL/NAME/login", user: jo, password: {env: SESSION}, cookie: sid',
}
SHORT = ("in_query", "refresh", "session", "stored")
ENDPOINT = """
  {name}:
    path: /{name}
    method: POST
    body: {{}}
    records: data
    paginator: {{type: cursor, path: next, param: cursor}}
    primary_key: id
"""


class Handler(Replying):
    """Gives tokens, and pages that repeat their requests in many encodings; each page fails in some way first.

    It is a Vault and AWS's Secrets Manager, too: both give a secret by name.
    """

    def post(self):
        body = self.body().decode()
        parts = urlsplit(self.path)
        if (entry := self.entry(parts.path)) is not None:
            self.send(200, entry)
            return
        _, source, name = parts.path.split("/")[:3]
        echo = [*self.headers.values(), self.path, body, *(v for vs in parse_qs(parts.query).values() for v in vs)]
        told = [form for text in echo for form in forms(text)]
        if name in ("token", "login"):
            self.give(source, told)
        else:
            self.page(name, f"{source}/{name}", json.loads(body or "{}").get("cursor", "0"), told)

    get = post

    def entry(self, path):
        """What a store answers; None for any other request."""
        if path == "/v1/sys/internal/ui/mounts/secret/shop":
            return {"data": {"path": "secret/", "options": {"version": "2"}}}
        if path == "/v1/secret/data/shop":
            return {"data": {"data": {"token": self.server.kept["VAULT"], "other": "of no use"}}}
        if "secretsmanager" in self.headers.get("X-Amz-Target", ""):
            return {"Name": "shop", "SecretString": json.dumps({"token": self.server.kept["STORE"]})}
        return None

    def give(self, source, told):
        """A token, a refresh token and a cookie, after a failure that repeats what was sent."""
        self.server.counted[source] += 1
        number = self.server.counted[source]
        if number == 1:
            self.send(503, {"error": "server_error", "error_description": " ".join(told)}, {"Retry-After": "0"})
            return
        given = {name: f"{name}/of+{source}={number}" for name in ("access_token", "refresh_token", "cookie")}
        self.server.given += given.values()
        told = {"access_token": given["access_token"], "refresh_token": given["refresh_token"], "token_type": "Bearer"}
        self.send(200, told, {"Set-Cookie": f"sid={given['cookie']}"})

    def page(self, name, key, cursor, told):
        """A page, once it failed by 500, 429, 401, a cut body and a broken connection; the last of `bad` for good."""
        self.server.counted[key, cursor] += 1
        self.server.credentials += [
            value.rpartition(" ")[2] for one, value in self.headers.items() if one.lower() == "authorization"
        ]
        takes_tokens = any(word in key for word in ("client", "refresh", "assertion", "signed", "login", "session"))
        faults = {"0": {1: 500, 2: 429}, "1": {1: 401, 2: "cut"} if takes_tokens else {1: "cut"}, "2": {1: "reset"}}
        fault = faults.get(cursor, {}).get(self.server.counted[key, cursor])
        self.server.counted[fault] += 1
        if fault == "reset":
            self.reset()
        elif fault == "cut":
            self.send(200, {"data": [{"id": 0, "told": told}], "next": None}, cut=True)
        elif fault and (fault != 401 or takes_tokens):
            self.send(fault, {"error": {"message": " ".join(told)}}, {"Retry-After": "0"})
        elif name == "bad" and cursor == "2":
            self.send(400, {"error": {"message": " ".join(told)}}, {"X-Request-Id": told[0]})
        else:
            number = int(cursor)
            after = str(number + 1) if number + 1 < PAGES else None
            self.send(200, {"data": [{"id": number, "told": told, "also": {"text": told[-1]}}], "next": after})

    def reset(self):
        """End the connection without a word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)


def forms(text):
    """A text as it may turn up."""
    raw = text.encode()
    encoded = [base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    return [text, quote(text, safe=""), quote_plus(text), quote(text), json.dumps(text)[1:-1], *encoded]


def everything(folder: Path) -> Iterator[bytes]:
    """All that is kept, as it is and as it can be read: files, frames, rows of every database."""
    for file in (one for one in folder.rglob("*") if one.is_file()):
        yield file.read_bytes()
        if file.suffix == ".zst" and file.stat().st_size:
            with zstd.open(file) as frames:
                yield frames.read()
        if file.suffix == ".db":
            connection = sqlite3.connect(file)
            yield "\n".join(connection.iterdump()).encode()
            connection.close()
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as reader:
        for schema, table in reader.sql("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
            yield str(reader.sql(f'SELECT * FROM "{schema}"."{table}"').fetchall()).encode()  # noqa: S608 -- its own


@pytest.fixture
def place(tmp_path):
    """Source files of each kind, and the environment with their secrets."""
    key = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = key.private_bytes(*form).decode()
    (tmp_path / "key.pem").write_text(pem)
    kinds = KINDS if LONG else {name: KINDS[name] for name in SHORT}
    names = ("BEARER", "BASIC", "QUERY", "BODY", "CLIENT", "FORM", "REFRESH", "JWT", "HMAC", "AWS", "TURN_1", "TURN_2")
    secrets = {name: f'5ecret/{name}+of="the&shop%{name}' for name in (*names, "LOGIN", "SESSION")}
    kept_elsewhere = {name: f'5ecret/{name}+of="the&shop%{name}' for name in ("VAULT", "STORE")}
    asked_with = {name: f"5ecret-{name}-of-the-shop" for name in ("VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY")}
    aws = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    own = {f"INGEST_{name.upper()}": str(tmp_path / name) for name in ("limits", "tokens", "sources", "data")}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = kept | secrets | own | {"NO_PROXY": "127.0.0.1", "DAGSTER_HOME": str(tmp_path / "data" / "dagster")}
    (tmp_path / "sources").mkdir()
    with serving(Handler, counted=Counter(), given=[], credentials=[], kept=kept_elsewhere) as server:
        environment |= asked_with | aws | {"VAULT_ADDR": server.url, "AWS_ENDPOINT_URL": server.url}
        for name, kind in kinds.items():
            auth = kind.replace("NAME", name).replace("KEY_FILE", str(tmp_path / "key.pem"))
            auth = auth.replace("URL", server.url)
            text = f'base_url: "{server.url}/{name}"\nauth: {{{auth}}}\nerror_message: error.message\nendpoints:\n'
            text += "".join(ENDPOINT.format(name=one) for one in ("good", "bad"))
            (tmp_path / "sources" / f"{name}.yaml").write_text(text)
        yield (
            tmp_path,
            kinds,
            environment,
            server,
            [
                *(value for told in (secrets, kept_elsewhere, asked_with) for value in told.values()),
                *(pem, pem.splitlines()[1]),
            ],
        )


def test_no_secret_is_in_anything_that_is_kept_or_said(place):
    folder, kinds, environment, server, secrets = place

    def ingest(*words):
        command = (sys.executable, "-m", "ingest_assets.cli", *words)
        done = subprocess.run(command, capture_output=True, env=environment, cwd=folder, check=False)
        return done.stdout + done.stderr

    first = next(iter(kinds))
    words = [("run", *kinds), ("check", first), ("trace", first)]
    said = {one[0]: ingest(*one) for one in [*words, ("status", *kinds)][: 4 if LONG else 3]}

    made_here = [text for text in server.credentials if text.startswith("eyJ")]  # JWTs
    wanted = {form for secret in [*secrets, *server.given, *made_here] for form in forms(secret)}
    kept = [*everything(folder / "data"), *said.values()]
    assert not [(form, where) for form in wanted for where, text in enumerate(kept) if form.encode() in text]
    whole = b"".join(kept)
    for name in kinds:
        assert f"{name}.bad".encode() in said["run"], said["run"].decode()
        assert f"POST {server.url}/{name}/bad".encode() in whole
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as reader:
        loaded = {name: reader.table(f"{name}.good").shape[0] for name in kinds}
    assert loaded == dict.fromkeys(kinds, PAGES)
    assert min(server.counted[fault] for fault in (500, 429, 401, "cut", "reset")) > 0
    assert b"~hidden." in whole
