"""When a request is made again, and after how long: the policy, apart from what is retried.

Only what may pass by itself is retried (`TransientFailure`): lost connections, timeouts, cut bodies, and the
statuses below. What the API asks to wait it gets; else the wait is drawn at random below a bound that doubles
(full jitter), so that many clients do not come back at the same moment. Where what it asked for did not help, all waits
together are no shorter than such a one.
"""

import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NoReturn

import tenacity
from msgspec import Struct

from ingest_assets.durations import clock, spoken
from ingest_assets.errors import Locked, NotBefore, TransientFailure

_YEAR_SECONDS = 31_536_000  # what is more is a moment, not a wait
_NOT_OFFERED = {501, 505}
# Of all others, since what stands before an API has statuses of its own: 520 to 530 are Cloudflare's.
RETRIED_STATUSES = frozenset({408, 429, *range(500, 600)} - _NOT_OFFERED)


class RetryPolicy(Struct, frozen=True):
    """How often and how long: it stops at the first of `attempts` and `seconds`, and waits at most as stated.

    `seconds` is the time spent waiting between attempts, not that of the attempts themselves.
    """

    attempts: int = 6
    seconds: float = 600.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    max_wait_seconds: float = 900.0

    def retrying(
        self,
        before_wait: Callable[[TransientFailure, float], None] = lambda _failure, _seconds: None,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[float, float], float] = random.uniform,
        may: Callable[[], bool] = lambda: True,
    ) -> tenacity.Retrying:
        """A tenacity loop with this policy; `before_wait` is told each failure and the seconds before the next try.

        The last failure is raised with the number of attempts; one that asks to wait longer than
        `max_wait_seconds` is raised at once, and any where `may` says no after it.
        """

        def again(failure: BaseException) -> bool:
            return (
                isinstance(failure, TransientFailure)
                and not isinstance(failure, Locked | NotBefore)
                and (failure.wait_seconds or 0.0) <= self.max_wait_seconds
                and may()
            )

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            stop=lambda state: state.attempt_number >= self.attempts or state.idle_for >= self.seconds,
            wait=lambda state: self._wait(_failure(state), state, chance),
            before_sleep=lambda state: before_wait(_failure(state), state.upcoming_sleep),
            sleep=sleep,
            retry_error_callback=_give_up,
        )

    def final(self, failure: TransientFailure, now: datetime) -> TransientFailure:
        """What a failure that is not tried again means: NotBefore where it asks for more than `max_wait_seconds`.

        >>> print(RetryPolicy().final(TransientFailure("HTTP 429", 7200.0), datetime(2026, 1, 1, tzinfo=UTC)))
        HTTP 429: waits until 2026-01-01 02:00:00 UTC (2 h), longer than the 15 min allowed
        """
        seconds = failure.wait_seconds
        if isinstance(failure, NotBefore) or seconds is None or seconds <= self.max_wait_seconds:
            return failure
        until, allowed = now + timedelta(seconds=seconds), spoken(self.max_wait_seconds)
        told = f"{failure}: waits until {clock(until)} ({spoken(seconds)}), longer than the {allowed} allowed"
        return NotBefore(told, until, seconds, everywhere=not failure.alone, alone=failure.alone)

    def _wait(
        self, failure: TransientFailure, state: tenacity.RetryCallState, chance: Callable[[float, float], float]
    ) -> float:
        longest = min(self.longest_wait_seconds, self.first_wait_seconds * 2 ** (state.attempt_number - 1))
        if failure.wait_seconds is None:
            return chance(0.0, longest)
        if state.attempt_number == 1:
            return failure.wait_seconds
        # Told in whole seconds, less than one is 0, and all tries would be over before it.
        return max(failure.wait_seconds, chance(0.0, longest) - state.idle_for)


def _failure(state: tenacity.RetryCallState) -> TransientFailure:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, TransientFailure) else TransientFailure("unknown")


def _give_up(state: tenacity.RetryCallState) -> NoReturn:
    failure = _failure(state)
    tried = state.attempt_number
    told = f"{failure}. Gave up after {tried} attempt{'s' if tried > 1 else ''}"
    raise TransientFailure(told, failure.wait_seconds, for_all=failure.for_all)


def is_throttled(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer says that too much was asked: a 429, or a 403 as GitHub gives it.

    Such a 403 says how long to wait, or that nothing is left of the allowance; any other is a refusal for good.

    >>> is_throttled(403, {"x-ratelimit-remaining": "0"}), is_throttled(403, {}), is_throttled(429, {})
    (True, False, True)
    """
    told = "retry-after" in headers or headers.get("x-ratelimit-remaining", "").strip() == "0"
    return status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.FORBIDDEN and told)


def wait_told(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer asks to wait, by Retry-After or by when a used-up allowance is renewed; else None.

    The latter is a Unix second or a number of seconds, beside an `x-ratelimit-remaining` of 0.

    >>> used_up = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225660"}
    >>> wait_told(used_up, datetime(2026, 1, 1, tzinfo=UTC)), wait_told({"retry-after": "7"}, datetime.now(UTC))
    (60.0, 7.0)
    """
    wait, reset = retry_after(headers, now), headers.get("x-ratelimit-reset", "").strip()
    if wait is not None or headers.get("x-ratelimit-remaining", "").strip() != "0":
        return wait
    if not re.fullmatch(r"\d{1,10}", reset, re.ASCII):
        return None
    since = (_date(headers.get("date", "")) or now).timestamp() if int(reset) > _YEAR_SECONDS else 0.0
    return _meant(int(reset) - since)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that a Retry-After header asks to wait (RFC 9110 §10.2.3), or None where there is none.

    Header names are in small letters. A date is read by the server's own clock where it sends one. More than a year is
    no wait that can be meant.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> retry_after({"retry-after": "120"}, now), retry_after({"retry-after": "2.0"}, now)
    (120.0, 2.0)
    >>> retry_after({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, now)
    60.0
    >>> retry_after({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, now)
    0.0
    >>> retry_after({"retry-after": "soon"}, now) is None
    True
    """
    told = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", told, re.ASCII):
        return _meant(float(told))
    until = _date(told)
    return None if until is None else _meant((until - (_date(headers.get("date", "")) or now)).total_seconds())


def _meant(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds <= _YEAR_SECONDS else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
