"""What an answer's headers, or its body, say is left of what an API allows.

    x-ratelimit-*, x-rate-limit-*                       GitHub (by resource), Okta, Twitter, Discord, Reddit, …
    ratelimit, ratelimit-policy; ratelimit-remaining    the IETF's drafts, of 2025 and of 2021
    x-shopify-shop-api-call-limit                       Shopify, a bucket that empties; extensions.cost in the body
    x-hubspot-ratelimit-*                               HubSpot, by second, ten seconds and day
    x-rate-limit, x-rate-limit-remaining                Zendesk, by minute; zendesk-ratelimit-* of some endpoints
    sforce-limit-info                                   Salesforce, by day
    x-app-usage, x-business-use-case-usage, …           Meta, in percent of an hour's allowance

Header names are in small letters. What cannot be read says nothing.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from ingest_assets.http.page import dig
from ingest_assets.http.waits import moment

OF_BODY = "cost"
"""The name of what bodies tell."""
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# Unix seconds are larger, and waits smaller; Unix milliseconds are larger still.
_MOST_SECONDS, _MOST_UNIX = 31_536_000.0, 100_000_000_000.0
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_SHARE = re.compile(r"([a-z-]+)=(\d{1,12})/(\d{1,12})", re.ASCII)
# Shopify's buckets, of all plans, are as large as what twenty seconds empty.
_SHOPIFY_SECONDS = 20.0
# Each part takes what it can and gives nothing back: else there were as many ways to read a space as there are spaces.
_ITEM = re.compile(r'\s*+("(?:[^"\\]|\\.)*+"|[^;,"\s]*+)((?:\s*+;[^;,"]*+(?:"(?:[^"\\]|\\.)*+")?+)*+)\s*+(?:,|$)')
_LONGEST_LIST = 2000


class Allowance(Struct, frozen=True):
    """What is left: of `limit`, where that is told.

    It is full again in `resets` seconds; or it fills by `refills` a second; or each request counts for the last `rolls`
    seconds. Whichever of these is told or known. A request like the one that was answered takes `cost` of it, 0 where
    that is not known. `closed` is how many seconds nothing will be granted.
    """

    name: str
    left: float
    limit: float | None = None
    resets: float | None = None
    refills: float | None = None
    rolls: float | None = None
    cost: float = 1.0
    closed: float = 0.0


def allowances(headers: Mapping[str, str], now: datetime) -> list[Allowance]:
    """All that the headers of an answer tell; `now` is used where the server does not tell its own time.

    >>> from datetime import UTC
    >>> told = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "58", "x-ratelimit-reset": "1767225660"}
    >>> (one,) = allowances(told | {"x-ratelimit-resource": "core"}, datetime(2026, 1, 1, tzinfo=UTC))
    >>> one.name, one.left, one.limit, one.resets
    ('x-ratelimit core', 58.0, 60.0, 60.0)
    """
    if not any(word in name for name in headers for word in _WORDS):  # most answers, quickly
        return []
    return [one for family in _FAMILIES for one in family(headers, now) if one.limit is None or one.limit > 0]


def of_body(envelope: Any, now: datetime | None = None) -> list[Allowance]:
    """What a GraphQL answer tells of its cost, as Shopify and GitHub do.

    Of Shopify's, what it needed counts, not what it then took. GitHub's stands there where the query asks for
    `rateLimit { cost limit remaining resetAt }`.

    >>> status = {"maximumAvailable": 2000.0, "currentlyAvailable": 1996, "restoreRate": 100.0}
    >>> (one,) = of_body({"extensions": {"cost": {"requestedQueryCost": 12, "throttleStatus": status}}})
    >>> one.left, one.limit, one.refills, one.cost
    (1996.0, 2000.0, 100.0, 12.0)
    >>> told = {"limit": 5000, "cost": 50, "remaining": 4950, "resetAt": "2026-01-01T01:00:00Z"}
    >>> (one,) = of_body({"data": {"rateLimit": told}}, datetime.fromisoformat("2026-01-01T00:00:00Z"))
    >>> one.left, one.limit, one.resets, one.cost
    (4950.0, 5000.0, 3600.0, 50.0)
    """
    if not isinstance(envelope, Mapping) or not any(str(key).startswith(_OF_BODY) for key in envelope):
        return []  # most answers, quickly
    status = "extensions.cost.throttleStatus"
    left, limit, refills, cost = (
        _plain(dig(envelope, path))
        for path in (
            f"{status}.currentlyAvailable",
            f"{status}.maximumAvailable",
            f"{status}.restoreRate",
            "extensions.cost.requestedQueryCost",
        )
    )
    if left is None or not limit or not refills:
        return _rate_limit(dig(envelope, "data.rateLimit"), now)
    return [Allowance(OF_BODY, left, limit, refills=refills, cost=cost or 1.0)]


def _rate_limit(told: Any, now: datetime | None) -> list[Allowance]:
    left, limit, cost = (_plain(dig(told, name)) for name in ("remaining", "limit", "cost"))
    until = moment(found) if isinstance(found := dig(told, "resetAt"), str) else None
    if left is None or until is None or now is None:
        return []
    return [Allowance(OF_BODY, left, limit, resets=max(0.0, (until - now).total_seconds()), cost=cost or 1.0)]


def _common(headers: Mapping[str, str], now: datetime) -> Iterator[Allowance]:
    for prefix in ("x-ratelimit", "x-rate-limit"):
        left, limit = (_number(headers.get(f"{prefix}-{part}")) for part in ("remaining", "limit"))
        after = _number(headers.get(f"{prefix}-reset-after"))
        resets = after if after is not None else _until(headers.get(f"{prefix}-reset"), headers, now)
        if left is not None and resets is not None:
            part = headers.get(f"{prefix}-resource") or headers.get(f"{prefix}-bucket") or ""
            yield Allowance(_name(prefix, part), left, limit, resets=resets)


def _ietf(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    """draft-ietf-httpapi-ratelimit-headers-10, and the forms of -07 (one dictionary) and -03 (a header each)."""
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    for name, told in _items(headers.get("ratelimit", "")):
        policy = policies.get(name, {})
        left = _number(told.get("r"))
        if left is not None and policy.get("qu", "requests") == "requests":
            window = _number(policy.get("w"))
            resets = _number(told.get("t"))
            yield Allowance(
                _name("ratelimit", name),
                left,
                _number(policy.get("q")),
                resets=resets,
                rolls=window if resets is None else None,
            )
    pairs = dict(part.strip().partition("=")[::2] for part in headers.get("ratelimit", "").split(","))
    each = {key: headers.get(f"ratelimit-{key}", pairs.get(key)) for key in ("limit", "remaining", "reset")}
    left, resets = _number(each["remaining"]), _number(each["reset"])
    if left is not None and resets is not None and resets < _MOST_SECONDS:
        yield Allowance("ratelimit", left, _number((each["limit"] or "").split(",")[0].split(";")[0]), resets=resets)


def _shopify(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    used, _, limit = headers.get("x-shopify-shop-api-call-limit", "").partition("/")
    taken, most = _number(used), _number(limit)
    if taken is not None and most:
        yield Allowance("shop api calls", most - taken, most, refills=most / _SHOPIFY_SECONDS)


def _hubspot(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    told = {part: _number(headers.get(f"x-hubspot-ratelimit-{part}")) for part in _HUBSPOT_PARTS}
    rolls = (told["interval-milliseconds"] or 0.0) / 1000
    for name, limit, seconds in (("", "max", rolls), ("secondly", "secondly", 1.0), ("daily", "daily", _DAY)):
        left = told[f"{name}-remaining" if name else "remaining"]
        if left is not None and seconds:
            yield Allowance(_name("hubspot", name), left, told[limit], rolls=seconds)


def _zendesk(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    left = _number(headers.get("x-rate-limit-remaining"))
    if left is not None and "x-rate-limit-reset" not in headers:
        limit = _number(headers.get("x-rate-limit", headers.get("x-rate-limit-limit")))
        yield Allowance("x-rate-limit", left, limit, rolls=_MINUTE)
    for name in (name for name in headers if name.startswith("zendesk-ratelimit-")):
        told = dict(part.strip().partition("=")[::2] for part in headers[name].split(";"))
        left, resets = _number(told.get("remaining")), _number(told.get("resets"))
        if left is not None and resets is not None:
            yield Allowance(
                _name("zendesk", name.removeprefix("zendesk-ratelimit-")), left, _number(told.get("total")), resets
            )


def _salesforce(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    for name, used, limit in _SHARE.findall(headers.get("sforce-limit-info", "")[:_LONGEST_LIST]):
        if name in ("api-usage", "per-app-api-usage"):
            yield Allowance(name, float(limit) - float(used), float(limit), rolls=_DAY)


def _meta(headers: Mapping[str, str], _now: datetime) -> Iterator[Allowance]:
    for name in _META.intersection(headers):
        told = _json(headers[name])
        parts = [told] if name != "x-business-use-case-usage" else _parts(told)
        used = [_plain(part.get(key)) for part in parts for key in _META_PERCENTS]
        known = [percent for percent in used if percent is not None]
        minutes = [_plain(part.get("estimated_time_to_regain_access")) or 0.0 for part in parts]
        if known:
            closed = max(minutes, default=0.0) * _MINUTE
            yield Allowance(name, 100 - max(known), 100.0, rolls=_HOUR, cost=0.0, closed=closed)


_WORDS = ("limit", "usage", "throttle")
_OF_BODY = ("extensions", "data")
_META = {"x-app-usage", "x-ad-account-usage", "x-fb-ads-insights-throttle", "x-business-use-case-usage"}
_META_PERCENTS = ("call_count", "total_cputime", "total_time", "acc_id_util_pct", "app_id_util_pct")
_HUBSPOT_PARTS = (
    *("max", "remaining", "interval-milliseconds", "secondly", "secondly-remaining", "daily", "daily-remaining"),
)
_FAMILIES: tuple[Callable[[Mapping[str, str], datetime], Iterator[Allowance]], ...] = (
    *(_common, _ietf, _shopify, _hubspot, _zendesk, _salesforce, _meta),
)


def _parts(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    lists = [value for value in told.values() if isinstance(value, list)]
    return [part for each in lists for part in each if isinstance(part, dict)]


def _items(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The items of a structured list with their parameters (RFC 9651 §3.1), as far as these headers use them.

    >>> list(_items('"default";r=50;t=30, "day";r=999'))
    [('default', {'r': '50', 't': '30'}), ('day', {'r': '999'})]
    """
    for item, parameters in _ITEM.findall(text[:_LONGEST_LIST]):
        if item:
            pairs = (part.strip().partition("=") for part in parameters.split(";") if part.strip())
            yield item.strip('"'), {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _name(family: str, part: str) -> str:
    plain = "".join(character for character in part if character.isalnum() or character in "_-.")
    return f"{family} {plain[:40]}".strip()


def _number(text: str | None) -> float | None:
    found = (text or "").strip()
    return float(found) if _NUMBER.fullmatch(found) else None


def _plain(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _json(text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _until(text: str | None, headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds until a moment: given as such, as Unix seconds or milliseconds, or as a date.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> [_until(text, {}, now) for text in ("60", "1767225660", "1767225660000", "2026-01-01T00:01Z", "soon")]
    [60.0, 60.0, 60.0, 60.0, None]
    """
    number = _number(text)
    if number is not None and number < _MOST_SECONDS:
        return number
    if number is None:
        date = moment(text or "")
        number = date.timestamp() if date is not None else None
    if number is None:
        return None
    there = (moment(headers.get("date", "")) or now).timestamp()
    return max(0.0, (number / 1000 if number > _MOST_UNIX else number) - there)
