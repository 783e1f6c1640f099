"""A source as it is when its API is on loopback: the same file, with another address, planted secrets and no limits."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ingest_assets import catalog
from ingest_assets.http.secret import Secret
from ingest_assets.source import Setting, Source

_PLANTED = '5ecret/{}+of="the&shop%{}'
_ELSEWHERE = ("token_url", "login_url", "authorize_url")
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


def planted(source: Source, number: int = 1) -> dict[Secret, str]:
    """A value for each secret of the source, of characters that every encoding writes differently."""
    told = dict.fromkeys(secret for auth in source.ways_in for secret in auth.secrets())
    return {secret: _PLANTED.format(secret.name, number) for secret in told}


def by_place(values: Mapping[Secret, str]) -> dict[str, str]:
    """Values as `Secrets` takes them."""
    return {secret.place: value for secret, value in values.items()}


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
        elif name == "auth" and isinstance(given, Mapping):
            yield name, {key: moved(one) if key in _ELSEWHERE and one else one for key, one in given.items()}
        else:
            yield name, given
