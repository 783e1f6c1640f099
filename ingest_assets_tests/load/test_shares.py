"""Pages of a walk, shared out to two processes."""

import contextlib
import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.load.shares import Share, Shares, taken

steps = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=30)


def pages_of(shares: list[Share]) -> list[int]:
    """The numbers of the pages of these shares."""
    return [page for first, until in shares for page in range(first, until)]


@given(steps, st.integers(0, 9))
def test_each_page_is_shared_out_once_and_in_order(told: list[tuple[int, int]], last: int) -> None:
    pages, sizes = (list(itertools.accumulate(more)) for more in zip(*[(0, 0), *told], strict=True))
    with contextlib.closing(Shares(100)) as shares:
        for stored, size in zip(pages, sizes, strict=True):
            shares.offer(stored, size)

        found = list(shares.ended(pages[-1] + last))

    assert pages_of(found) == list(range(pages[-1] + last))
    assert all(first < until for first, until in found)


def test_what_is_there_already_comes_in_shares_of_the_least_size() -> None:
    with contextlib.closing(Shares(100)) as shares:
        shares.offer(10, 350)

        assert list(shares.ended(10)) == [(0, 3), (3, 6), (6, 10)]


def test_a_page_goes_to_one_of_those_who_take() -> None:
    with contextlib.closing(Shares(1)) as shares:
        shares.offer(3000, 3000)
        other = list[Share]()
        taking = threading.Thread(target=lambda: other.extend(taken(shares.pipe)))
        taking.start()
        own = list(shares.ended(3000))
        taking.join()

    assert sorted(own + other) == [(page, page + 1) for page in range(3000)]


def test_what_finds_no_room_is_for_the_process_of_the_walk() -> None:
    with contextlib.closing(Shares(1)) as shares:
        shares.offer(100_000, 100_000)

        kept, *found = shares.ended(100_000)

    assert kept[1] == 100_000
    assert pages_of([*found, kept]) == list(range(100_000))


def test_it_is_known_whether_anybody_has_taken_a_share() -> None:
    with contextlib.closing(Shares(1)) as shares:
        assert shares.untouched
        shares.offer(2, 2)
        assert shares.untouched

        next(taken(shares.pipe))

        assert not shares.untouched
