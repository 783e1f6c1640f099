"""Sliding windows grant no more than their limit, and tell the worst that came."""

from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.sandbox.limits import Limits, Refusal


class Clock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 5))
def test_no_window_is_granted_more_than_its_limit(gaps: list[int], limit: int) -> None:
    clock, granted, arrived = Clock(), [], []
    limits = Limits({"a": (limit, 1.0)}, clock=clock)

    for gap in gaps:
        clock.now += gap / 16  # sixteenths of a second are exact
        arrived.append(clock.now)
        if not isinstance(limits.take(["a"]), Refusal):
            granted.append(clock.now)

    def most(times: list[float]) -> int:
        return max((sum(end - 1.0 < time <= end for time in times) for end in times), default=0)

    assert most(granted) <= limit
    assert limits.told()[0]["worst"] == most(arrived)
    assert limits.told()[0]["refused"] == len(arrived) - len(granted)


def test_after_the_wait_that_was_told_there_is_a_place() -> None:
    clock = Clock()
    limits = Limits({"a": (2, 1.0), "b": (9, 60.0)}, clock=clock)
    for _ in range(2):
        limits.take(["a", "b"])
        clock.now += 0.25

    refused = limits.take(["a", "b"])
    assert isinstance(refused, Refusal)
    clock.now += refused.wait_seconds
    rooms = limits.take(["a", "b"])

    assert (refused.bucket, refused.wait_seconds) == ("a", 0.5)
    assert not isinstance(rooms, Refusal)
    assert (rooms["a"].remaining, rooms["b"].remaining) == (0, 6)


def test_a_factor_multiplies_the_limit() -> None:
    assert [told["limit"] for told in Limits({"a": (25, 1.0), "b": (3, 1.0)}, 0.1).told()] == [2, 1]
