"""Secrets that are replaced while they are in use, and names of secrets that are no names."""

import json
import time

import pytest
from pydantic import ValidationError

from ingest_assets.errors import ConfigError, IngestError
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets_tests.loopback import serving
from ingest_assets_tests.rotating import ALL, Handler, Keys, walked


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"vault": "secret", "field": "token"}, "expected the engine's mount and a path in it"),
        ({"vault": "secret/shop"}, "say which field"),
        ({"env": "TOKEN", "field": "token"}, "field goes with vault and aws_secret only"),
        ({"file": "/run/x", "cached_for": "PT1M"}, "cached_for goes with vault and aws_secret only"),
        ({"vault": "secret/shop", "aws_secret": "shop", "field": "token"}, "write {env: NAME}"),
        ("sk_live_1234567", "write {env: NAME}"),
        ({"vault": {"token": "sk_live_1234567"}, "field": "token"}, "write {env: NAME}"),
    ],
)
def test_what_is_no_name_of_a_secret_is_told_and_never_shown(given, says):
    with pytest.raises(ValidationError) as failed:
        Secret.model_validate(given)

    assert says in str(failed.value)
    assert "sk_live" not in str(failed.value)


def test_overrides_stand_for_stores_by_path_and_field():
    secrets = Secrets({"secret/shop#token": "given-instead"})

    assert secrets.value(Secret(vault="secret/shop", field="token")) == "given-instead"


def test_a_file_that_is_empty_while_it_is_written_anew_is_read_once_its_value_is_in_it(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.touch()
    monkeypatch.setattr(time, "sleep", lambda _: file.write_text("second-value-2\n"))

    assert Secrets().value(Secret(file=str(file))) == "second-value-2"


def test_a_file_that_stays_empty_is_told_of(tmp_path):
    (tmp_path / "token").touch()

    with pytest.raises(ConfigError, match="token is empty; it has to hold the secret"):
        Secrets().value(Secret(file=str(tmp_path / "token")))


def test_a_file_that_is_replaced_in_mid_walk_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    file, keys = tmp_path / "token", Keys("first-value-1")
    file.write_text(keys.key)

    def rotate():
        keys.key = "second-value-2"
        file.write_text(keys.key)

    keys.before[4] = rotate
    with serving(Handler, keys=keys) as server:
        ids = walked(tmp_path, server.url, f"{{file: {json.dumps(str(file))}}}")

    assert ids == ALL
    assert keys.statuses.count(401) == 1


def test_a_secret_that_is_the_same_when_it_is_looked_up_again_is_sent_once(tmp_path, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("TOKEN", "first-value-1")
    keys = Keys("another-key")

    with serving(Handler, keys=keys) as server, pytest.raises(IngestError, match="Check the secret: environment"):
        walked(tmp_path, server.url, "{env: TOKEN}")

    assert keys.statuses == [401]


def test_a_secret_that_is_refused_again_after_its_rotation_ends_the_walk(tmp_path, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    file, keys = tmp_path / "token", Keys("another-key")
    file.write_text("first-value-1")
    keys.before[1] = lambda: file.write_text("second-value-2")

    with serving(Handler, keys=keys) as server, pytest.raises(IngestError, match="Check the secret: file"):
        walked(tmp_path, server.url, f"{{file: {json.dumps(str(file))}}}")

    assert keys.statuses == [401, 401]
