"""Entries of a Vault with odd names, and who asks for them; what a real one answers is tried in `real`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import TypeAdapter

from ingest_assets.errors import ConfigError, RequestFailed
from ingest_assets.http.auth import Auth
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets_tests.loopback import Replying, serving


@dataclass
class Told:
    """What the Vault holds, by path; its newest login is the only one that is good. `refuses` is a status for all."""

    refuses: int = 0
    asked: int = 0
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    logins: int = 0
    url: str = ""


class Handler(Replying):
    """An engine of version 2 at `secret/`, and AppRole."""

    def post(self) -> None:
        self.body()
        self.server.told.logins += 1  # type: ignore[attr-defined]
        self.send(200, {"auth": {"client_token": f"token-{self.server.told.logins}", "lease_duration": 3600}})  # type: ignore[attr-defined]

    def get(self) -> None:
        told, path = self.server.told, unquote(self.path)  # type: ignore[attr-defined]
        told.asked += 1
        found = told.entries.get(path.removeprefix("/v1/secret/data/"))
        if told.refuses:
            self.send(told.refuses, {"errors": ["not now"]})
        elif self.headers["X-Vault-Token"] != f"token-{told.logins}":
            self.send(403, {"errors": ["permission denied"]})
        elif path.startswith("/v1/sys/internal/ui/mounts/secret/"):
            self.send(200, {"data": {"path": "secret/", "options": {"version": "2"}}})
        else:
            self.send(404 if found is None else 200, {"data": {"data": found}})


@pytest.fixture
def vault() -> Iterator[Told]:
    """A running one."""
    with serving(Handler, told=Told()) as server:
        server.told.url = server.url  # type: ignore[attr-defined]
        yield server.told  # type: ignore[attr-defined]


def secrets(vault: Told, **more: str) -> Secrets:
    return Secrets(environ={"VAULT_ADDR": vault.url, "VAULT_ROLE_ID": "role-1", "VAULT_SECRET_ID": "secret-1"} | more)


@pytest.mark.parametrize("name", ["shop#2", "shop?", "50%25", "a shop", "lädle"])
def test_an_entry_is_read_by_its_whole_name_whatever_characters_are_in_it(vault: Told, name: str) -> None:
    vault.entries = {name: {"token": "the-right-one"}, "shop": {"token": "another-one"}}

    assert secrets(vault).value(Secret(vault=f"secret/{name}", field="token")) == "the-right-one"


def test_a_login_that_was_revoked_is_made_anew_also_where_an_empty_token_is_set(vault: Told) -> None:
    vault.entries = {"shop": {"token": "first-value-1"}}
    found, secret = secrets(vault, VAULT_TOKEN=""), Secret(vault="secret/shop", field="token", cached_for=timedelta(0))
    found.value(secret)
    vault.logins += 1

    assert found.value(secret) == "first-value-1"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_value_that_is_known_goes_on_and_a_store_that_does_not_give_it_is_left_alone_for_a_while(
    vault: Told, status: int
) -> None:
    vault.entries = {"shop": {"token": "first-value-1"}}
    found, secret = secrets(vault), Secret(vault="secret/shop", field="token", cached_for=timedelta(0))
    found.value(secret)
    vault.asked, vault.refuses = 0, status

    values = [found.value(secret) for _ in range(9)]

    assert values == ["first-value-1"] * 9
    assert vault.asked <= 2  # by a login of AppRole that may have been revoked, and by another one


def test_a_value_that_the_api_refuses_is_looked_up_however_short_ago_the_store_gave_none(vault: Told) -> None:
    vault.entries = {"shop": {"token": "first-value-1"}}
    found, secret = secrets(vault), Secret(vault="secret/shop", field="token", cached_for=timedelta(0))
    found.value(secret)
    vault.refuses = 503
    found.value(secret)

    vault.refuses, vault.entries = 0, {"shop": {"token": "second-value-2"}}

    assert found.renewed([secret], {secret: "first-value-1"})
    assert found.value(secret) == "second-value-2"


AWS = TypeAdapter(Auth).validate_python(
    {
        "type": "aws_sigv4", "region": "eu-west-1", "service": "execute-api", "access_key_id": "AKIAINGESTTEST",
        "secret_access_key": {"vault": "secret/aws", "field": "key"},
    }
)  # fmt: skip


def page(client: Client) -> bytes:
    return client.fetch(PageRequest(client.origin), lambda answer: b"".join(answer.chunks()))


def test_a_key_that_was_replaced_is_found_where_an_api_refuses_the_former_one_with_403_as_aws_does(
    vault: Told, api: Any
) -> None:
    vault.entries = {"aws": {"key": "first-secret-key"}}
    api.answer(200, b"[1]").answer(403, b"{}").answer(200, b"[2]")
    with Client(api.url, AWS, secrets(vault)) as client:
        page(client)
        vault.entries = {"aws": {"key": "second-secret-key"}}

        assert page(client) == b"[2]"


def test_for_pages_that_are_forbidden_the_store_is_asked_once_and_not_for_each(vault: Told, api: Any) -> None:
    vault.entries = {"aws": {"key": "first-secret-key"}}
    api.answer(403, b"{}")
    with Client(api.url, AWS, secrets(vault)) as client:
        for _ in range(5):
            with pytest.raises(RequestFailed):
                page(client)

    assert len(api.asked) == 5
    assert vault.asked == 2 * 2  # what it is, and once more after the first 403: an entry takes two requests


def test_a_403_stays_one_where_the_store_cannot_say_whether_the_key_is_another_one(vault: Told, api: Any) -> None:
    vault.entries = {"aws": {"key": "first-secret-key"}}
    api.answer(200, b"[1]").answer(403, b"{}")
    with Client(api.url, AWS, secrets(vault)) as client:
        page(client)
        vault.refuses = 503

        for _ in range(2):
            with pytest.raises(RequestFailed, match="403"):
                page(client)


def test_an_entry_without_texts_is_told_as_such(vault: Told) -> None:
    vault.entries = {"shop": {"token": 123456}}

    with pytest.raises(ConfigError, match=r"no such field that is a text; there are none: expected an object of texts"):
        secrets(vault).value(Secret(vault="secret/shop", field="token"))
