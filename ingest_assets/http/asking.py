"""Who asks, and when: a token, a grant of every limit, a credential; and once more where these are not taken.

token ─► grants ─► is the token alive still? ─► breaker ─► send ─► refused? another token, once ─► redirects
"""

import contextlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests

from ingest_assets.errors import NotBefore, RequestFailed, TransientFailure
from ingest_assets.http.answer import Response, headers
from ingest_assets.http.auth import Auth
from ingest_assets.http.breaker import Breaker
from ingest_assets.http.limits import Grant, Limiter
from ingest_assets.http.naming import Naming
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.place import Place, whole
from ingest_assets.http.redirects import redirected
from ingest_assets.http.refusal import phrase
from ingest_assets.http.responses import ResponseRule, concerned
from ingest_assets.http.retry import is_throttled
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.sending import Sending
from ingest_assets.http.traffic import Meter

if TYPE_CHECKING:
    from ingest_assets.http.exchange import Exchange
    from ingest_assets.http.rotation import Rotation
    from ingest_assets.http.tokens import KeptToken

_MOST_REDIRECTS = 5
_MOST_TOKENS = 10
_LONGEST_PUSH_BACK_SECONDS = 86_400.0
_SUCCESS = range(200, 300)
_REDIRECTS = range(300, 400)
_SERVER_ERROR = 500


