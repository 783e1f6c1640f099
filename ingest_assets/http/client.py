"""Asks one API for pages: adds the credential, waits for the limit, tries again, and streams what comes.

    fetch ─► retry loop ─► asking: token ─► grant ─► credential ─► sending ─► redirects ─► meaning ─► receive(body)

Only some kinds of auth have a token: those whose secrets are exchanged for one. Where the API refuses it, it is
renewed and the request made once again. The credential belongs to one origin. Whatever asks for another, a next
link or a redirect, goes without it or not at all. Nothing that leaves this module, errors included, holds the value
of a secret.
"""

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from msgspec.structs import replace

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.answer import BodyBounds, Response, head, response
from ingest_assets.http.asking import Asking
from ingest_assets.http.auth import Auth, NoAuth
from ingest_assets.http.breaker import Breaker
from ingest_assets.http.limits import Limiter
from ingest_assets.http.meaning import Meaning, SessionEnded
from ingest_assets.http.naming import Naming, origin_of
from ingest_assets.http.page import PageRequest
from ingest_assets.http.place import Place
from ingest_assets.http.redirects import why_not_there
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import LogFilter, Secrets
from ingest_assets.http.sending import Sending
from ingest_assets.http.tls import Tls
from ingest_assets.http.trace import Asked
from ingest_assets.http.traffic import Meter, Traffic, Wait
from ingest_assets.http.transport import Timeouts
from ingest_assets.http.validators import is_on_condition

if TYPE_CHECKING:
    from ingest_assets.http.exchange import Exchange
    from ingest_assets.http.rotation import Rotation

T = TypeVar("T")

