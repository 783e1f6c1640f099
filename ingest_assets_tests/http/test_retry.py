"""When a request is made again, and after how long."""

from datetime import UTC, datetime

import pytest

from ingest_assets.errors import ConfigError, ContractBroken, Locked, RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.http.retry import RetryPolicy, retry_after, wait_told

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)


def failing(failures):
    """A function that raises these one after another, then gives how often it was called."""
    left = list(failures)

    def called():
        if left:
            raise left.pop(0)
        return len(failures) + 1

    return called


def test_what_may_pass_is_tried_again(clock):
    tries = RetryPolicy().retrying(sleep=clock.sleep)

    assert tries(failing([TransientFailure("cut body")] * 5)) == 6


@pytest.mark.parametrize("failure", [RequestFailed, ConfigError, WalkIncomplete, ContractBroken, Locked, ValueError])
def test_nothing_else_is_tried_again(clock, failure):
    with pytest.raises(failure):
        RetryPolicy().retrying(sleep=clock.sleep)(failing([failure("no")]))

    assert clock.slept == []


def test_it_ends_with_the_last_failure_and_the_number_of_attempts(clock):
    with pytest.raises(TransientFailure, match=r"the third\. Gave up after 3 attempts"):
        RetryPolicy(attempts=3).retrying(sleep=clock.sleep)(
            failing([TransientFailure("the first"), TransientFailure("the second"), TransientFailure("the third")])
        )


def test_it_ends_once_the_waits_have_taken_ten_minutes(clock):
    with pytest.raises(TransientFailure, match="Gave up after 3 attempts"):
        RetryPolicy().retrying(sleep=clock.sleep)(failing([TransientFailure("busy", 300.0)] * 9))

    assert clock.slept == [300.0, 300.0]


def test_waits_are_drawn_below_a_bound_that_doubles(clock):
    bounds = []

    def highest(low, high):
        bounds.append((low, high))
        return high

    with pytest.raises(TransientFailure):
        RetryPolicy(attempts=10).retrying(sleep=clock.sleep, chance=highest)(failing([TransientFailure("x")] * 10))

    assert bounds[:9] == [(0.0, seconds) for seconds in (0.5, 1, 2, 4, 8, 16, 32, 60, 60)]
    assert clock.slept == [high for _, high in bounds[:9]]


def test_what_the_api_asks_to_wait_is_waited(clock):
    RetryPolicy().retrying(sleep=clock.sleep)(failing([TransientFailure("busy", 7.5), TransientFailure("busy", 0.0)]))

    assert clock.slept == [7.5, 0.0]


@pytest.mark.parametrize(
    ("told", "slept"), [(0.0, [0.0, 1.0, 1.0, 2.0, 4.0]), (1.0, [1.0, 1.0, 1.0, 1.0, 4.0]), (7.5, [7.5] * 5)]
)
def test_a_short_wait_that_does_not_help_becomes_longer(clock, told, slept):
    tries = RetryPolicy().retrying(sleep=clock.sleep, chance=lambda _, high: high)

    with pytest.raises(TransientFailure):
        tries(failing([TransientFailure("busy", told)] * 6))

    assert clock.slept == slept


def test_a_longer_wait_than_allowed_is_not_waited(clock):
    with pytest.raises(TransientFailure) as failed:
        RetryPolicy(max_wait_seconds=60).retrying(sleep=clock.sleep)(failing([TransientFailure("busy", 60.1)]))

    assert (failed.value.wait_seconds, clock.slept) == (60.1, [])


def test_each_wait_is_told_before_it_begins(clock):
    told = []

    RetryPolicy().retrying(lambda failure, seconds: told.append((str(failure), seconds)), clock.sleep)(
        failing([TransientFailure("busy", 3.0)])
    )

    assert told == [("busy", 3.0)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:37 GMT"}, 30.0),
        ({"retry-after": "Sun Nov  6 08:49:37 1994"}, 30.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:49:35 GMT"}, 2.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 20}, None),
        ({"retry-after": "31536000"}, 31_536_000.0),
        ({"retry-after": "31536001"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        ({"retry-after": "Sun, 06 Nov 99999999999 08:49:37 GMT"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 99999999999 08:49:37 GMT"}, 30.0),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers, seconds):
    assert retry_after(headers, NOW) == seconds


def test_an_allowance_that_is_renewed_in_centuries_says_nothing_of_a_wait():
    told = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}

    assert wait_told(told, NOW) is None