class Asking:
    """The credential of one client, and the limits that its requests count in; see `Client` for what it is given."""

    def __init__(
        self,
        naming: Naming,
        auth: Auth,
        secrets: Secrets,
        limiters: Sequence[Limiter],
        sending: Sending,
        meter: Meter,
        *,
        exchange: "Exchange | None" = None,
        rotation: "Rotation | None" = None,
        breaker: Breaker | None = None,
        responses: Sequence[ResponseRule] = (),
        cost: Place | None = None,
    ) -> None:
        self.auth = auth
        self.left: str | None = None
        self.exchange = exchange
        self._naming, self._secrets, self._limiters = naming, secrets, limiters
        self._sending, self._meter = sending, meter
        self._rotation, self._breaker, self._responses, self._cost = rotation, breaker, responses, cost
        self._grants: Sequence[Grant] = ()
        self._token: KeptToken | None = None
        self._forbidden: str | None = None
        self._renewed = False
        self._sent_with: Mapping[Secret, str] = {}
        self._looked_up: dict[Secret, str] = {}
        self._held = contextlib.ExitStack()  # the slots of the request that is under way

    def begins(self) -> None:
        """Another page is asked for: its credential may be renewed once."""
        self._renewed = False

    def held(self) -> contextlib.AbstractContextManager[object]:
        """Holds the slots of what is asked for inside until its body is read."""
        return self._held

    def answered(self, request: PageRequest) -> tuple[requests.Response, PageRequest]:
        """The answer once no redirect follows, and the request that it answers."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._authorized(request)
            try:
                target = redirected(request, answer, self._naming)
            except BaseException:
                answer.close()
                raise
            if target is None:
                return answer, request
            answer.close()
            request = target
        raise RequestFailed(f"{self._naming.named(request)}: redirected more than {_MOST_REDIRECTS} times")

    def push_back(self, seconds: float) -> None:
        """Hold back all that count in the same limits."""
        for limiter in self._limiters:
            limiter.push_back(min(seconds, _LONGEST_PUSH_BACK_SECONDS))

    @property
    def another_may_ask(self) -> bool:
        """Whether there is another credential that need not wait."""
        return self._rotation is not None and not self._rotation.wait()

    @property
    def may_end_by_nothing(self) -> bool:
        """Whether an answer without content may mean that the login is over, and another one may still be made."""
        token, can_renew = self._token, self.exchange is not None and not self._renewed
        return token is not None and can_renew and self.auth.tells_end_by_nothing

    def is_over_by(self, status: int) -> bool:
        """Whether a refusal of which no rule speaks says that the session is over."""
        return self._token is not None and self.exchange is not None and self.exchange.refuses(status)

    def another_credential(self) -> bool:
        """See that what is asked next goes with another credential than the last request; whether there is one.

        It is so once for each page: what is refused again is not asked for a third time.
        """
        if self._renewed:
            return False
        self._renewed = True
        if self.exchange is None:
            return bool(self._sent_with) and self._secrets.renewed(self._sent_with, self._sent_with)
        if self._token is not None:
            self.exchange.renewed(self._token)
        return self._token is not None

    def read(self, response: Response, envelope: Any) -> None:
        """Tell the limiters what a body says beside its records."""
        points = None
        if self._cost is not None:
            page = Page(0, PageRequest(response.url), response.status, response.headers, envelope)
            points = whole(self._cost.find(page))
        for grant in self._grants:
            grant.read(envelope, points)

    def _authorized(self, request: PageRequest) -> requests.Response:
        """The answer to a request; where its token is no longer taken, that to the same request with another one."""
        answer, token = self._asked(request)
        if self._is_outdated(request, answer):
            answer.close()
            self._renewed = True
            answer, token = self._asked(request)
        if token is None or self.exchange is None or not self.exchange.is_refused(answer):
            return answer
        self._heed_forbidden(answer, token)
        if answer.status_code == HTTPStatus.FORBIDDEN and concerned(self._responses, HTTPStatus.FORBIDDEN):
            return answer  # a rule of the source file may know better, and reads it first
        if not self._renewed:
            answer.close()
            self._renewed = True
            self.exchange.renewed(token)
            answer, token = self._asked(request)
            self._heed_forbidden(answer, token)
        if token and self.exchange.is_refused(answer):
            self._refuse(request, answer, self.exchange.is_fresh(token))
        return answer

    def _refuse(self, request: PageRequest, answer: requests.Response, is_fresh: bool) -> None:
        """Raise where another token is refused too, unless the status tells what to do: who reads it knows more."""
        named, status = self._naming.named(request), answer.status_code
        if not is_fresh:
            answer.close()
            raise TransientFailure(f"{named}: the life of its token ended on the way")
        if status in _REDIRECTS:  # followed, the page of the login would be taken for what was asked for
            answer.close()
            told = f"{named}: HTTP {status}: it leads to the login. {self.auth.when_refused()}"
            raise RequestFailed(told, HTTPStatus.UNAUTHORIZED)

    def _heed_forbidden(self, answer: requests.Response, token: "KeptToken | None") -> None:
        """A 403 of a token that was made for this very request is about the request, and so are those that follow it.

        Only once the token is older, such a one may say that it is over.
        """
        if answer.status_code != HTTPStatus.FORBIDDEN or token is None or self.exchange is None:
            return
        if self._renewed:
            self._forbidden = token.value
        elif token.value == self._forbidden and self.exchange.is_new(token):
            self._renewed = True

    def _is_outdated(self, request: PageRequest, answer: requests.Response) -> bool:
        """Whether the API refuses a secret that is another one by now, as after a rotation."""
        sent_with, status = self._sent_with, answer.status_code
        if not sent_with or self._renewed or not self._naming.is_own(request):
            return False
        if status == HTTPStatus.UNAUTHORIZED:
            return self._secrets.renewed(sent_with, sent_with)
        # Some refuse a wrong key with 403, AWS all. Once it was looked up, a 403 is about what was asked for.
        if status != HTTPStatus.FORBIDDEN or is_throttled(status, answer.headers):
            return False
        if sent_with.items() <= self._looked_up.items():
            return False
        self._looked_up |= sent_with
        return self._secrets.renewed(sent_with, sent_with, is_refused=False)

    def _asked(self, request: PageRequest) -> "tuple[requests.Response, KeptToken | None]":
        """The answer, and the token that was sent."""
        own = self._naming.is_own(request)
        if own and self._breaker is not None:
            self._breaker.check()  # before anybody waits for a grant
        for _ in range(_MOST_TOKENS):
            token = self.exchange.token() if self.exchange is not None and own else None
            self._held.close()  # a request before this one is over
            if self._rotation is not None and own:
                credential = self._rotation.next()
                self.auth, self._limiters = credential.auth, credential.limiters
            self._sent_with = self.auth.sent(self._secrets) if self.exchange is None else {}
            limiters = self._limiters if own else ()
            grants = [self._granted(limiter, request) for limiter in limiters]
            if token is None or self.exchange is None or self.exchange.is_fresh(token):
                self._grants, self._token = grants, token
                return self._guarded(request, own), token
            for grant in grants:
                grant.give_back()
        raise TransientFailure(
            f"{self._naming.named(request)}: waiting for the rate limit takes longer than a token lives, "
            f"{_MOST_TOKENS} times"
        )

    def _granted(self, limiter: Limiter, request: PageRequest) -> Grant:
        """What the limiter grants, held from now on; a wait that is too long names the request that it is for."""
        try:
            return self._held.enter_context(limiter.granted(self._meter.waits_for_limit))
        except NotBefore as refused:
            final = NotBefore(f"{self._naming.named(request)}: {refused}", refused.until, refused.wait_seconds)
        raise final

    def _guarded(self, request: PageRequest, own: bool) -> requests.Response:
        """The answer to a request that is sent now; what comes of it is told to all who ask this API."""
        if not own or self._breaker is None:
            return self._sent(request, own)
        with self._breaker.request() as tell:
            try:
                answer = self._sent(request, own)
            except TransientFailure as failure:
                tell(str(failure).removeprefix(f"{self._naming.named(request)}: "))
                raise
            status = answer.status_code
            meant = any(status in rule.status and rule.means != "retry" for rule in self._responses)
            tell(f"HTTP {status} {phrase(status)}" if status >= _SERVER_ERROR and not meant else None)
            return answer

    def _sent(self, request: PageRequest, own: bool) -> requests.Response:
        answer, seconds = self._sending.sent(request, self.auth if own else None)
        self._meter.tracer.answered(answer.status_code, self._told_left(answer, seconds))
        return answer

    def _told_left(self, answer: requests.Response, seconds: float) -> str | None:
        """Tell the limiters that an answer has come; gives what is left of the API's allowance, where that is told."""
        found = headers(answer, self._naming.redactor) if self._grants else {}
        took = seconds if answer.status_code in _SUCCESS else None
        left = [grant.answered(found, took) for grant in self._grants]
        self.left = next((one for one in left if one), None)
        return self.left
