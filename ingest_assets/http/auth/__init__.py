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

from ingest_assets.http.auth.kind import Kind
from ingest_assets.http.auth.static import NoAuth
from ingest_assets.http.one_of import OneOf

__all__ = ["Auth", "NoAuth"]

Auth = Annotated[
    Kind,
    OneOf(
        "ingest_assets.http.auth",
        none="static.NoAuth",
        bearer="static.Bearer",
        basic="static.Basic",
        api_key="static.ApiKey",
        oauth2_client_credentials="grants.OAuth2ClientCredentials",
        oauth2_refresh_token="grants.OAuth2RefreshToken",  # noqa: S106 -- the name of a class
        oauth2_jwt="grants.OAuth2Assertion",
        jwt="grants.Jwt",
        hmac="signing.Hmac",
        aws_sigv4="signing.AwsSigV4",
        rotated="rotated.Rotated",
        login="login.Login",
    ),
]
