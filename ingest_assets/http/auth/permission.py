"""A person lets a client in, once: a code (RFC 6749 §4.1) with PKCE (RFC 7636), on loopback (RFC 8252).

    browser ──► authorize_url ──► http://127.0.0.1:PORT/callback?code=…&state=… ──► token_url ──► refresh token

The code is good for whoever holds the verifier, which never leaves this process but to the token's server.
"""

import base64
import hashlib
import hmac
import secrets as random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from ingest_assets.errors import ConfigError, RequestFailed
from ingest_assets.http.auth.exchanged import Ask, Token
from ingest_assets.http.auth.grants import OAuth2RefreshToken
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.transport import full_url

_PATH = "/callback"
_LONGEST_LINE = 8192
_DONE = b"<!doctype html><title>ingest</title><p>Done. You can close this window, and go back to the terminal.</p>"


@dataclass(frozen=True)
class Permission:
    """What is asked of a person, and what shows that the answer belongs to it."""

    auth: OAuth2RefreshToken
    redirect_uri: str
    state: str = field(default_factory=lambda: random.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: random.token_urlsafe(64), repr=False)

    @property
    def url(self) -> str:
        """Where a person allows the client in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": str(self.auth.client_id),
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        scope = {"scope": " ".join(self.auth.scope)} if self.auth.scope else {}
        return full_url(self.auth.authorize_url or "", [*(asked | scope | self.auth.authorize_params).items()])

    def code(self, address: str) -> str | None:
        """The code in the address that the browser was sent to; None where it does not belong to this.

        Raises RequestFailed where permission was refused.
        """
        told = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if not hmac.compare_digest(told.get("state", "").encode(), self.state.encode()):
            return None
        if "error" in told:
            shown = "".join(one for one in told["error"][:100] if one.isprintable())
            raise RequestFailed(f"{self.auth.kept_as}: permission was refused: {shown!r}")
        return told.get("code")

    def granted(self, code: str, secrets: Secrets, ask: Ask) -> Token:
        """The tokens for a code; RequestFailed where there are none, or no refresh token among them."""
        secrets.remember(f"{self.auth.token_name}_code", code)
        told = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier}
        advice = "The code is over or was used: run the command again, and be quicker"
        token = self.auth.given({"grant_type": "authorization_code"} | told, secrets, ask, advice)
        if token.refresh is None:
            raise RequestFailed(
                f"{self.auth.kept_as}: the answer holds no refresh token, so the permission would soon be over. Many "
                "servers want the scope offline_access, or `authorize_params: {access_type: offline, prompt: consent}`"
            )
        return token


class Callback:
    """Listens on loopback for the browser to come back. A context: it is closed on leaving."""

    def __init__(self, port: int) -> None:
        try:
            self._server = HTTPServer(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConfigError(f"redirect_port {port} cannot be listened on: {error.strerror}") from error
        self.redirect_uri = f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def code(self, permission: Permission, seconds: float, clock: Callable[[], float] = time.monotonic) -> str:
        """The code that the browser brings. Raises RequestFailed where none comes in time, or permission is refused."""
        until = clock() + seconds
        self._server.seen = None  # type: ignore[attr-defined]  # the handler puts there what has come
        while (left := until - clock()) > 0:
            self._server.timeout = left
            self._server.handle_request()
            address = vars(self._server).pop("seen", None)
            if address is not None and (found := permission.code(address)) is not None:
                return found
        raise RequestFailed(f"{permission.auth.kept_as}: nobody came back within {seconds:.0f} s: run it again")


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # a connection that says nothing must not keep the browser waiting

    def log_message(self, *_: Any) -> None:
        """Write nothing: the line holds the code."""

    def do_GET(self) -> None:
        """Take what the browser brings; what else it asks for is not here."""
        is_here = urlsplit(self.path).path == _PATH and len(self.path) < _LONGEST_LINE
        if is_here:
            self.server.seen = self.path  # type: ignore[attr-defined]
        self.send_response(200 if is_here else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(_DONE if is_here else b"")
