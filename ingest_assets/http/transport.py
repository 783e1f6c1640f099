"""Sends one request over a pooled connection, and says in plain words why that failed.

The texts of requests and urllib3 hold URLs, queries and header values. So none of their errors gets out, not
even as the cause of another: each is translated, and raised after it was let go.
"""

import ssl
from dataclasses import dataclass
from typing import Any

import requests

from ingest_assets.errors import ConfigError, IngestError, RequestFailed, TransientFailure

_HEADERS = {"User-Agent": "ingest-assets", "Accept": "*/*", "Accept-Encoding": "gzip"}
_NOT_SENT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes of an answer."""

    connect: float
    read: float


def session() -> requests.Session:
    """A pool of connections that takes proxies and certificates from the environment, but no password."""
    made = requests.Session()
    made.headers.clear()
    made.headers.update(_HEADERS)
    made.auth = _leave_as_it_is  # without an auth, requests would look into ~/.netrc
    return made


def _leave_as_it_is(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def sent(
    pool: requests.Session, prepared: requests.PreparedRequest, timeouts: Timeouts, named: str
) -> requests.Response:
    """The answer, its body not yet read; redirects and cookies are not followed or kept.

    `named` is what messages call the request. Raises TransientFailure where there is no connection or no
    answer, RequestFailed where the server's certificate is not trusted, ConfigError where it cannot be sent.
    """
    url = prepared.url or ""
    try:
        settings: dict[str, Any] = dict(pool.merge_environment_settings(url, {}, True, None, None))
        # Straight to the adapter: the session's own send reads the body of a redirect, and keeps cookies.
        return pool.get_adapter(url).send(prepared, timeout=(timeouts.connect, timeouts.read), **settings)
    except (requests.RequestException, OSError, ValueError) as error:
        failure = _translated(error, timeouts, named)
    raise failure


def _translated(error: Exception, timeouts: Timeouts, named: str) -> IngestError:
    if isinstance(error, _NOT_SENT):
        return ConfigError(f"{named}: cannot be sent: {type(error).__name__}")
    if isinstance(error, requests.ConnectTimeout):
        return TransientFailure(f"{named}: no connection within {timeouts.connect:g} s")
    if isinstance(error, requests.Timeout):
        return TransientFailure(f"{named}: no answer within {timeouts.read:g} s")
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RequestFailed(f"{named}: the server's certificate is not trusted: {cause.verify_message}")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientFailure(f"{named}: the proxy of the environment gave no connection")
    told = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return TransientFailure(f"{named}: no connection: {told}")


def _innermost(error: BaseException) -> BaseException:
    """What was first to go wrong: requests wraps urllib3, which wraps the system's own error."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [getattr(error, "reason", None), *error.args[:2], error.__cause__, error.__context__]
        error = next((found for found in inner if isinstance(found, BaseException)), error)
    return error
