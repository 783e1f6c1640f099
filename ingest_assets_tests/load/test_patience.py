"""How long partitions and endpoints that failed are left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest_assets.load.ledger import Failure, Fetch, Known
from ingest_assets.load.patience import held_endpoint, held_partitions, held_source, is_source_doubted

NOW = datetime(2026, 1, 11, 6, tzinfo=UTC)
DAY = "2026-01-10"


def ago(**told):
    return NOW - timedelta(**told)


def failures(*moments, partition=DAY, stops=False):
    return tuple(Failure(partition, moment, "HTTP 503", stops) for moment in sorted(moments))


def told_to_wait(moment, until, *, everywhere=True, partition=DAY):
    return (Failure(partition, moment, "HTTP 429", True, until, everywhere),)


def loaded(moment, verdict="complete", partition=DAY):
    return Fetch(1, "s", "e", partition, None, None, moment, "r", moment, verdict, "", None, moment, "r", "c")


@pytest.mark.parametrize(
    ("tries", "minutes"), [(1, 10), (2, 40), (3, 160), (4, 640), (5, 24 * 60), (6, 24 * 60), (600, 24 * 60)]
)
def test_each_try_that_failed_makes_the_wait_longer_up_to_a_day(tries, minutes):
    known = Known(failures=failures(*[ago(minutes=1 + n) for n in range(tries)]))

    held = held_partitions(known, NOW)[DAY]

    assert (held.tries, held.until) == (tries, ago(minutes=1) + timedelta(minutes=minutes))


def test_after_its_wait_a_partition_is_free():
    known = Known(failures=failures(ago(minutes=10)))

    assert held_partitions(known, NOW) == {}
    assert DAY in held_partitions(known, ago(seconds=1))


def test_a_load_that_came_to_its_end_forgives_what_failed_before():
    known = Known((loaded(ago(minutes=5)),), failures(ago(minutes=9), ago(minutes=2)))

    assert held_partitions(known, NOW)[DAY].tries == 1


def test_a_partition_that_was_loaded_with_a_warning_is_not_asked_for_again_at_once():
    known = Known((loaded(ago(minutes=3), "incomplete"),))

    assert held_partitions(known, NOW)[DAY].until == ago(minutes=3) + timedelta(minutes=10)


def test_what_is_no_matter_of_one_partition_holds_the_endpoint_for_a_while():
    known = Known(failures=failures(ago(minutes=1), ago(minutes=20), stops=True))

    assert held_endpoint(known, NOW).until == ago(minutes=1) + timedelta(minutes=10)
    assert held_endpoint(Known(failures=failures(ago(minutes=1))), NOW) is None


def test_an_endpoint_is_tried_each_hour_however_long_it_fails():
    known = Known(failures=failures(*[ago(minutes=n) for n in range(1, 100)], stops=True))

    assert held_endpoint(known, NOW).until == ago(minutes=1) + timedelta(hours=1)


def test_a_load_of_any_partition_frees_the_endpoint():
    known = Known((loaded(ago(minutes=1), partition="2026-01-01"),), failures(ago(minutes=2), stops=True))

    assert held_endpoint(known, NOW) is None


def test_an_endpoint_is_free_before_its_partition_so_that_others_get_their_turn():
    known = Known(failures=failures(ago(minutes=6), stops=True))

    assert held_endpoint(known, NOW) is None
    assert DAY in held_partitions(known, NOW)


def test_where_the_api_named_a_time_all_of_its_endpoints_are_left_alone_until_then():
    later = NOW + timedelta(hours=6)
    waits, free = Known(failures=told_to_wait(ago(minutes=1), later)), Known()

    assert held_source([free, waits], NOW).until == later
    assert held_source([free, waits], later) is None
    assert held_endpoint(waits, NOW).until == later


def test_a_limit_of_one_endpoint_holds_that_one_only():
    later = NOW + timedelta(hours=1)
    waits = Known(failures=told_to_wait(ago(minutes=1), later, everywhere=False))

    assert held_source([waits], NOW) is None
    assert held_endpoint(waits, NOW).until == later


def test_a_wait_of_the_whole_api_is_no_matter_of_the_partition_that_met_it():
    known = Known(failures=told_to_wait(ago(hours=3), ago(hours=1)) * 5)

    assert held_partitions(known, NOW) == {}


def test_a_load_since_then_shows_that_the_wait_is_over():
    waits = Known((loaded(ago(minutes=1)),), told_to_wait(ago(minutes=5), NOW + timedelta(hours=1)))

    assert held_source([waits], NOW) is None


def test_after_its_wait_a_source_is_doubted_until_something_of_it_is_loaded():
    waited = Known(failures=told_to_wait(ago(minutes=9), ago(minutes=2)))

    assert is_source_doubted([waited, Known((loaded(ago(minutes=10)),))])
    assert not is_source_doubted([waited, Known((loaded(ago(minutes=1)),))])
