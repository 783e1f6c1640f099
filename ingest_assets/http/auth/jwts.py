"""Signs JSON Web Tokens (RFC 7519), by PyJWT."""

import contextlib
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from ingest_assets.errors import ConfigError
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def signed(
    key: Secret, secrets: Secrets, algorithm: Algorithm, claims: Mapping[str, Any], seconds: float, key_id: str | None
) -> str:
    """A token with these claims, made now and good for some seconds; it is in use as a secret from now on.

    A key in PEM may have its lines parted by `\\n`, as environment files write them. Raises ConfigError where the key
    does not fit the algorithm, a claim is none, or PyJWT is not installed.
    """
    try:
        import jwt
    except ModuleNotFoundError:
        raise ConfigError("auth: signing needs the package pyjwt: pip install 'ingest-assets[jwt]'") from None
    now = int(time.time())
    told = {"iat": now, "exp": now + int(seconds), "jti": uuid.uuid4().hex} | _claims(claims)
    text, made = secrets.text(key), ""
    if text.startswith("-----BEGIN"):
        text = text.replace("\\n", "\n")
    with contextlib.suppress(Exception):  # whatever a library says of a key that it cannot read may show the key
        made = jwt.encode(told, text, algorithm, headers={"kid": key_id} if key_id else None)
    if not made:
        expected = "a text of the length that it asks for" if algorithm.startswith("HS") else "a private key as PEM"
        raise ConfigError(f"{key}: cannot sign by {algorithm}: expected {expected}")
    secrets.remember(f"{key.name}_jwt", made)
    return made


def _claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims as RFC 7519 writes them: who is meant is a text (§4.1.1), also where it looks like a number."""
    for name, value in claims.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"auth: claims: {name}: expected what JSON knows, found {type(value).__name__} (write a date in quotes)"
            ) from None
    return {
        name: str(value) if name in ("iss", "sub") and type(value) is int else value for name, value in claims.items()
    }
