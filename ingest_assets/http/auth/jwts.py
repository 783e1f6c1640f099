"""Signs JSON Web Tokens (RFC 7519), by PyJWT."""

import contextlib
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

    Raises ConfigError where the key does not fit the algorithm, or PyJWT is not installed.
    """
    try:
        import jwt
    except ModuleNotFoundError:
        raise ConfigError("auth: signing needs the package pyjwt: pip install 'ingest-assets[jwt]'") from None
    now = int(time.time())
    told = {"iat": now, "exp": now + int(seconds), "jti": uuid.uuid4().hex} | {**claims}
    text, made = secrets.text(key), ""
    with contextlib.suppress(Exception):  # whatever a library says of a key that it cannot read may show the key
        made = jwt.encode(told, text, algorithm, headers={"kid": key_id} if key_id else None)
    if not made:
        expected = "a text of the length that it asks for" if algorithm.startswith("HS") else "a private key as PEM"
        raise ConfigError(f"{key}: cannot sign by {algorithm}: expected {expected}")
    secrets.remember(f"{key.name}_jwt", made)
    return made
