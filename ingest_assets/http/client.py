"""Asks one API for pages: adds the credential, waits for the limit, tries again, and streams what comes.

    fetch ─► retry loop ─► token ─► grant ─► credential ─► send ─► redirects ─► status ─► receive(body, redacted)

Only some kinds of auth have a token: those whose secrets are exchanged for one. Where the API refuses it, it is
renewed and the request made once again. The credential belongs to one origin. Whatever asks for another, a next
link or a redirect, goes without it or not at all. Nothing that leaves this module, errors included, holds the value
of a secret.
"""

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urldefrag, urljoin, urlsplit

import requests

from ingest_assets.errors import ConfigError, IngestError, NotBefore, RequestFailed, TransientFailure
from ingest_assets.http import body
from ingest_assets.http.auth import Auth, Exchanged, NoAuth
from ingest_assets.http.auth.kind import Sent
from ingest_assets.http.breaker import Breaker
from ingest_assets.http.exchange import Exchange
from ingest_assets.http.limits import Grant, Limiter
from ingest_assets.http.page import Page, PageRequest, origin
from ingest_assets.http.place import Place, whole
from ingest_assets.http.redirects import lost_on_the_way
from ingest_assets.http.refusal import hint, phrase, quoted
from ingest_assets.http.responses import MOST_BYTES, ResponseRule, concerned, fitting, parsed
from ingest_assets.http.retry import RETRIED_STATUSES, RetryPolicy, is_throttled, wait_told
from ingest_assets.http.rotation import Rotation
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import LogFilter, Redactor, Secrets
from ingest_assets.http.tls import Tls
from ingest_assets.http.tokens import KeptToken, TokenFile
from ingest_assets.http.trace import Asked, Tracer
from ingest_assets.http.transport import Timeouts, prepared, sent, session, url_of
from ingest_assets.http.waits import Told, seconds_told

T = TypeVar("T")

_MOST_REDIRECTS = 5
_MOST_TOKENS = 10
# How many others may each wait for all of their timeouts before it is this process's turn to renew a token.
_EXCHANGES_AHEAD = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_PUSH_BACK_SECONDS = 86_400.0
_SUCCESS = range(200, 300)
_NOTHING = (b"", b"[]", b"{}", b"null")
_LONGEST_NOTHING = 16
_SERVER_ERROR = 500


@dataclass
class Traffic:
    """What a client has asked for and received so far; `bytes_received` as sent, so compressed."""

    requests: int = 0
    bytes_received: int = 0
    retries: int = 0
    limit_wait_seconds: float = 0.0
    retry_wait_seconds: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Wait:
    """Told before each wait: for the limit, or before the next try."""

    kind: Literal["limit", "retry"]
    seconds: float
    why: str


@dataclass(frozen=True)
class Response:
    """An answer with a good status. Header names are in small letters; everything is redacted, the body too."""

    status: int
    headers: Mapping[str, str]
    url: str
    _body: Iterator[bytes]
    _read: Callable[["Response", Any], None] = lambda _response, _envelope: None

    def learn(self, envelope: Any) -> None:
        """What the body holds beside its records: some APIs tell there what the request cost, and what is left."""
        self._read(self, envelope)

    @property
    def tells_cuts(self) -> bool:
        """Whether a body that ends early can be told: its length is announced, or its end is marked (RFC 9112 §8)."""
        marked = f"{self.headers.get('transfer-encoding', '')} {self.headers.get('content-encoding', '')}".lower()
        return "content-length" in self.headers or "chunked" in marked or "gzip" in marked

    def chunks(self) -> Iterator[bytes]:
        """The body, to be read once, its content encoding undone.

        Raises TransientFailure where it is cut or damaged, RequestFailed where it is larger than allowed.
        """
        return self._body


class _SessionEnded(TransientFailure):
    """An answer of a good status that says that the login is over; there is another one by now."""


