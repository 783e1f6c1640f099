"""How a request says who asks: one frozen model a kind, each with the one method `apply`.

    kind.py        what every kind is
    static.py      none, bearer, basic, api_key: the secret itself goes to the API
    exchanged.py   a secret that is exchanged for a token
    oauth2.py      how a client of OAuth 2 asks for a token
    grants.py      such kinds: client credentials, refresh token, signed assertion; a token that is signed here
    jwts.py        signing
    permission.py  how a person lets a client in, once, for a refresh token
    signing.py     kinds that sign each request: HMAC, AWS
    rotated.py     several credentials, each with a quota of its own
    login.py       such a kind: user and password, for a token or a session's cookie

A credential is added at the last moment and for its own origin only, see `ingest_assets.http.client`.
"""

from typing import Annotated

from pydantic import Field

from ingest_assets.http.auth.exchanged import Exchanged
from ingest_assets.http.auth.grants import Jwt, OAuth2Assertion, OAuth2ClientCredentials, OAuth2RefreshToken
from ingest_assets.http.auth.login import Login
from ingest_assets.http.auth.rotated import Rotated
from ingest_assets.http.auth.signing import AwsSigV4, Hmac
from ingest_assets.http.auth.static import ApiKey, Basic, Bearer, NoAuth

__all__ = [
    "ApiKey",
    "Auth",
    "AwsSigV4",
    "Basic",
    "Bearer",
    "Exchanged",
    "Hmac",
    "Jwt",
    "Login",
    "NoAuth",
    "OAuth2Assertion",
    "OAuth2ClientCredentials",
    "OAuth2RefreshToken",
    "Rotated",
]

Auth = Annotated[
    NoAuth
    | Bearer
    | Basic
    | ApiKey
    | OAuth2ClientCredentials
    | OAuth2RefreshToken
    | OAuth2Assertion
    | Jwt
    | Hmac
    | AwsSigV4
    | Rotated
    | Login,
    Field(discriminator="type"),
]
