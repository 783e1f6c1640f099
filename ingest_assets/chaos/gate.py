"""Who is let in: the API's side of each kind of auth, and of the server that gives tokens."""

import base64
import json
from http import HTTPStatus
from urllib.parse import urlsplit

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.echo import refusal
from ingest_assets.chaos.made import put
from ingest_assets.chaos.server import Answer
from ingest_assets.http.auth import Auth
from ingest_assets.http.auth.exchanged import Exchanged
from ingest_assets.http.auth.grants import Jwt
from ingest_assets.http.auth.login import Login
from ingest_assets.http.auth.rotated import Rotated
from ingest_assets.http.auth.signing import AwsSigV4, Hmac
from ingest_assets.http.auth.static import ApiKey, Basic, Bearer
from ingest_assets.http.page import dig
from ingest_assets.http.secret import Secret

SIGN_IN = "/~sign-in"
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
_TOKEN = 't0ken/{}+of="the&shop%{}'  # noqa: S105 -- given by nobody
_NEW = "{}/new%{}"


class Gate:
    """Lets in who has the credential as it is now; `known` are all values that were ever one.

    `values` are those of the secrets, `environ` is where the client looks for those that are variables.
    """

    def __init__(self, auth: Auth, values: dict[Secret, str], environ: dict[str, str]) -> None:
        self._auth, self._values, self._environ = auth, values, environ
        self._refused = set[str]()
        self._given = list[str]()
        self.known = [*values.values()]

    @property
    def renews(self) -> bool:
        """Whether a credential may become another one in the middle of a walk."""
        if isinstance(self._auth, Exchanged):
            return True
        secrets = self._auth.secrets()
        return isinstance(self._auth, Bearer | Basic | ApiKey) and bool(secrets) and all(one.env for one in secrets)

    def __call__(self, asked: Asked) -> Answer | None:
        """None, or the refusal; the answer itself where a token is asked for."""
        if isinstance(self._auth, Exchanged) and asked.path == urlsplit(self._auth.exchange_url()).path:
            return self._exchanged()
        if asked.path == SIGN_IN:
            return Answer(_HTML, headers={"Content-Type": "text/html"})
        return None if self._has(self._auth, asked) else refusal(HTTPStatus.UNAUTHORIZED, asked, ())

    def expire(self, asked: Asked) -> Answer | None:
        """Take another credential from now on, and refuse the one that was sent."""
        if isinstance(self._auth, Exchanged):
            self._refused.add(self._sent(asked))
        for secret in () if isinstance(self._auth, Exchanged) else self._auth.secrets():
            self._values[secret] = _NEW.format(self._values[secret], len(self.known))
            self._environ[secret.env or ""] = self._values[secret]
            self.known.append(self._values[secret])
        return refusal(HTTPStatus.UNAUTHORIZED, asked, ())

    def _has(self, auth: Auth, asked: Asked) -> bool:
        match auth:
            case Bearer():
                return asked.headers.get("authorization") == f"Bearer {self._values[auth.token]}"
            case Basic():
                return asked.headers.get("authorization") == f"Basic {self._pair(auth)}"
            case ApiKey():
                return self._key(auth, asked) == auth.prefix + self._values[auth.value]
            case Rotated():
                return any(self._has(one, asked) for one in auth.each)
            case Exchanged():
                return self._lets_in(self._sent(asked))
            case Hmac():
                query = dict(asked.query)
                return all(asked.headers.get(name.lower()) for name in auth.headers) and all(
                    map(query.get, auth.params)
                )
            case AwsSigV4():
                return asked.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
        return True

    def _pair(self, auth: Basic) -> str:
        user = auth.user if isinstance(auth.user, str) else self._values[auth.user]
        pair = f"{user}:{self._values[auth.password] if auth.password else ''}"
        return base64.b64encode(pair.encode()).decode()

    def _key(self, auth: ApiKey, asked: Asked) -> object:
        if auth.place == "header":
            return asked.headers.get(auth.name.lower())
        return dict(asked.query).get(auth.name) if auth.place == "query" else dig(asked.told, auth.name)

    def _sent(self, asked: Asked) -> str:
        """The token or session that a request carries."""
        if isinstance(self._auth, Login) and self._auth.cookie is not None:
            return asked.headers.get("cookie", "")
        header, prefix = (getattr(self._auth, name) for name in ("header", "prefix"))
        return asked.headers.get(header.lower(), "").removeprefix(prefix)

    def _lets_in(self, sent: str) -> bool:
        if isinstance(self._auth, Jwt):
            self.known += [sent] if sent not in self.known else []
            return sent.count(".") == len("...") - 1 and sent not in self._refused
        return any(given in sent and given not in self._refused for given in self._given) and sent not in self._refused

    def _exchanged(self) -> Answer:
        """A token, a refresh token and a session's cookie."""
        number = len(self._given) + 1
        token = _TOKEN.format("access", number)
        refresh, session = _TOKEN.format("refresh", number), f"s3ssion-of-the-shop-{number}"
        self._given += [session if isinstance(self._auth, Login) and self._auth.cookie else token]
        self.known += [token, refresh, session]
        body = {"access_token": token, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600}
        headers = {"Content-Type": "application/json"}
        if isinstance(self._auth, Login):
            body = put({}, self._auth.token, token) if self._auth.token else {}
            body = put(body, self._auth.expires_in, 3600) if self._auth.expires_in else body
            name = self._auth.cookie or self._auth.csrf_cookie
            headers |= {"Set-Cookie": f"{name}={session}; Path=/"} if name else {}
        return Answer(json.dumps(body).encode(), headers=headers)
