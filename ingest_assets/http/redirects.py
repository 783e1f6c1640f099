"""Where a redirect leads, and which are not followed: those that would take along what is not for others.

One that would make another request of the one that was asked is not followed either: the answer would be of something
else.
"""

from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import requests
from msgspec.structs import replace

from ingest_assets.errors import RequestFailed
from ingest_assets.http.naming import Naming, origin_of
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import is_marked
from ingest_assets.http.transport import url_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def redirected(request: PageRequest, answer: requests.Response, naming: Naming) -> PageRequest | None:
    """The request that a redirect asks for (RFC 9110 §15.4), or None where there is none; RequestFailed if refused."""
    location = answer.headers.get("location")
    if answer.status_code not in _REDIRECTS or not location:
        return None
    found = location.encode("latin-1", "replace").decode("utf-8", "replace")
    url = _joined(url_of(request), found)
    there = origin_of(url)
    if there is None or "@" in urlsplit(url).netloc or "\\" in found or not found.isprintable():
        raise RequestFailed(f"{naming.named(request)}: redirected to what is not a plain http(s) URL. Not followed")
    keeps_body = answer.status_code in (307, 308) or request.method == "GET"
    if there == naming.origin:
        return _inside(request, url, naming, keeps_body=keeps_body)
    refused = why_not_there(url, naming, with_body=keeps_body and request.body is not None)
    if refused:
        raise RequestFailed(f"{naming.named(request)}: redirected to {there}, {refused}. Not followed")
    return PageRequest(url)


def _inside(request: PageRequest, url: str, naming: Naming, *, keeps_body: bool) -> PageRequest:
    """The same request at another URL of the same origin."""
    lost = lost_on_the_way(url_of(request), url, body=request.body is not None and not keeps_body)
    if lost is not None:
        there = naming.redactor.text(url).partition("?")[0]
        raise RequestFailed(
            f"{naming.named(request)}: redirected to {there} without {lost}, so the answer would be of "
            "something else. Not followed: write that path in the source file"
        )
    target = replace(request, url=naming.redactor.text(url), params=(), path=())
    return target if keeps_body else replace(target, method="GET", body=None)


def why_not_there(url: str, naming: Naming, *, with_body: bool) -> str | None:
    """Why nothing is asked of another origin at a URL, if so; without credentials it may be."""
    if with_body:
        return "another origin, which would get the request's body"
    if is_marked(url) or naming.redactor.text(url) != url:
        return "another origin, with a secret in the URL"
    if naming.origin.startswith("https:") and not url.startswith("https:"):
        return "another origin, without encryption"
    return None


def _joined(base: str, found: str) -> str:
    try:
        return urldefrag(urljoin(base, found))[0]
    except ValueError:
        return ""


def lost_on_the_way(asked: str, target: str, *, body: bool) -> str | None:
    """What of a request its redirect leaves out, where that leads to the same path but for a slash; else None.

    To somewhere else a redirect may lead with other parameters: to a file that was made, say. To the same place
    without them it would bring everything, or the first page. `body` is whether the request's body is left out.

    >>> lost_on_the_way("https://x.example/things?from=1&until=2", "https://x.example/things/?until=2", body=False)
    "parameter 'from'"
    >>> lost_on_the_way("https://x.example/report?day=1", "https://x.example/files/7", body=False) is None
    True
    """
    here, there = urlsplit(asked), urlsplit(target)
    if here.path.rstrip("/") != there.path.rstrip("/"):
        return None
    kept = {name for name, _ in parse_qsl(there.query, keep_blank_values=True)}
    lost = [name for name, _ in parse_qsl(here.query, keep_blank_values=True) if name not in kept]
    if lost:
        return f"parameter {lost[0]!r}"
    return "its body" if body else None
