"""What AWS Secrets Manager refuses, by code: what has to be mended, and what passes."""

import json
from typing import Any

import pytest

from ingest_assets.errors import ConfigError, IngestError, TransientFailure
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

SECRET = Secret(aws_secret="team/shop")


@pytest.fixture
def aws(api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """A server in the place of AWS; the credentials are in a file."""
    file = tmp_path / "credentials"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    told = {"AWS_ENDPOINT_URL": api.url, "AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(file)}
    more = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    for name, value in (told | more).items():
        monkeypatch.setenv(name, value)
    credentials(file, "AKIAINGESTTEST1")
    api.file = file
    return api


def credentials(file: Any, key: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret-key-of-aws\n")


def refused(aws: Any, code: str, status: int = 400) -> None:
    aws.answer(status, json.dumps({"__type": code, "Message": "not so"}).encode())


@pytest.mark.parametrize(
    ("code", "status", "kind", "says"),
    [
        ("ValidationException", 400, ConfigError, "expected a secret's name or ARN"),
        ("InvalidParameterException", 400, ConfigError, "expected a secret's name or ARN"),
        ("SignatureDoesNotMatch", 403, ConfigError, "AWS does not take the credentials"),
        ("ExpiredToken", 403, ConfigError, "AWS does not take the credentials"),
        ("RequestExpired", 400, ConfigError, "AWS does not take the credentials"),
        ("OptInRequired", 403, ConfigError, r"AWS refuses the request \(OptInRequired\)"),
        ("ThrottlingException", 400, TransientFailure, "AWS answered ThrottlingException"),
        ("TooManyRequestsException", 429, TransientFailure, "AWS answered TooManyRequestsException"),
        ("InternalServiceError", 500, TransientFailure, "AWS answered InternalServiceError"),
    ],
)
def test_only_what_may_pass_is_tried_again(
    aws: Any, code: str, status: int, kind: type[IngestError], says: str
) -> None:
    refused(aws, code, status)

    with pytest.raises(kind, match=says) as failed:
        Secrets().value(SECRET)

    assert "team/shop" in str(failed.value)


def test_credentials_that_are_over_are_looked_up_anew_as_a_file_may_hold_others_by_now(aws: Any) -> None:
    aws.answer(body=json.dumps({"SecretString": "first-value-1"}).encode())
    refused(aws, "ExpiredTokenException")
    aws.answer(body=json.dumps({"SecretString": "second-value-2"}).encode())
    secrets, again = Secrets(), SECRET.model_copy(update={"cached_for": SECRET.cached_for * 0})
    secrets.value(again)

    credentials(aws.file, "AKIAINGESTTEST2")

    assert secrets.value(again) == "second-value-2"
    keys = [asked.headers["authorization"].partition("Credential=")[2].partition("/")[0] for asked in aws.asked]
    assert keys == ["AKIAINGESTTEST1", "AKIAINGESTTEST1", "AKIAINGESTTEST2"]