class Client:
    """Fetches pages from the origin of `base_url`. One walk a client: it is not shared between threads.

    All `limiters` have to grant each request, in their order: the narrowest first, so that who waits for it holds no
    slot of the others. `error_message` are paths into an error's JSON body; what is there is quoted in messages, cut
    to 200 characters. `responses` say which answers are no pages, whatever their status; the first that fits counts.
    `breaker` knows whether the API is down. `cost` is where an answer tells how many points it cost.
    `on_wait` is told of every wait before it begins, `on_asked` of every request once it is over.
    `tokens` is the folder where tokens are shared with other processes, and `token_limiter` grants the requests for
    them: both are for the kinds of auth that have tokens. `rotation` gives the credential of each request, and its
    limiters, where there are several. The certificate of `tls` is for the API and its tokens' server only.
    """

    def __init__(
        self,
        base_url: str,
        auth: Auth | None = None,
        secrets: Secrets | None = None,
        limiters: Sequence[Limiter] = (),
        *,
        connect_timeout_seconds: float = 10.0,
        read_timeout_seconds: float = 60.0,
        retry: RetryPolicy | None = None,
        error_message: Sequence[str] = (),
        responses: Sequence[ResponseRule] = (),
        breaker: Breaker | None = None,
        cost: Place | None = None,
        max_body_bytes: int = 20 << 30,
        max_ratio: int | None = None,
        member: str | None = None,
        tokens: Path | None = None,
        token_limiter: Limiter | None = None,
        rotation: Rotation | None = None,
        tls: Tls | None = None,
        on_wait: Callable[[Wait], None] = lambda _wait: None,
        on_asked: Callable[[Asked], None] = lambda _asked: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.origin = _own_origin(base_url)
        self.traffic = Traffic()
        self.left: str | None = None  # what the last answer told of the API's scarcest allowance
        self._auth = auth or NoAuth()
        self._secrets = secrets or Secrets()
        self._limiters = limiters
        self._timeouts = Timeouts(connect_timeout_seconds, read_timeout_seconds)
        self._retry = _as_patient_as_the_least(retry or RetryPolicy(), limiters)
        self._error_message, self._responses = error_message, responses
        self._breaker = breaker
        self._max_body_bytes, self._max_ratio, self._member = max_body_bytes, max_ratio, member
        self._on_wait = on_wait
        self._tracer = Tracer(on_asked, lambda: self.traffic.bytes_received)
        self._sleep = sleep
        self._session, self._elsewhere = session(tls), session()
        self._rotation = rotation
        self._sent_token: KeptToken | None = None
        self._throttled = self._renewed = False
        self._cost = cost
        self._grants: Sequence[Grant] = ()
        self._held = contextlib.ExitStack()  # the slots of the request that is under way
        self._exchange = self._made_exchange(tokens, token_limiter)
        self._log_filter = LogFilter(self._secrets)
        # urllib3 writes the path and query of each request to this log at level DEBUG.
        logging.getLogger("urllib3.connectionpool").addFilter(self._log_filter)

    def _made_exchange(self, folder: Path | None, limiter: Limiter | None) -> Exchange | None:
        if not isinstance(self._auth, Exchanged):
            return None
        if folder is None:
            raise ValueError(f"auth {type(self._auth).__name__} needs a folder for its tokens")
        patience = limiter.max_wait_seconds if limiter is not None else 0.0
        in_flight = self._timeouts.connect + self._timeouts.read
        key = self._auth.token_key(self._secrets)
        file = TokenFile(folder, key, lock_wait_seconds=patience + _EXCHANGES_AHEAD * in_flight)
        return Exchange(self._auth, self._secrets, file, limiter, self._session, self._timeouts, self._before_grant)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._session.close()
        self._elsewhere.close()
        logging.getLogger("urllib3.connectionpool").removeFilter(self._log_filter)

    def fetch(self, request: PageRequest, receive: Callable[[Response], T]) -> T:
        """What `receive` makes of the answer to this request, which is made again where that may help.

        `receive` consumes the body; where it raises TransientFailure (a cut body), the request is made again
        and `receive` begins anew. Values that the redactor took out of the request are put back before it is
        sent. Raises TransientFailure once all attempts are used up, NotBefore where the API asks for a longer wait
        than is allowed, RequestFailed where it refuses, and ConfigError where a secret is missing.
        """
        if origin_of(request.url) != self.origin:
            raise RequestFailed(f"{self._named(request)}: expected a URL at {self.origin}, whose credential this is")
        self._renewed = False
        self._tracer.begins()
        tries = self._retry.retrying(self._before_retry, self._sleep)
        try:
            return tries(lambda: self._attempt(request, receive))
        except TransientFailure as failure:
            final = self._retry.final(failure, datetime.now(UTC))
        raise final

    def _attempt(self, request: PageRequest, receive: Callable[[Response], T]) -> T:
        try:
            return self._received(request, receive)
        except _SessionEnded:
            return self._received(request, receive)

    def _received(self, request: PageRequest, receive: Callable[[Response], T]) -> T:
        self._throttled = False
        with self._tracer.attempt(), self._held:
            answer, answered = self._answered(request)
            with contextlib.closing(answer):
                if answer.status_code not in _SUCCESS or answer.status_code == HTTPStatus.ACCEPTED:
                    raise self._refusal(answered, answer)
                response = self._unless_ended(answered, self._response(answered, answer))
                return receive(self._page(answered, response))

    def _unless_ended(self, request: PageRequest, response: Response) -> Response:
        """The response; _SessionEnded, after a renewal, where it is how this API says that the session is over."""
        token = self._sent_token
        if token is None or self._exchange is None or self._renewed or not self._auth.tells_end_by_nothing:
            return response
        chunks = response.chunks()
        head, is_whole = _head(chunks, _LONGEST_NOTHING)
        if not is_whole or head.strip() not in _NOTHING:
            return replace(response, _body=itertools.chain([head], chunks))
        self._renewed = True
        self._exchange.renewed(token)
        raise _SessionEnded(f"{self._named(request)}: HTTP {response.status} without content: the login is over")

    def _before_retry(self, failure: TransientFailure, seconds: float) -> None:
        if self._throttled:
            self._push_back(seconds)
        self.traffic.retries += 1
        self.traffic.retry_wait_seconds += seconds
        self._tracer.waits(seconds)
        self._on_wait(Wait("retry", seconds, str(failure)))

    def _before_grant(self, seconds: float, why: str) -> None:
        self.traffic.limit_wait_seconds += seconds
        self._tracer.waits(seconds)
        self._on_wait(Wait("limit", seconds, why))

    def _push_back(self, seconds: float) -> None:
        for limiter in self._limiters:
            limiter.push_back(min(seconds, _LONGEST_PUSH_BACK_SECONDS))

    def _answered(self, request: PageRequest) -> tuple[requests.Response, PageRequest]:
        """The answer once no redirect follows, and the request that it answers."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._authorized(request)
            with contextlib.ExitStack() as closing:
                closing.callback(answer.close)
                target = self._redirect(request, answer)
                if target is None:
                    closing.pop_all()
                    return answer, request
            request = target
        raise RequestFailed(f"{self._named(request)}: redirected more than {_MOST_REDIRECTS} times")

    def _authorized(self, request: PageRequest) -> requests.Response:
        """The answer to a request; where its token is no longer taken, that to the same request with another one."""
        sent_with = self._auth.sent(self._secrets) if self._exchange is None else {}
        answer, token = self._asked(request)
        if self._is_outdated(request, answer, sent_with):
            answer.close()
            self._renewed = True
            answer, token = self._asked(request)
        if token is None or self._exchange is None or not self._exchange.is_refused(answer):
            return answer
        if not self._renewed:
            answer.close()
            self._renewed = True
            self._exchange.renewed(token)
            answer, token = self._asked(request)
        if token and self._exchange.is_refused(answer) and not self._exchange.is_fresh(token):
            answer.close()
            raise TransientFailure(f"{self._named(request)}: the life of its token ended on the way")
        return answer

    def _is_outdated(self, request: PageRequest, answer: requests.Response, sent_with: Mapping[Secret, str]) -> bool:
        """Whether the API refuses a secret that is another one by now, as after a rotation."""
        refused = answer.status_code == HTTPStatus.UNAUTHORIZED and origin_of(request.url) == self.origin
        return refused and bool(sent_with) and not self._renewed and self._secrets.renewed(sent_with, sent_with)

    def _asked(self, request: PageRequest) -> tuple[requests.Response, KeptToken | None]:
        """The answer, and the token that was sent."""
        own = origin_of(request.url) == self.origin
        if own and self._breaker is not None:
            self._breaker.check()  # before anybody waits for a grant
        for _ in range(_MOST_TOKENS):
            token = self._exchange.token() if self._exchange is not None and own else None
            self._held.close()  # a request before this one is over
            if self._rotation is not None and own:
                credential = self._rotation.next()
                self._auth, self._limiters = credential.auth, credential.limiters
            limiters = self._limiters if own else ()
            grants = [self._held.enter_context(self._granted(limiter, request)) for limiter in limiters]
            if token is None or self._exchange is None or self._exchange.is_fresh(token):
                self._grants, self._sent_token = grants, token
                answer = self._guarded(request, own)
                return answer, token
            for grant in grants:
                grant.give_back()
        raise TransientFailure(
            f"{self._named(request)}: waiting for the rate limit takes longer than a token lives, {_MOST_TOKENS} times"
        )

    @contextlib.contextmanager
    def _granted(self, limiter: Limiter, request: PageRequest) -> Iterator[Grant]:
        """What the limiter grants; a wait that is too long names the request that it is for."""
        with contextlib.ExitStack() as held:
            try:
                grant = held.enter_context(limiter.granted(self._before_grant))
            except NotBefore as refused:
                final = NotBefore(f"{self._named(request)}: {refused}", refused.until, refused.wait_seconds)
            else:
                yield grant
                return
        raise final

    def _guarded(self, request: PageRequest, own: bool) -> requests.Response:
        """The answer to a request that is sent now; what comes of it is told to all who ask this API."""
        if not own or self._breaker is None:
            return self._sent(request, own)
        with self._breaker.request() as tell:
            try:
                answer = self._sent(request, own)
            except TransientFailure as failure:
                tell(str(failure).removeprefix(f"{self._named(request)}: "))
                raise
            status = answer.status_code
            throttled = any(status in rule.status for rule in self._responses)
            tell(f"HTTP {status} {phrase(status)}" if status >= _SERVER_ERROR and not throttled else None)
            return answer

    def _sent(self, request: PageRequest, own: bool) -> requests.Response:
        made = self._prepared(request, own)
        self.traffic.requests += 1
        self._tracer.sends(request.method, self._shown(request))
        began = time.monotonic()
        answer = sent(self._session if own else self._elsewhere, made, self._timeouts, self._named(request))
        self._tracer.answered(answer.status_code, self._left(answer, time.monotonic() - began))
        return answer

    def _left(self, answer: requests.Response, seconds: float) -> str | None:
        """Tell the limiters that an answer has come; gives what is left of the API's allowance, where that is told."""
        headers = self._headers(answer)
        took = seconds if answer.status_code in _SUCCESS else None
        left = [grant.answered(headers, took) for grant in self._grants]
        self.left = next((one for one in left if one), None)
        return self.left

    def _read(self, response: Response, envelope: Any) -> None:
        """Tell the limiters what a body says beside its records."""
        page = Page(0, PageRequest(response.url), response.status, response.headers, envelope)
        points = whole(self._cost.find(page)) if self._cost is not None else None
        for grant in self._grants:
            grant.read(envelope, points)

    def _prepared(self, request: PageRequest, own: bool) -> requests.PreparedRequest:
        """The request as it is sent: with its credential if `own`, and with the values that were redacted."""
        if own:
            request = self._auth.apply(request, self._secrets)
        restored = _restored_request(request, self._redactor.restore_decoded)
        if (origin_of(url_of(restored)) == self.origin) != own:
            raise RequestFailed(f"{self._named(request)}: its URL leads to another origin once it is put together")
        made = prepared(self._session, restored, self._named(request))
        if own:
            self._sign(made)
        return made

    def _sign(self, made: requests.PreparedRequest) -> None:
        body = made.body if isinstance(made.body, bytes) else b""
        told = Sent(made.method or "", made.url or "", dict(made.headers), body)
        signature = self._auth.signed(told, self._secrets, datetime.now(UTC))
        if signature is not None:
            made.headers.update(signature.headers)
            made.url = signature.url

    def _redirect(self, request: PageRequest, answer: requests.Response) -> PageRequest | None:
        """The request that a redirect asks for (RFC 9110 §15.4), or None where there is none."""
        location = answer.headers.get("location")
        if answer.status_code not in _REDIRECTS or not location:
            return None
        found = location.encode("latin-1", "replace").decode("utf-8", "replace")
        url = _joined(url_of(request), found)
        there = origin_of(url)
        if there is None or "@" in urlsplit(url).netloc or "\\" in found or not found.isprintable():
            raise RequestFailed(f"{self._named(request)}: redirected to what is not a plain http(s) URL. Not followed")
        keeps_body = answer.status_code in (307, 308) or request.method == "GET"
        if there == self.origin:
            lost = lost_on_the_way(url_of(request), url, body=request.body is not None and not keeps_body)
            if lost is not None:
                there = self._redactor.text(url).partition("?")[0]
                raise RequestFailed(
                    f"{self._named(request)}: redirected to {there} without {lost}, so the answer would be of "
                    "something else. Not followed: write that path in the source file"
                )
            target = replace(request, url=self._redactor.text(url), params=(), path=())
            return target if keeps_body else replace(target, method="GET", body=None)
        refused = self._why_not_there(url, keeps_body and request.body is not None)
        if refused:
            raise RequestFailed(f"{self._named(request)}: redirected to {there}, {refused}. Not followed")
        return PageRequest(url)

    def _why_not_there(self, url: str, with_body: bool) -> str | None:
        """Why a redirect to another origin is not followed, if so; without credentials it may be."""
        if with_body:
            return "another origin, which would get the request's body"
        if self._redactor.text(url) != url:
            return "another origin, with a secret in the URL"
        if self.origin.startswith("https:") and not url.startswith("https:"):
            return "another origin, without encryption"
        return None

    def _response(self, request: PageRequest, answer: requests.Response) -> Response:
        chunks = body.chunks(
            answer,
            self._named(request),
            self._max_body_bytes,
            self._count,
            max_ratio=self._max_ratio,
            member=self._member,
        )
        shown, stream = self._shown(request), self._redactor.stream(chunks)
        return Response(answer.status_code, self._headers(answer), shown, stream, self._read)

    def _headers(self, answer: requests.Response) -> dict[str, str]:
        return {
            name.lower(): self._redactor.text(value)
            for name, value in answer.headers.items()
            if name.lower() != "set-cookie"
        }

    def _count(self, received: int) -> None:
        self.traffic.bytes_received += received

    def _page(self, request: PageRequest, response: Response) -> Response:
        """The answer of a good status itself, unless a rule says that it is no page."""
        rules = concerned(self._responses, response.status)
        if not rules:
            return response
        chunks, text = response.chunks(), b""
        if any(rule.reads_body for rule in rules):
            head, is_whole = _head(chunks, MOST_BYTES)
            chunks, text = itertools.chain([head], chunks), head if is_whole else b""
        told = _told(response, text)
        rule = fitting(rules, told)
        if rule is not None:
            raise self._throttling(f"{self._named(request)}: HTTP {told.status}", told, rule)
        return replace(response, _body=iter(chunks))

    def _refusal(self, request: PageRequest, answer: requests.Response) -> IngestError:
        """The error for an answer that is not a success."""
        status = answer.status_code
        told = self._heard(request, answer)
        quote = quoted(told.body, self._error_message)
        named = f"{self._named(request)}: HTTP {status} {phrase(status)}{quote}"
        rule = fitting(self._responses, told)
        if rule is not None or is_throttled(status, told.headers):
            return self._throttling(named, told, rule)
        if status == HTTPStatus.ACCEPTED:  # RFC 9110 §15.3.3: what it holds is not what was asked for
            return self._passing(f"{named}: the answer is still being made", wait_told(told.headers, told.now))
        if status not in RETRIED_STATUSES:
            advice = self._hint(status)
            return RequestFailed(f"{named}. {advice}" if advice else named, status)
        return self._passing(named, wait_told(told.headers, told.now))

    def _throttling(self, named: str, told: Told, rule: ResponseRule | None) -> TransientFailure:
        """The failure that too much was asked; all processes are held back."""
        self._throttled = True
        seconds = wait_told(told.headers, told.now)
        if rule is not None:
            named, seconds = f"{named}: throttled, as {rule}", seconds_told(rule.wait, told, seconds)
        return self._passing(named, seconds)

    def _passing(self, named: str, wait_seconds: float | None) -> TransientFailure:
        if wait_seconds is not None:
            self._push_back(wait_seconds)
        if self._rotation is not None and not self._rotation.wait():
            wait_seconds = None  # another credential may ask at once
        return TransientFailure(named, wait_seconds)

    def _hint(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED:
            return self._auth.when_refused()
        return hint(status, quotes=bool(self._error_message))

    def _heard(self, request: PageRequest, answer: requests.Response) -> Told:
        """What an error says; of its body nothing where nobody looks at it, or it cannot be read."""
        response, text = self._response(request, answer), b""
        if self._error_message or any(rule.reads_body for rule in concerned(self._responses, answer.status_code)):
            with contextlib.suppress(IngestError):
                text, _ = _head(response.chunks(), MOST_BYTES)
        return _told(response, text)

    @property
    def _redactor(self) -> Redactor:
        return self._secrets.redactor()

    def _shown(self, request: PageRequest) -> str:
        """The request's URL without secrets; at another origin without its query, which may be a signature."""
        if origin_of(request.url) != self.origin:
            return request.url.partition("?")[0]
        return self._redactor.text(url_of(request))

    def _named(self, request: PageRequest) -> str:
        return f"{request.method} {self._shown(request)}"


def origin_of(url: str) -> str | None:
    """The origin of an http or https URL; None for anything else.

    >>> origin_of("https://x.example/a"), origin_of("file:///etc/passwd"), origin_of("http://[::1")
    ('https://x.example:443', None, None)
    """
    try:
        parts = urlsplit(url)
        return origin(url) if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _as_patient_as_the_least(retry: RetryPolicy, limiters: Sequence[Limiter]) -> RetryPolicy:
    # Else the loop would sleep through the very wait that a limiter refused.
    longest = min([retry.max_wait_seconds, *(limiter.max_wait_seconds for limiter in limiters)])
    return replace(retry, max_wait_seconds=longest)


def _own_origin(base_url: str) -> str:
    found = origin_of(base_url)
    if found is None:
        raise ConfigError(f"base_url: expected http:// or https:// and a host, found {base_url.partition('?')[0]!r}")
    if "@" in urlsplit(base_url).netloc:
        raise ConfigError("base_url: a user or password does not go there; write `auth: {type: basic, …}`")
    if not base_url.isascii():
        raise ConfigError("base_url: write the host in ASCII (xn--…), and other characters percent-encoded")
    return found


def _joined(base: str, found: str) -> str:
    try:
        return urldefrag(urljoin(base, found))[0]
    except ValueError:
        return ""


def _restored_request(request: PageRequest, restore: Callable[[str], str]) -> PageRequest:
    return replace(
        request,
        url=restore(request.url),
        params=tuple((name, restore(value)) for name, value in request.params),
        path=tuple((name, restore(value)) for name, value in request.path),
        headers=tuple((name, restore(value)) for name, value in request.headers),
        body=_restored(request.body, restore),
    )


def _restored(value: Any, restore: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return restore(value)
    if isinstance(value, Mapping):
        return {key: _restored(inner, restore) for key, inner in value.items()}
    return [_restored(inner, restore) for inner in value] if isinstance(value, list | tuple) else value


def _head(chunks: Iterator[bytes], most: int) -> tuple[bytes, bool]:
    """The first bytes of a body, a little more than `most` at most, and whether these are all."""
    head = bytearray()
    for chunk in chunks:
        head += chunk
        if len(head) > most:
            return bytes(head), False
    return bytes(head), True


def _told(response: Response, text: bytes) -> Told:
    body = parsed(text)
    return Told(response.status, response.headers, text.decode("utf-8", "replace"), body, datetime.now(UTC))
