"""What an answer means: a page, or a failure that may pass, or one that will not."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from ingest_assets.errors import IngestError, RequestFailed, TransientFailure
from ingest_assets.http.answer import Response, head, told
from ingest_assets.http.asking import Asking
from ingest_assets.http.refusal import hint, phrase, quoted
from ingest_assets.http.responses import MOST_BYTES, ResponseRule, concerned, fitting
from ingest_assets.http.retry import RETRIED_STATUSES, is_throttled, wait_told
from ingest_assets.http.waits import Told, seconds_told


class Meaning:
    """Reads the answers of one client; `error_message` and `responses` as `Client` is given them."""

    def __init__(self, asking: Asking, error_message: Sequence[str], responses: Sequence[ResponseRule]) -> None:
        self.throttled = False
        self._asking = asking
        self._error_message, self._responses = error_message, responses

    def page(self, named: str, response: Response) -> Response:
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
        if rule is not None:
            raise self._throttling(f"{named}: HTTP {heard.status}", heard, rule)
        return replace(response, _body=iter(chunks))

    def refusal(self, named: str, response: Response) -> IngestError:
        """The error for an answer that is not a success."""
        status, heard = response.status, self._heard(response)
        named = f"{named}: HTTP {status} {phrase(status)}{quoted(heard.body, self._error_message)}"
        rule = fitting(self._responses, heard)
        if rule is not None or is_throttled(status, heard.headers):
            return self._throttling(named, heard, rule)
        if status == HTTPStatus.ACCEPTED:  # RFC 9110 §15.3.3: what it holds is not what was asked for
            return self._passing(f"{named}: the answer is still being made", wait_told(heard.headers, heard.now))
        if status not in RETRIED_STATUSES:
            advice = self._hint(status)
            return RequestFailed(f"{named}. {advice}" if advice else named, status)
        return self._passing(named, wait_told(heard.headers, heard.now))

    def _throttling(self, named: str, heard: Told, rule: ResponseRule | None) -> TransientFailure:
        """The failure that too much was asked; all processes are held back."""
        self.throttled = True
        seconds = wait_told(heard.headers, heard.now)
        if rule is not None:
            named, seconds = f"{named}: throttled, as {rule}", seconds_told(rule.wait, heard, seconds)
        return self._passing(named, seconds)

    def _passing(self, named: str, wait_seconds: float | None) -> TransientFailure:
        if wait_seconds is not None:
            self._asking.push_back(wait_seconds)
        if self._asking.another_may_ask:
            wait_seconds = None  # another credential may ask at once
        return TransientFailure(named, wait_seconds)

    def _hint(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED:
            return self._asking.auth.when_refused()
        return hint(status, quotes=bool(self._error_message))

    def _heard(self, response: Response) -> Told:
        """What an error says; of its body nothing where nobody looks at it, or it cannot be read."""
        text = b""
        if self._error_message or any(rule.reads_body for rule in concerned(self._responses, response.status)):
            with contextlib.suppress(IngestError):
                text, _ = head(response.chunks(), MOST_BYTES)
        return told(response, text)
