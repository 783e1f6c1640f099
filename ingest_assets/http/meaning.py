"""What an answer means: a page, or a failure that may pass, or one that will not.

an answer ─► the first rule of the source file that fits ─► what it says
                 └─ none ─► by its status: a page, throttling, another try, or a failure for good
"""

import itertools
import re
from collections.abc import Container, Iterator, Sequence
from http import HTTPStatus

from msgspec.structs import replace

from ingest_assets.errors import IngestError, RequestFailed, Ruled, TransientFailure
from ingest_assets.http.answer import Response, head, told
from ingest_assets.http.asking import Asking
from ingest_assets.http.refusal import NOT_SENT_THERE, hint, phrase, quoted
from ingest_assets.http.responses import MOST_BYTES, ResponseRule, concerned, fitting
from ingest_assets.http.retry import RETRIED_STATUSES, is_throttled, wait_told
from ingest_assets.http.rule_problems import OF_RECORDS
from ingest_assets.http.waits import Told, seconds_told

_SUCCESS = range(200, 300)
_PAGES = ("end", "empty")
_WANT_CREDENTIAL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_WHOLE = re.compile(r"bytes +0-(?P<last>\d{1,19})/(?P<all>\d{1,19})", re.ASCII)


class SessionEnded(TransientFailure):
    """An answer that says that the login is over; there is another one by now."""


