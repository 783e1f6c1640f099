"""A person lets a source's client in, once; from then on its refresh token does."""

import webbrowser
from collections.abc import Callable
from functools import partial

from ingest_assets import catalog
from ingest_assets.commands.output import Output
from ingest_assets.errors import ConfigError
from ingest_assets.http.auth.grants import OAuth2RefreshToken
from ingest_assets.http.auth.permission import Callback, Permission
from ingest_assets.line import Line
from ingest_assets.source import Source

_PATIENCE_SECONDS = 600.0


def auth(source: Source, line: Line, out: Output, *, browser: bool, ask: Callable[[], str] | None = None) -> None:
    """Ask for permission in a browser, and keep the refresh token; `ask` gives the address that the browser ends at.

    ConfigError where the source has no auth that a person grants, RequestFailed where it is refused.
    """
    ways = [one for one in catalog.settled(source).ways_in if isinstance(one, OAuth2RefreshToken) and one.authorize_url]
    if not ways:
        raise ConfigError(
            f"{source.name}: nobody has to be asked: `ingest auth` is for auth of type oauth2_refresh_token with "
            "authorize_url"
        )
    for one in ways:
        with Callback(one.redirect_port) as callback:
            permission = Permission(one, callback.redirect_uri)
            out.progress.print(f"{one.kept_as}: open this, and allow it:\n{permission.url}", soft_wrap=True)
            if browser:
                webbrowser.open(permission.url)
            code = callback.code(permission, _PATIENCE_SECONDS) if ask is None else _pasted(permission, ask())
        line.clients.grant(one, partial(permission.granted, code, line.secrets))
        out.console.print(f"✓ {one.kept_as}: allowed in; its refresh token is kept beside the tokens")
    out.document({"source": source.name, "kept_as": [one.kept_as for one in ways]})


def _pasted(permission: Permission, address: str) -> str:
    found = permission.code(address.strip())
    if found is None:
        raise ConfigError("expected the whole address that the browser ended at, of this very request")
    return found
