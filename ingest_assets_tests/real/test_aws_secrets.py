"""Secrets of AWS Secrets Manager, as moto's server plays it: read, rotated in mid-walk, and refusals in words."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingest_assets.errors import ConfigError, TransientFailure
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets_tests.loopback import serving
from ingest_assets_tests.rotating import ALL, Handler, Keys, walked

NAME = "shop/ingest"
SERVE = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
IDENTITY = {
    "AWS_ACCESS_KEY_ID": "AKIAINGESTTEST",
    "AWS_SECRET_ACCESS_KEY": "secret-key-of-aws",
    "AWS_REGION": "eu-west-1",
}


@pytest.fixture(scope="module")
def server(installed: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running one."""
    command = [str(installed("moto")), "-c", SERVE, "{port}"]
    with running(command, {}, tmp_path_factory.mktemp("moto") / "log") as url:
        yield url


@pytest.fixture
def manager(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A client of the vendor's, in an environment where ours finds the same."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    files = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    more = {"AWS_ENDPOINT_URL": server, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (IDENTITY | files | more).items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("secretsmanager")
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):
        client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    client.create_secret(Name=NAME, SecretString=json.dumps({"token": "first-value-1", "number": 5}))
    yield client
    client.close()


def test_a_field_or_the_whole_text_is_read(manager: Any) -> None:
    secrets = Secrets()

    field, whole = (secrets.value(Secret(aws_secret=NAME, field=name)) for name in ("token", None))

    assert field == "first-value-1"
    assert json.loads(whole)["token"] == "first-value-1"
    assert secrets.redactor().text("secret-key-of-aws") == "~hidden.AWS_SECRET_ACCESS_KEY.plain."


def test_what_was_read_is_used_for_the_stated_time(manager: Any) -> None:
    secrets, secret = Secrets(), Secret(aws_secret=NAME, field="token")
    secrets.value(secret)

    manager.put_secret_value(SecretId=NAME, SecretString='{"token": "second-value-2"}')

    assert secrets.value(secret) == "first-value-1"
    assert secrets.value(secret.model_copy(update={"cached_for": secret.cached_for * 0})) == "second-value-2"


@pytest.mark.parametrize(
    ("name", "field", "says"),
    [
        ("shop/none", "token", "there is no such secret"),
        (NAME, "tokn", "no such field that is a text; there are token"),
        (NAME, "number", "no such field that is a text"),
    ],
)
def test_what_is_wrong_is_told(manager: Any, name: str, field: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as failed:
        Secrets().value(Secret(aws_secret=name, field=field))

    assert name in str(failed.value)


def test_missing_region_and_credentials_are_told(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="no credentials of AWS"):
        Secrets().value(Secret(aws_secret=NAME))
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(ConfigError, match="region"):
        Secrets().value(Secret(aws_secret=NAME))


def test_no_answer_of_aws_may_pass(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(TransientFailure, match="no answer of AWS"):
        Secrets().value(Secret(aws_secret=NAME))


def test_a_secret_that_is_rotated_in_mid_walk_is_fetched_again(
    manager: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    keys = Keys("first-value-1")

    def rotate() -> None:
        keys.key = "second-value-2"
        manager.put_secret_value(SecretId=NAME, SecretString=json.dumps({"token": keys.key}))

    keys.before[4] = rotate
    with serving(Handler, keys=keys) as server:
        ids = walked(tmp_path, server.url, f"{{aws_secret: {NAME}, field: token}}")

    assert ids == ALL
    assert keys.statuses.count(401) == 1
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert not [text for text in (b"first-value-1", b"second-value-2", b"secret-key-of-aws") if text in stored]
