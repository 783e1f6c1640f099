"""What a file says that it should not: secrets in the clear, and limits above those that answers tell."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ingest_assets.chaos.recorded.stored import Finding, Stored
from ingest_assets.http.allowances import allowances
from ingest_assets.http.rates import RateLimit
from ingest_assets.source import Source

_NAMED = re.compile(
    r"(authorization|api[-_]?key|access[-_]?key|token|secret|passw(or)?d|credential|signature)$", re.IGNORECASE
)
_CLEAR = re.compile(r"(?=.*\d)[A-Za-z0-9+/=_.:-]{12,}|(Bearer|Basic|Token) \S{6,}", re.ASCII)
_KNOWN = re.compile(
    r"\b(sk|rk|pk)_(live|test)_\w{8,}|\bghp_\w{20,}|\bxox[bap]-\w+|\bAKIA[A-Z0-9]{12,}|\beyJ[\w-]{10,}\.", re.ASCII
)


def secrets(source: Source, name: str) -> Iterator[Finding]:
    """Values that are secrets by their name or by their look, and stand in the file itself."""
    label, endpoint = f"{source.name}.{name}", source.endpoints[name]
    places = {
        "headers": {**source.headers, **endpoint.headers},
        "params": endpoint.params,
        "body": endpoint.body or {},
        "base_url": {"base_url": endpoint.base_url or source.base_url},
        "auth.params": getattr(endpoint.auth or source.auth, "params", {}),
        "settings": {key: one for key, one in source.settings.items() if isinstance(one, str)},
    }
    for where, told in places.items():
        for key, value in _texts(told):
            if _KNOWN.search(value) or (_NAMED.search(key) and _CLEAR.fullmatch(value)):
                yield Finding(
                    label,
                    f"{where}.{key}" if where != key else where,
                    "it looks like a secret, in the clear",
                    "name it by `auth`, as {env: NAME}: what stands in a file is in every copy of it",
                )


def _texts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in told.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield key, value


def limits(source: Source, name: str, walks: list[Stored]) -> Iterator[Finding]:
    """A limit of the file that lets more through than answers say there is."""
    endpoint = source.endpoints[name]
    told = [one for one in (*source.rate_limit, *endpoint.rate_limit) if isinstance(one, RateLimit)]
    for page in (page for walk in walks for page in walk.pages):
        for one in allowances(page.entry.headers, page.entry.received):
            seconds = one.rolls or one.resets
            if one.limit is None or not seconds or not told:
                continue
            allowed = min(limit.requests * max(1, math.floor(seconds / limit.per.total_seconds())) for limit in told)
            if allowed > one.limit:
                yield Finding(
                    f"{source.name}.{name}",
                    "rate_limit",
                    f"the file lets {allowed:,} requests through in {seconds:,.0f} s, and answers say {one.limit:,.0f}",
                    "write what the API allows; the rest is refused with 429",
                )
                return
