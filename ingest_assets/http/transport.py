"""Sends one request over a pooled connection, and says in plain words why that failed.

The texts of requests and urllib3 hold URLs, queries and header values. So none of their errors gets out, not
even as the cause of another: each is translated, and raised after it was let go.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urldefrag, urlencode, urlsplit

import requests
from msgspec import Struct

from ingest_assets.errors import ConfigError, IngestError, RequestFailed, TransientFailure
from ingest_assets.http.heads import POOLS
from ingest_assets.http.page import PageRequest
from ingest_assets.http.tls import Tls

_HEADERS = {"User-Agent": "ingest-assets", "Accept": "*/*", "Accept-Encoding": "gzip"}
# The limits of http.client on the head of an answer: one of its errors has a class, the other a text.
_HEADER_LINES, _HEADER_BYTES, _MANY_HEADERS = 100, 65_536, "got more than 100 headers"
_WITHOUT_BODY = ("GET", "HEAD")  # of others, requests says that they have none
_NOT_SENT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidProxyURL,
)


class Timeouts(Struct, frozen=True):
    """Seconds to wait for a connection, and for the next bytes of an answer."""

    connect: float
    read: float


class Pool(requests.Session):
    """Connections to any origin; for each of them the environment is looked at once."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, Mapping[str, Any]] = {}
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter())

    def settings(self, url: str) -> Mapping[str, Any]:
        """Proxies and certificates for a URL."""
        here = _origin(url)
        if here not in self._settings:
            # An authority of the source's own counts more than one of the environment.
            own = self.verify if isinstance(self.verify, str) else None
            self._settings[here] = dict(self.merge_environment_settings(url, {}, True, own, None))
        return self._settings[here]


def _origin(url: str) -> str:
    return "/".join(url.partition("?")[0].split("/", 3)[:3])


class _Adapter(requests.adapters.HTTPAdapter):
    """As that of requests, for one pool: what it finds for each request again is found once for an origin.

    No cookies are looked for in answers: none is kept.
    """

    _newest: tuple[str, Any, bool] | None = None  # of an origin its connections, and whether a proxy makes them

    def init_poolmanager(self, *args: Any, **told: Any) -> None:
        """Make what makes connections without a proxy."""
        super().init_poolmanager(*args, **told)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **told: Any) -> Any:
        """What makes connections by a proxy; those of SOCKS are of a kind of their own."""
        made = super().proxy_manager_for(proxy, **told)
        if not proxy.lower().startswith("socks"):
            made.pool_classes_by_scheme = POOLS
        return made

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The connections to the origin of a request."""
        here, newest = _origin(request.url or ""), self._newest
        if newest is None or newest[0] != here or newest[1].pool is None:  # None: it was closed
            found = super().get_connection_with_tls_context(request, verify, proxies, cert)
            newest = self._newest = here, found, requests.utils.select_proxy(request.url or "", proxies) is not None
        return newest[1]

    def close(self) -> None:
        """Close the connections now: urllib3 leaves that to who lets go of them last."""
        if self._newest is not None:
            self._newest[1].close()
            self._newest = None
        super().close()

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What stands in the request's first line."""
        url, newest = request.url or "", self._newest
        if newest is None or newest[2]:
            return super().request_url(request, proxies)
        told = url.removeprefix(newest[0])
        return told if told.startswith("/") else f"/{told}"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        return _Answer(req, resp)


class _Answer(requests.Response):
    """An answer whose body is read from `raw` alone: without a jar for cookies, and what else nobody looks at.

    Names of headers are in small letters; one that was sent several times has all of its values, with commas between.
    """

    def __init__(self, request: requests.PreparedRequest, raw: Any) -> None:
        self.request, self.url, self.raw = request, request.url or "", raw
        self.status_code, self.reason = raw.status, raw.reason
        # Not a dictionary that makes small letters of each name again whenever it is looked at.
        self.headers = {name.lower(): raw.headers[name] for name in raw.headers}  # type: ignore[assignment]
        self._content_consumed = False


def session(tls: Tls | None = None) -> Pool:
    """A pool of connections that takes proxies and certificates from the environment, but no password.

    `tls` says who the client is, and whose servers it trusts; ConfigError where its files cannot be used.
    """
    made = Pool()
    if tls is not None:
        tls.refuse_unusable()
        made.verify = tls.authority or True
        made.cert = (tls.certificate, tls.key) if tls.certificate and tls.key else tls.certificate
    return made


def prepared(request: PageRequest, named: str) -> requests.PreparedRequest:
    """The request as it goes over the wire; ConfigError where it holds characters that cannot be sent."""
    url, headers = url_of(request), dict(request.headers)
    data = _encoded(request, request.body, headers) if request.body is not None else None
    try:
        made = _made(request.method, url, {**_HEADERS, **as_sent(headers)}, data)
    except (requests.RequestException, ValueError):
        made = None
    if made is None:  # not raised where it was caught: that error shows what was to be sent
        raise ConfigError(f"{named}: a header or the URL holds characters that cannot be sent")
    return made


