"""Secrets of a real Vault (OpenBao): read by token and AppRole, rotated in mid-walk, and its refusals in words."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from ingest_assets.errors import ConfigError, IngestError, TransientFailure
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets_tests.loopback import serving
from ingest_assets_tests.rotating import ALL, Handler, Keys, walked

ROOT = "root-token-of-the-test"
NAMED = "{vault: secret/team/shop, field: token}"
START = ("server", "-dev", f"-dev-root-token-id={ROOT}", "-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token")
POLICY = 'path "secret/data/team/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def started(installed: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Starts a Vault of its own."""
    command = [str(installed("openbao").parent / "bao"), *START]
    folder = tmp_path_factory.mktemp("openbao")
    return lambda: running(command, {"HOME": str(folder)}, folder / "log")


@pytest.fixture(scope="module")
def vault(started: Any) -> Iterator[hvac.Client]:
    """A running Vault that holds a shop's token, as its root."""
    with started() as url:
        client = hvac.Client(url=url, token=ROOT)
        for _ in range(100):
            with contextlib.suppress(hvac.exceptions.VaultError):  # it listens before it is unsealed
                put(client, "first-value-1")
                break
        client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        client.secrets.kv.v1.create_or_update_secret("shop", {"token": "of-version-1"}, mount_point="old")
        client.sys.create_or_update_policy("shop", POLICY)
        client.sys.enable_auth_method("approle")
        client.auth.approle.create_or_update_approle("ingest", token_policies=["shop"], token_ttl="1h")
        yield client


def put(client: hvac.Client, value: str) -> None:
    client.secrets.kv.v2.create_or_update_secret(path="team/shop", secret={"token": value, "number": 5})


def read(environ: dict[str, str], vault: str = "secret/team/shop", field: str = "token") -> str:
    return Secrets(environ=environ).value(Secret(vault=vault, field=field))


def by_token(client: hvac.Client, token: str = ROOT) -> dict[str, str]:
    return {"VAULT_ADDR": client.url, "VAULT_TOKEN": token}


def by_role(client: hvac.Client) -> dict[str, str]:
    role = client.auth.approle.read_role_id("ingest")["data"]["role_id"]
    secret = client.auth.approle.generate_secret_id("ingest")["data"]["secret_id"]
    return {"VAULT_ADDR": client.url, "VAULT_ROLE_ID": role, "VAULT_SECRET_ID": secret}


@pytest.mark.parametrize("who", [by_token, by_role])
def test_a_secret_is_read_by_token_or_role(vault: hvac.Client, who: Callable[[hvac.Client], dict[str, str]]) -> None:
    put(vault, "first-value-1")

    value = read(who(vault))

    assert value == "first-value-1"


def test_an_engine_without_versions_is_read_too(vault: hvac.Client) -> None:
    assert read(by_token(vault), "old/shop") == "of-version-1"


def test_credentials_of_the_vault_are_hidden_as_secrets_are(vault: hvac.Client) -> None:
    environ = by_role(vault)
    secrets = Secrets(environ=environ)

    secrets.value(Secret(vault="secret/team/shop", field="token"))

    assert secrets.redactor().text(environ["VAULT_SECRET_ID"]) == "~hidden.VAULT_SECRET_ID.plain."


def test_a_token_of_the_role_that_was_revoked_is_replaced(vault: hvac.Client) -> None:
    secrets, secret = Secrets(environ=by_role(vault)), Secret(vault="secret/team/shop", field="token")
    before = {secret: secrets.value(secret)}
    vault.auth.token.revoke(secrets.in_use("VAULT_approle_token"))
    put(vault, "value-after-revocation")

    renewed = secrets.renewed([secret], before)

    assert renewed
    assert secrets.value(secret) == "value-after-revocation"


