"""Reads secrets of AWS Secrets Manager, as the identity that boto3 finds (environment, profile, role).

Its errors may quote what was sent, so each is told anew and none is kept as a cause.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ingest_assets.errors import ConfigError, IngestError, TransientFailure

_TIMEOUT_SECONDS = 10
_WRONG = {
    "ResourceNotFoundException": "there is no such secret in this region and account",
    "AccessDeniedException": "permission denied: allow secretsmanager:GetSecretValue on it",
    "DecryptionFailure": "its key refuses to decrypt it: allow kms:Decrypt on it",
    "InvalidRequestException": "it is marked for deletion, or holds no value",
    "ValidationException": "expected a secret's name or ARN",
    "InvalidParameterException": "expected a secret's name or ARN",
}
_CREDENTIAL = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "RequestExpired",
}
# What passes though its status says that the request is wrong: AWS throttles with 400.
_PASSING = ("Throttl", "TooMany", "LimitExceeded", "RequestTimeout")
_PASSING_STATUSES, _SERVER_ERROR = (408, 429), 500


class _NotTaken(ConfigError):
    """AWS does not take the credentials."""


class AwsSecrets:
    """The secrets of one account; `remember` is told of the credentials that it is asked with."""

    def __init__(self, remember: Callable[[str, str], None]) -> None:
        self._remember = remember
        self._client: Any = None

    def fields(self, name: str) -> dict[str, str]:
        """The texts of a secret by field, where it is a JSON object; its whole text under the empty name.

        Raises ConfigError where name, permission, region or credential is wrong, TransientFailure where AWS does not
        answer or asks to wait.
        """
        named = f"AWS secret {name}"
        try:
            text = self._text(name, named)
        except _NotTaken:
            self._client = None  # a profile's file may hold others by now
            text = self._text(name, named)
        if not isinstance(text, str):
            raise ConfigError(f"{named}: it holds bytes; expected text or a JSON object")
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        fields = told if isinstance(told, dict) else {}
        return {"": text} | {key: value for key, value in fields.items() if isinstance(value, str)}

    def _text(self, name: str, named: str) -> Any:
        return _asked(named, lambda: self._made().get_secret_value(SecretId=name).get("SecretString"))

    def _made(self) -> Any:
        if self._client is None:
            import boto3.session
            from botocore.config import Config

            # At level DEBUG botocore writes answers to its log, and so the secret, before anybody knows it.
            logging.getLogger("botocore").setLevel(logging.INFO)
            session = boto3.session.Session()
            if (found := session.get_credentials()) is not None:
                frozen = found.get_frozen_credentials()
                for name, value in (("AWS_SECRET_ACCESS_KEY", frozen.secret_key), ("AWS_SESSION_TOKEN", frozen.token)):
                    if value:
                        self._remember(name, value)
            patience = Config(
                connect_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS, retries={"total_max_attempts": 2}
            )
            self._client = session.client("secretsmanager", config=patience)
        return self._client


def _asked(named: str, ask: Callable[[], Any]) -> Any:
    """What `ask` gives; what goes wrong is told in our own words, after the error was let go."""
    try:
        import botocore.exceptions as wrong
    except ModuleNotFoundError:
        raise ConfigError(f"{named}: needs the package boto3: pip install 'ingest-assets[aws]'") from None
    failure: IngestError
    try:
        return ask()
    except wrong.ClientError as error:
        failure = _refusal(named, error.response)
    except (wrong.NoCredentialsError, wrong.PartialCredentialsError, wrong.CredentialRetrievalError):
        failure = ConfigError(f"{named}: no credentials of AWS are found: set AWS_PROFILE or AWS_ACCESS_KEY_ID")
    except wrong.ProfileNotFound:
        failure = ConfigError(f"{named}: there is no profile of the name in AWS_PROFILE")
    except wrong.NoRegionError:
        failure = ConfigError(f"{named}: set AWS_REGION or AWS_DEFAULT_REGION to the region that it is in")
    except (wrong.HTTPClientError, wrong.ConnectionError) as error:
        failure = TransientFailure(f"{named}: no answer of AWS: {type(error).__name__}")
    except wrong.BotoCoreError as error:
        failure = ConfigError(f"{named}: it cannot be asked for: {type(error).__name__}")
    raise failure


def _refusal(named: str, answer: Mapping[str, Any]) -> IngestError:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    if code in _CREDENTIAL:
        return _NotTaken(f"{named}: AWS does not take the credentials ({code}): they are wrong or over")
    if code in _WRONG:
        return ConfigError(f"{named}: {_WRONG[code]} ({code})")
    if status >= _SERVER_ERROR or status in _PASSING_STATUSES or any(word in code for word in _PASSING):
        return TransientFailure(f"{named}: AWS answered {code or 'with an error'}")
    return ConfigError(f"{named}: AWS refuses the request ({code}): look it up in the manual of Secrets Manager")