class Meaning:
    """Reads the answers of one client; `error_message` and `responses` as `Client` is given them."""

    def __init__(self, asking: Asking, error_message: Sequence[str], responses: Sequence[ResponseRule]) -> None:
        self.throttled = False
        self._asking = asking
        self._error_message, self._responses = error_message, responses

    def page(
        self,
        named: str,
        response: Response,
        accepts: Container[int] = (),
        *,
        on_condition: bool = False,
        is_own: bool = True,
    ) -> Response:
        """The answer itself where it is a page, with the rule that speaks of it; else raises the failure that it is.

        Of the statuses that are no page, those that the caller `accepts` are one; and to a request on condition, it may
        also be that the page has not changed. `is_own` says that it comes from where the credential is sent.
        """
        is_good = response.status in _SUCCESS and response.status != HTTPStatus.ACCEPTED and not _is_piece(response)
        if is_good or response.status in accepts:
            return self._good(named, response)
        heard, chunks = self._heard(response)
        named = f"{named}: HTTP {heard.status} {phrase(heard.status)}{quoted(heard.body, self._error_message)}"
        rule = fitting(self._responses, heard)
        if rule is not None and rule.means == "empty":
            return replace(response, _body=chunks, rule=rule)
        if rule is None and on_condition and heard.status == HTTPStatus.NOT_MODIFIED:
            return response
        raise self._refusal(named, heard, is_own=is_own) if rule is None else self._ruled(named, heard, rule)

    def _good(self, named: str, response: Response) -> Response:
        """The answer of a good status itself, unless a rule says that it is no page."""
        rules = concerned(self._responses, response.status)
        if not rules:
            return response
        chunks, text = response.chunks(), b""
        if any(rule.reads_body for rule in rules):
            found, is_whole = head(chunks, MOST_BYTES)
            chunks, text = itertools.chain([found], chunks), found if is_whole else b""
        heard = told(response, text)
        rule = fitting(rules, heard)
        if rule is not None and rule.means not in _PAGES:
            raise self._ruled(f"{named}: HTTP {heard.status}{quoted(heard.body, self._error_message)}", heard, rule)
        return replace(response, _body=iter(chunks), rule=rule)

    def _ruled(self, named: str, heard: Told, rule: ResponseRule) -> IngestError:
        """The failure that a rule says an answer is."""
        if rule.means == "throttled":
            return self._throttling(named, heard, rule)
        status = heard.status if heard.status == HTTPStatus.UNAUTHORIZED else None
        if rule.means == "fail":
            return Ruled(f"{named}: {rule.message}", rule.means, str(rule), status)
        if rule.means in OF_RECORDS:
            word = "this parent is skipped" if rule.means == "skip_parent" else "the end"
            return Ruled(f"{named}: {word}, as {rule}", rule.means, f"HTTP {heard.status}, as {rule}")
        if rule.means == "new_credential":
            return self._over(named, rule)
        by_header = wait_told(heard.headers, heard.now)
        if by_header is not None:
            self._asking.push_back(by_header)
        seconds = seconds_told(rule.wait, heard, by_header)
        return TransientFailure(f"{named}: to be asked again, as {rule}", seconds, alone=by_header is None)

    def _over(self, named: str, rule: ResponseRule) -> IngestError:
        """The failure that the credential is over; it passes where there is another one, and none was tried yet."""
        if self._asking.another_credential():
            return SessionEnded(f"{named}: the credential is over, as {rule}")
        told = f"{named}: the credential is not taken, as {rule}, and there is no other one"
        return Ruled(f"{told}. {self._asking.auth.when_refused()}", rule.means, str(rule), HTTPStatus.UNAUTHORIZED)

    def _refusal(self, named: str, heard: Told, *, is_own: bool) -> IngestError:
        """The failure that an answer is by its status."""
        status, wait = heard.status, wait_told(heard.headers, heard.now)
        if is_throttled(status, heard.headers):
            return self._throttling(named, heard, None)
        if status == HTTPStatus.FORBIDDEN and self._asking.is_over_by(status) and self._asking.another_credential():
            return SessionEnded(f"{named}: the session is over")
        if status == HTTPStatus.ACCEPTED:  # RFC 9110 §15.3.3: what it holds is not what was asked for
            return self._passing(f"{named}: the answer is still being made", wait)
        if status not in RETRIED_STATUSES:
            advice = self._hint(status) if is_own or status not in _WANT_CREDENTIAL else NOT_SENT_THERE
            return RequestFailed(f"{named}. {advice}" if advice else named, status)
        return self._passing(named, wait)

    def _throttling(self, named: str, heard: Told, rule: ResponseRule | None) -> TransientFailure:
        """The failure that too much was asked; all processes are held back."""
        self.throttled = True
        seconds = wait_told(heard.headers, heard.now)
        if rule is not None:
            named, seconds = f"{named}: throttled, as {rule}", seconds_told(rule.wait, heard, seconds)
        return self._passing(named, seconds, for_all=True)

    def _passing(self, named: str, wait_seconds: float | None, *, for_all: bool = False) -> TransientFailure:
        if wait_seconds is not None:
            self._asking.push_back(wait_seconds)
        if self._asking.another_may_ask:
            return TransientFailure(named)  # another credential may ask at once
        return TransientFailure(named, wait_seconds, for_all=for_all)

    def _hint(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED:
            return self._asking.auth.when_refused()
        return hint(status, quotes=bool(self._error_message))

    def _heard(self, response: Response) -> tuple[Told, Iterator[bytes]]:
        """What a refusal says, and its body; of that nothing is looked at where nobody wants it, or it is cut."""
        text, chunks = b"", response.chunks()
        if self._error_message or any(rule.reads_body for rule in concerned(self._responses, response.status)):
            try:
                text, _ = head(chunks, MOST_BYTES)
            except IngestError as error:
                chunks = _raising(error)
        return told(response, text), itertools.chain([text], chunks)


def _is_piece(response: Response) -> bool:
    """Whether an answer holds some of a body's bytes only (RFC 9110 §15.3.7); a part in another unit is a page.

    >>> [_is_piece(Response(206, {"content-range": told}, "", iter([]))) for told in ("bytes 0-4/9", "bytes 0-8/9")]
    [True, False]
    >>> _is_piece(Response(206, {"content-range": "items 0-24/67"}, "", iter([])))
    False
    """
    told = response.headers.get("content-range", "").strip() if response.status == HTTPStatus.PARTIAL_CONTENT else ""
    if not told.lower().startswith("bytes"):
        return False
    found = _WHOLE.fullmatch(told.lower())
    return found is None or int(found["last"]) + 1 != int(found["all"])


def _raising(error: IngestError) -> Iterator[bytes]:
    """A body that could not be read: who wants it gets the failure."""
    yield from ()
    raise error