@pytest.mark.parametrize(
    ("vault_path", "field", "more", "says"),
    [
        ("secret/team/none", "token", {}, "there is no such entry"),
        ("secret/team/shop", "tokn", {}, "no such field that is a text; there are token"),
        ("secret/team/shop", "number", {}, "no such field that is a text"),
        ("nothing/shop", "token", {}, "there is no such engine"),
        ("secret/team/shop", "token", {"VAULT_TOKEN": "no-such-token"}, "permission denied"),
        ("secret/team/shop", "token", {"VAULT_TOKEN": ""}, "set VAULT_TOKEN, or VAULT_ROLE_ID"),
        ("secret/team/shop", "token", {"VAULT_ADDR": ""}, "set VAULT_ADDR"),
        (
            "secret/team/shop",
            "token",
            {"VAULT_TOKEN": "", "VAULT_ROLE_ID": "not-a-role", "VAULT_SECRET_ID": "not-a-secret"},
            "check VAULT_ROLE_ID",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    vault: hvac.Client, vault_path: str, field: str, more: dict[str, str], says: str
) -> None:
    put(vault, "first-value-1")

    with pytest.raises(ConfigError, match=says) as failed:
        read(by_token(vault) | more, vault_path, field)

    assert vault_path in str(failed.value)
    assert ROOT not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_role_without_permission_is_told(vault: hvac.Client) -> None:
    vault.secrets.kv.v2.create_or_update_secret(path="others", secret={"token": "not-for-ingest"})

    with pytest.raises(ConfigError, match="permission denied"):
        read(by_role(vault), "secret/others")


def test_a_vault_that_is_not_there_is_a_failure_that_may_pass() -> None:
    with pytest.raises(TransientFailure, match="no answer of the Vault"):
        read({"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": ROOT})


def test_a_server_that_is_no_vault_is_told() -> None:
    with serving(Handler, keys=Keys("none")) as server, pytest.raises(IngestError, match="Vault"):
        read({"VAULT_ADDR": server.url, "VAULT_TOKEN": ROOT})


def test_a_sealed_vault_may_pass_and_what_is_known_goes_on(started: Any) -> None:
    with started() as url:
        client = hvac.Client(url=url, token=ROOT)
        put(client, "first-value-1")
        known, secret = (
            Secrets(environ=by_token(client)),
            Secret(vault="secret/team/shop", field="token", cached_for="P1D"),
        )
        hurried = secret.model_copy(update={"cached_for": secret.cached_for * 0})
        known.value(secret)

        client.sys.seal()

        assert known.value(hurried) == "first-value-1"
        with pytest.raises(TransientFailure, match="sealed"):
            read(by_token(client))
        with pytest.raises(TransientFailure, match="sealed"):
            known.renewed([secret], {secret: "first-value-1"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a walk keeps what it keeps."""
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    return tmp_path


def test_a_secret_that_is_rotated_in_mid_walk_is_fetched_again(
    vault: hvac.Client, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault, "first-value-1")
    keys = Keys("first-value-1")

    def rotate() -> None:
        keys.key = "second-value-2"
        put(vault, keys.key)

    keys.before[4] = rotate
    for name, value in by_role(vault).items():
        monkeypatch.setenv(name, value)
    with serving(Handler, keys=keys) as server:
        ids = walked(home, server.url, NAMED)

    assert ids == ALL
    assert keys.statuses.count(401) == 1
    stored = b"".join(file.read_bytes() for file in (home / "data").rglob("*") if file.is_file())
    assert not [
        text for text in (b"first-value-1", b"second-value-2", os.environb[b"VAULT_SECRET_ID"]) if text in stored
    ]


def test_a_key_that_the_api_refuses_for_good_ends_the_walk(
    vault: hvac.Client, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault, "first-value-1")
    keys = Keys("first-value-1")
    keys.before[4] = lambda: setattr(keys, "key", "known-to-nobody")
    for name, value in by_token(vault).items():
        monkeypatch.setenv(name, value)

    with serving(Handler, keys=keys) as server, pytest.raises(IngestError, match=r"401.*Vault secret/team/shop"):
        walked(home, server.url, NAMED)

    assert keys.statuses.count(401) == 1