def as_sent(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers whose texts go out as Latin-1; so they carry the bytes of UTF-8, as cursors came in."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _made(method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> requests.PreparedRequest:
    """As a session makes it, without what is not used here: cookies, files, its own way to add parameters."""
    _refuse_unsendable(url.partition("?")[0])
    made = requests.PreparedRequest()
    made.prepare_method(method)
    made.prepare_headers(headers)
    if data is not None or method not in _WITHOUT_BODY:
        made.prepare_body(data, None)
    made.url = url  # as it was given: requests would write some of its percent-encoding differently
    return made


@lru_cache(maxsize=64)
def _refuse_unsendable(address: str) -> None:
    """Raise what requests raises for a URL that has no host, or one that cannot be."""
    requests.PreparedRequest().prepare_url(address, None)


def url_of(request: PageRequest) -> str:
    """The URL that a request asks for.

    >>> url_of(PageRequest("https://x.example/pages/{page}", (("limit", "2"),), path=(("page", "a/b"),)))
    'https://x.example/pages/a%2Fb?limit=2'
    """
    url = request.url
    for name, value in request.path:
        url = url.replace(f"{{{name}}}", quote(value, safe="~"))
    return full_url(url, request.params)


def full_url(url: str, params: Sequence[tuple[str, str]]) -> str:
    """The URL with its parameters; only what no URL may hold is encoded, so that nothing is encoded twice.

    >>> full_url("https://x.example/a%2Fb?c=1#top", [("created[gte]", "1 2")])
    'https://x.example/a%2Fb?c=1&created%5Bgte%5D=1%202'
    """
    return _full_url(url, tuple(params))


@lru_cache(maxsize=16)  # that of one request is asked for again and again: to send it, and to name it
def _full_url(url: str, params: tuple[tuple[str, str], ...]) -> str:
    bare, _ = urldefrag(url)
    query = urlencode(params, quote_via=quote, safe="~")
    joined = bare + ("&" if urlsplit(bare).query else "" if bare.endswith("?") else "?") + query if query else bare
    return quote(joined, safe="%/:?#[]@!$&'()*+,;=~")


def _encoded(request: PageRequest, values: Mapping[str, Any], headers: dict[str, str]) -> bytes:
    """The body's bytes; their type is added to the headers, unless they say it already."""
    kind = "application/json" if request.body_as == "json" else "application/x-www-form-urlencoded"
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = kind
    if request.body_as == "json":
        return json.dumps(values).encode()
    return urlencode({name: _form_value(value) for name, value in values.items()}, doseq=True).encode()


def _form_value(value: Any) -> Any:
    """Truth values small, as in JSON and as in parameters; of a list, each value by itself."""
    if isinstance(value, list | tuple):
        return [_form_value(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else value


def sent(pool: Pool, prepared: requests.PreparedRequest, timeouts: Timeouts, named: str) -> requests.Response:
    """The answer, its body not yet read; redirects and cookies are not followed or kept.

    `named` is what messages call the request. Raises TransientFailure where there is no connection or no
    answer, RequestFailed where the server's certificate is not trusted, ConfigError where it cannot be sent.
    """
    url = prepared.url or ""
    try:
        # Straight to the adapter: the session's own send reads the body of a redirect, and keeps cookies.
        return pool.get_adapter(url).send(prepared, timeout=(timeouts.connect, timeouts.read), **pool.settings(url))
    except (requests.RequestException, OSError, ValueError) as error:
        failure = _translated(error, timeouts, named)
    raise failure


def _translated(error: Exception, timeouts: Timeouts, named: str) -> IngestError:
    if isinstance(error, _NOT_SENT):
        return ConfigError(f"{named}: cannot be sent: {type(error).__name__}")
    if isinstance(error, requests.exceptions.InvalidHeader):  # of an answer: those of a request were looked at before
        return TransientFailure(f"{named}: the answer names two lengths of its body (Content-Length)")
    if isinstance(error, requests.ConnectTimeout):
        return TransientFailure(f"{named}: no connection within {timeouts.connect:g} s")
    if isinstance(error, requests.Timeout):
        return TransientFailure(f"{named}: no answer within {timeouts.read:g} s")
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RequestFailed(f"{named}: the server's certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError) and (advice := _advice_of_alert(cause.reason or "")):
        return RequestFailed(f"{named}: the server does not take the client's certificate ({cause.reason}): {advice}")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientFailure(f"{named}: the proxy of the environment gave no connection")
    if isinstance(cause, http.client.LineTooLong) or _MANY_HEADERS in str(cause):
        return RequestFailed(
            f"{named}: its headers are larger than what is read of them, {_HEADER_LINES} lines of {_HEADER_BYTES:,} "
            "bytes at most: do they repeat what belongs into the body?"
        )
    told = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return TransientFailure(f"{named}: no connection: {told}{_advice(cause)}")


def _advice_of_alert(reason: str) -> str:
    """What to do where a server ends the handshake for the sake of the client's certificate (RFC 8446 §6.2)."""
    if "ALERT" not in reason:
        return ""
    if "CERTIFICATE_REQUIRED" in reason:
        return "it wants one: name it as `tls: {certificate: …}`"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return "check that the server trusts who signed `tls: certificate`, and how long it is good"
    return ""


def _advice(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return " (is it http:// there?)"
    unreachable = isinstance(cause, ConnectionRefusedError | socket.gaierror)
    return " (check host and port of base_url)" if unreachable else ""


def _innermost(error: BaseException) -> BaseException:
    """What was first to go wrong: requests wraps urllib3, which wraps the system's own error."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [getattr(error, "reason", None), *error.args[:2], error.__cause__, error.__context__]
        error = next((found for found in inner if isinstance(found, BaseException)), error)
    return error