# How many others may each wait for all of their timeouts before it is this process's turn to renew a token.
_EXCHANGES_AHEAD = 4
# urllib3 writes path and query of each request to the first at level DEBUG; of an answer whose headers it finds odd, to
# the second as a warning.
_LOGS_OF_URLS = ("urllib3.connectionpool", "urllib3.connection")
_SUCCESS = range(200, 300)
_NOTHING = (b"", b"[]", b"{}", b"null")
_LONGEST_NOTHING = 16


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
        rotation: "Rotation | None" = None,
        tls: Tls | None = None,
        on_wait: Callable[[Wait], None] = lambda _wait: None,
        on_asked: Callable[[Asked], None] = lambda _asked: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        secrets, auth = secrets or Secrets(), auth or NoAuth()
        self._naming, self._meter = Naming(base_url, secrets), Meter(on_wait, on_asked)
        self._bounds = BodyBounds(max_body_bytes, max_ratio, member)
        self._retry = _as_patient_as_the_least(retry or RetryPolicy(), limiters)
        self._sleep = sleep
        times = Timeouts(connect_timeout_seconds, read_timeout_seconds)
        self._sending = Sending(self._naming, secrets, self._meter, times, tls, auth.carried)
        self._asking = Asking(
            self._naming,
            auth,
            secrets,
            limiters,
            self._sending,
            self._meter,
            exchange=self._made_exchange(auth, secrets, tokens, token_limiter),
            rotation=rotation,
            breaker=breaker,
            responses=responses,
            cost=cost,
        )
        self._meaning = Meaning(self._asking, error_message, responses)
        self._log_filter = LogFilter(secrets)
        for name in _LOGS_OF_URLS:
            logging.getLogger(name).addFilter(self._log_filter)

    def _made_exchange(
        self, auth: Auth, secrets: Secrets, folder: Path | None, limiter: Limiter | None
    ) -> "Exchange | None":
        exchanged = auth.exchanged
        if exchanged is None:
            return None
        if folder is None:
            raise ValueError(f"auth {type(auth).__name__} needs a folder for its tokens")
        from ingest_assets.http.exchange import Exchange
        from ingest_assets.http.tokens import TokenFile

        patience = limiter.max_wait_seconds if limiter is not None else 0.0
        pool, times = self._sending.pool, self._sending.timeouts
        lock_wait = patience + _EXCHANGES_AHEAD * (times.connect + times.read)
        key, chain = exchanged.token_key(secrets), exchanged.chain_key(secrets)
        file = TokenFile(folder, key, chain=chain, lock_wait_seconds=lock_wait)
        return Exchange(exchanged, secrets, file, limiter, pool, times, self._meter.waits_for_limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._sending.close()
        for name in _LOGS_OF_URLS:
            logging.getLogger(name).removeFilter(self._log_filter)

    @property
    def origin(self) -> str:
        """Where its credential belongs."""
        return self._naming.origin

    @property
    def traffic(self) -> Traffic:
        """What it has asked for and received so far."""
        return self._meter.traffic

    @property
    def left(self) -> str | None:
        """What the last answer told of the API's scarcest allowance."""
        return self._asking.left

    def beside(self, another: Callable[[Callable[[float], None], Callable[[Wait], None]], "Client"]) -> "Client":
        """Another client that waits as this one does, and tells the same of its waits."""
        return another(self._sleep, self._meter.on_wait)

    @contextlib.contextmanager
    def telling(self, on_wait: Callable[[Wait], None]) -> Iterator[None]:
        """Tell somebody else too, and first, of every wait while inside."""
        former = self._meter.on_wait

        def both(wait: Wait) -> None:
            on_wait(wait)
            former(wait)

        self._meter.on_wait = both
        try:
            yield
        finally:
            self._meter.on_wait = former

    def pause(self, seconds: float, why: str) -> None:
        """Wait for something that the API does on its own time; who watches is told why."""
        self._meter.waits_for_job(seconds, why)
        self._sleep(seconds)

    def fetch(
        self,
        request: PageRequest,
        receive: Callable[[Response], T],
        *,
        accepts: Container[int] = (),
        once: bool = False,
        elsewhere: bool = False,
    ) -> T:
        """What `receive` makes of the answer to this request, which is made again where that may help.

        `receive` consumes the body; where it raises TransientFailure (a cut body), the request is made again
        and `receive` begins anew. Values that the redactor took out of the request are put back before it is
        sent. Raises TransientFailure once all attempts are used up, NotBefore where the API asks for a longer wait
        than is allowed, RequestFailed where it refuses, and ConfigError where a secret is missing.

        Of the statuses that are no page, such as 202, it takes those that it `accepts`. Where it is asked `once`, it is
        asked again only after an answer that too much was asked: any other failure may have come after it was done. It
        may go `elsewhere`, to another origin, without credentials.
        """
        self._refuse_others(request, elsewhere=elsewhere)
        self._asking.begins()
        self._meter.tracer.begins()
        try:
            return self._attempt(request, receive, accepts)
        except TransientFailure as failure:
            failed = [failure]

        def attempt() -> T:
            if failed:
                raise failed.pop()  # the first attempt, which needs no loop where it goes well
            return self._attempt(request, receive, accepts)

        tries = self._retry.retrying(self._before_retry, self._sleep, may=lambda: not once or self._meaning.throttled)
        try:
            return tries(attempt)
        except TransientFailure as failure:
            final = self._retry.final(failure, datetime.now(UTC))
        raise final

    def _refuse_others(self, request: PageRequest, *, elsewhere: bool) -> None:
        if self._naming.is_own(request):
            return
        named = self._naming.named(request)
        if not elsewhere or origin_of(request.url) is None:
            raise RequestFailed(f"{named}: expected a URL at {self.origin}, whose credential this is")
        why = why_not_there(request.url, self._naming, with_body=request.body is not None)
        if why is not None:
            raise RequestFailed(f"{named}: this is at {why}. Not asked for")

    def _before_retry(self, failure: TransientFailure, seconds: float) -> None:
        if self._meaning.throttled:
            self._asking.push_back(seconds)
        self._meter.waits_for_retry(seconds, str(failure))

    def _attempt(self, request: PageRequest, receive: Callable[[Response], T], accepts: Container[int]) -> T:
        try:
            return self._received(request, receive, accepts)
        except SessionEnded:
            return self._received(request, receive, accepts)

    def _received(self, request: PageRequest, receive: Callable[[Response], T], accepts: Container[int]) -> T:
        self._meaning.throttled = False
        with self._meter.tracer.attempt(), self._asking.held():
            answer, answered = self._asking.answered(request)
            with contextlib.closing(answer):
                named, is_own, meter = self._naming.named(answered), self._naming.is_own(answered), self._meter
                heard = response(answered, answer, self._naming, self._bounds, meter.received, self._asking.read)
                if answered is not request and is_own:
                    heard = replace(heard, moved=answered.url.partition("?")[0])
                heard, on_condition = self._unless_ended(named, heard), is_on_condition(answered)
                page = self._meaning.page(named, heard, accepts, on_condition=on_condition, is_own=is_own)
                return receive(page)

    def _unless_ended(self, named: str, heard: Response) -> Response:
        """The response; SessionEnded, after a renewal, where it is how this API says that the session is over."""
        if heard.status not in _SUCCESS or not self._asking.may_end_by_nothing:
            return heard
        chunks = heard.chunks()
        found, is_whole = head(chunks, _LONGEST_NOTHING)
        if not is_whole or found.strip() not in _NOTHING:
            return replace(heard, _body=itertools.chain([found], chunks))
        self._asking.another_credential()
        raise SessionEnded(f"{named}: HTTP {heard.status} without content: the login is over")


def _as_patient_as_the_least(retry: RetryPolicy, limiters: Sequence[Limiter]) -> RetryPolicy:
    # Else the loop would sleep through the very wait that a limiter refused.
    longest = min([retry.max_wait_seconds, *(limiter.max_wait_seconds for limiter in limiters)])
    return replace(retry, max_wait_seconds=longest)
