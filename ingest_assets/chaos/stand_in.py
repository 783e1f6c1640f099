"""A source as it is when its API is on loopback: the same file, with another address, planted secrets and no limits."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ingest_assets import catalog
from ingest_assets.errors import ConfigError
from ingest_assets.http.secret import Secret
from ingest_assets.source import Setting, Source

_PLANTED = '5ecret/{}+of="the&shop-in-which-all-of-it-is-sold%{}'  # long enough for HS512
_SIGNED_BY_A_KEY = ("RS", "ES", "PS")
_ELSEWHERE = ("token_url", "login_url", "authorize_url")
_OF_A_PERSON = ("authorize_url", "authorize_params", "redirect_port", "kept_as")
_QUICK = {"every": timedelta(seconds=0.01), "longest": timedelta(seconds=0.01), "within": timedelta(seconds=20)}
_OF_THE_MACHINE = ("tls", "settings", "rate_limit", "buckets", "bucket", "schedule")


def stand_in(source: Source, url: str) -> Source:
    """The source as a server at `url` gives it: its addresses there, its settings in place, and nothing to wait for."""
    told = catalog.settled(source, made_up(source)).model_dump(by_alias=True, exclude_unset=True)
    bases: dict[str, str] = {}

    def moved(base: str) -> str:
        parts = urlsplit(base)
        prefix = bases.setdefault(f"{parts.scheme}://{parts.netloc}", f"/o{len(bases)}")
        return f"{url}{prefix}{parts.path}".rstrip("/")

    told = _moved(told, moved)
    told |= {"learn": False, "breaker": {"failures": 1_000_000}, "name": source.name}
    return Source.model_validate(told)


def made_up(source: Source) -> dict[str, str]:
    """A value for each setting that the environment would give: its default, or one that nobody has."""
    named = ((name, one) for name, one in source.settings.items() if isinstance(one, Setting))
    return {one.env: one.default or f"{name}-of-a-test" for name, one in named}


def planted(source: Source, name: str, number: int = 1) -> dict[Secret, str]:
    """A value for each secret of an endpoint's auth, of characters that every encoding writes differently.

    Where one is a private key, it is a real one. ConfigError where the package that makes it is not installed.
    """
    auth = source.endpoints[name].auth or source.auth
    algorithm = getattr(auth, "algorithm", "")
    keys = [getattr(auth, field, None) for field in ("private_key", "key")] if algorithm[:2] in _SIGNED_BY_A_KEY else []
    return {
        secret: _private_key(algorithm) if secret in keys else _PLANTED.format(secret.name, number)
        for secret in auth.secrets()
    }


def _private_key(algorithm: str) -> str:
    """A new private key, as PEM."""
    try:
        from cryptography.hazmat.primitives import serialization as written
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
    except ImportError:
        raise ConfigError("to try a connector that signs: pip install 'ingest-assets[jwt]'") from None
    key = (
        ec.generate_private_key(ec.SECP256R1()) if algorithm.startswith("ES") else rsa.generate_private_key(65537, 2048)
    )
    form = written.Encoding.PEM, written.PrivateFormat.PKCS8, written.NoEncryption()
    return key.private_bytes(*form).decode()


def _moved(told: dict[str, Any], moved: Any) -> dict[str, Any]:
    """Everything that names an origin, moved; what belongs to a machine, left out."""
    found = dict(_entries(told, moved))
    if "endpoints" in found:
        found["endpoints"] = {name: _moved(one, moved) for name, one in found["endpoints"].items()}
    return found


def _entries(told: Mapping[str, Any], moved: Any) -> Iterator[tuple[str, Any]]:
    for name, given in told.items():
        if name in _OF_THE_MACHINE:
            continue
        if name == "base_url" and given is not None:
            yield name, moved(given)
        elif name == "job" and isinstance(given, Mapping):
            yield name, dict(_entries(given, moved)) | _QUICK
        elif name == "auth" and isinstance(given, Mapping):
            yield name, _granted({key: moved(one) if key in _ELSEWHERE and one else one for key, one in given.items()})
        else:
            yield name, given


def _granted(auth: dict[str, Any]) -> dict[str, Any]:
    """Auth that a person grants in a browser, as if it had been granted."""
    if "authorize_url" not in auth:
        return auth
    kept = {name: given for name, given in auth.items() if name not in _OF_A_PERSON}
    return {**kept, "refresh_token": {"env": "GRANTED_IN_A_TEST"}}
