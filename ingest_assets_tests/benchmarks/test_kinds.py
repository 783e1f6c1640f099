"""What kinds of values cost: all of them are made into rows, and none takes so long that it is not meant to."""

from benchmarks.kinds import KINDS, costs

_MOST_TIMES = 40  # as long as texts: the slowest that is meant to be takes ten times as long, mistakes took 240


def test_each_kind_is_made_into_rows_in_a_time_that_is_meant() -> None:
    found = list(costs(4000))

    assert [cost.kind for cost in found] == list(KINDS)
    assert {cost.kind.name for cost in found if cost.microseconds > _MOST_TIMES * found[0].microseconds} == set()
