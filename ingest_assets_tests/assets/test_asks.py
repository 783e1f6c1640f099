"""What a sensor asks for at one moment: newest first, piece by piece, not twice, and not what just failed."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ingest_assets.assets.asks import MOST_PARTITIONS, MOST_RUNS, asks
from ingest_assets.assets.plan import Range
from ingest_assets.assets.unfinished import Going
from ingest_assets.load.ledger import Failure, Fetch, Known

NOW = datetime(2026, 6, 11, 6, tzinfo=UTC)
TICK = datetime(2026, 6, 11, 2, 30, tzinfo=UTC)
ORDERS, PEOPLE, NEWS = ("shop", "orders"), ("shop", "people"), ("shop", "news")
LAST = "2026-06-10"


def fetch(partition, *, verdict="complete", started=NOW, loaded=NOW):
    begins = datetime.fromisoformat(f"{partition}T00:00+00:00") if partition else None
    bounds = (begins, begins + timedelta(days=1)) if begins else (None, None)
    return Fetch(1, "shop", "orders", partition, *bounds, started, "r", started, verdict, "", None, loaded, "r", "c")


def looked(started=NOW):
    return Known((fetch(None, started=started),))


def some_days(first, last):
    start = date.fromisoformat(first)
    return [(start + timedelta(days=n)).isoformat() for n in range((date.fromisoformat(last) - start).days + 1)]


def complete(first="2026-01-01", last=LAST, but=(), **told):
    return [fetch(day, **told) for day in some_days(first, last) if day not in but]


def failed(day, *, minutes=1, stops=False):
    return Failure(day, NOW - timedelta(minutes=minutes), "HTTP 503 from the shop", stops)


def waits(until):
    told = f"HTTP 429: waits until {until:%H:%M}"
    return Failure(LAST, NOW - timedelta(minutes=1), told, stops=True, until=until, everywhere=True)


@pytest.fixture
def ask(lab):
    """What is asked for of orders, or of all, where feeds and listings have just been looked at."""

    def ask(orders=None, people=None, news=None, going=None, now=NOW):
        known = {
            "orders": orders or Known(),
            "people": looked() if people is None else people,
            "news": looked() if news is None else news,
        }
        return asks(lab.source, known, going or Going(), now, TICK)

    return ask


def ranges(asked):
    return [(run.first, run.last) for run in asked.ranges]


def test_where_nothing_is_loaded_the_newest_piece_is_asked_for_first(ask):
    asked = ask()

    assert ranges(asked) == [("2026-05-11", LAST)]
    assert len(some_days(*ranges(asked)[0])) == MOST_PARTITIONS
    assert asked.notes == ("orders: 130 older partitions follow piece by piece",)


def test_piece_by_piece_the_whole_history_is_asked_for_once_newest_first(ask):
    done, pieces = [], []
    while asked := ask(Known(tuple(done))).ranges:
        pieces += [(run.first, run.last) for run in asked]
        done += [fetch(day) for run in asked for day in some_days(run.first, run.last)]

    assert [fetch.partition for fetch in sorted(done, key=lambda one: one.partition)] == some_days("2026-01-01", LAST)
    assert pieces == sorted(pieces, reverse=True)
    assert len(pieces) == 6


def test_where_all_is_complete_nothing_is_asked_for(ask):
    asked = ask(Known(tuple(complete())))

    assert (asked.ranges, asked.notes) == ((), ())


def test_holes_are_runs_of_their_own(ask):
    holes = ("2026-02-03", "2026-02-04", "2026-05-01")

    asked = ask(Known(tuple(complete(but=holes))))

    assert ranges(asked) == [("2026-05-01", "2026-05-01"), ("2026-02-03", "2026-02-04")]


def test_days_in_the_look_back_are_asked_for_again(ask, lab):
    lab.text = lab.text.replace("changes: immutable", "changes: {lookback: P3D}")
    early = datetime(2026, 6, 9, 6, tzinfo=UTC)

    asked = ask(Known(tuple(complete(last="2026-06-08", started=early) + complete("2026-06-09"))))

    assert ranges(asked) == [("2026-06-06", "2026-06-08")]


def test_a_day_in_the_look_back_is_asked_for_once_a_tick_though_its_run_began_after_the_tick(lab):
    lab.text = lab.text.replace("changes: immutable", "changes: {lookback: P28D}")
    source, asked, done = lab.source, [], [fetch(LAST, started=TICK + timedelta(minutes=3))]
    for hour in range(3 * 24):
        now = NOW.replace(hour=2, minute=30) + timedelta(hours=hour + 1)
        tick = TICK + timedelta(days=(now - TICK).days)
        known = {"orders": Known(tuple(complete(last="2026-06-09") + done)), "people": looked(now), "news": looked(now)}
        if any((run.first or "") <= LAST <= (run.last or "") for run in asks(source, known, Going(), now, tick).ranges):
            asked.append(now)
            done = [fetch(LAST, started=now + timedelta(minutes=3))]

    assert asked == [TICK + timedelta(days=1), TICK + timedelta(days=2), TICK + timedelta(days=3)]


@pytest.fixture
def open_days(lab):
    """The running day is fetched too, and a day settles two hours after its end."""
    lab.text = lab.text.replace(
        '{every: day, start: "2026-01-01"}', '{every: day, start: "2026-01-01", open: true, settle: PT2H}'
    )


def test_a_day_that_was_fetched_while_it_was_open_is_asked_for_again_once_it_has_settled(ask, open_days):
    early = [*complete(last="2026-06-09"), fetch(LAST, verdict="open", started=datetime(2026, 6, 10, 20, tzinfo=UTC))]
    looked_at = fetch("2026-06-11", verdict="open", started=TICK)
    known = Known((*early, looked_at))
    midnight = datetime(2026, 6, 11, tzinfo=UTC)

    asked = [ask(known, now=midnight + timedelta(hours=hours)).ranges for hours in (1.9, 2)]

    assert [[(run.first, run.last) for run in one] for one in asked] == [[(LAST, LAST)], [(LAST, LAST)]]
    assert ask(Known((*complete(), looked_at))).ranges == ()


def test_the_running_day_is_asked_for_once_a_tick_of_the_schedule(ask, open_days):
    def at(started):
        return ranges(ask(Known((*complete(), fetch("2026-06-11", verdict="open", started=started)))))

    assert at(TICK - timedelta(minutes=1)) == [("2026-06-11", "2026-06-11")]
    assert at(TICK + timedelta(minutes=1)) == []


def test_what_is_on_its_way_is_not_asked_for_again(ask):
    asked = ask(going=Going({"orders": frozenset(some_days("2026-05-11", LAST))}, 1))

    assert asked.ranges == ()
    assert asked.notes == ("orders: 130 older partitions follow piece by piece",)


def test_a_run_under_partitions_of_an_earlier_file_keeps_nothing_away(ask):
    asked = ask(Known(tuple(complete("2026-01-01", "2026-06-09"))), going=Going({"orders": frozenset(["eu|x"])}, 1))

    assert ranges(asked) == [(LAST, LAST)]


def test_a_new_day_does_not_wait_for_the_history_that_is_on_its_way(ask):
    history = frozenset(some_days("2026-03-01", "2026-03-31"))

    asked = ask(Known(tuple(complete("2026-04-01", "2026-06-09"))), going=Going({"orders": history}, 1))

    assert ranges(asked) == [(LAST, LAST)]


def test_a_partition_that_failed_is_held_back_and_the_others_are_asked_for(ask):
    known = Known(
        tuple(complete(but=["2026-06-08", "2026-06-09"])), (failed("2026-06-08"), failed("2026-06-08", minutes=30))
    )

    asked = ask(known)

    assert ranges(asked) == [("2026-06-09", "2026-06-09")]
    assert asked.notes == ("orders: held back: 2026-06-08 until 2026-06-11 06:39 UTC (failed 2 times)",)


def test_of_many_that_are_held_back_those_are_named_that_are_free_first(ask):
    days = some_days("2026-06-01", "2026-06-05")
    known = Known(tuple(complete(but=days)), tuple(failed(day, minutes=9 - n) for n, day in enumerate(days)))

    (note,) = ask(known).notes

    assert note == (
        "orders: held back: 2026-06-01 until 2026-06-11 06:01 UTC (failed once), 2026-06-02 until 2026-06-11 06:02 UTC "
        "(failed once), 2026-06-03 until 2026-06-11 06:03 UTC (failed once), and 2 more"
    )


def test_an_api_that_is_down_is_left_alone_with_all_its_partitions(ask):
    asked = ask(Known((), (failed(LAST, stops=True),)))

    assert asked.ranges == ()
    assert asked.notes == ("orders: left alone until 2026-06-11 06:04 UTC: HTTP 503 from the shop",)


def test_no_partition_is_asked_for_at_each_tick_while_it_fails(ask):
    """A day of ticks, a minute apart, over an API that is down: each run fails at its first day."""
    failures, asked_for = [], 0
    for minute in range(24 * 60):
        now = NOW + timedelta(minutes=minute)
        asked = ask(Known((), tuple(failures)), now=now)
        asked_for += len(asked.ranges)
        failures += [Failure(run.first, now, "HTTP 503", stops=True) for run in asked.ranges]

    assert asked_for <= 30


def test_after_a_failure_of_the_whole_endpoint_one_partition_shows_whether_it_is_well(ask):
    known = Known((), (failed("2026-05-11", minutes=7, stops=True),))

    assert ranges(ask(known)) == [(LAST, LAST)]


def test_one_day_that_the_api_refuses_does_not_keep_the_days_after_it_away(ask):
    """A refusal ends its run; the next ones go on behind it."""
    bad, done, failures = "2026-06-03", [], []
    for minute in range(120):
        now = NOW + timedelta(minutes=minute)
        for run in ask(Known(tuple(done), tuple(failures)), now=now).ranges:
            for day in some_days(run.first, run.last):
                if day == bad:
                    failures.append(Failure(day, now, "HTTP 400", stops=True))
                    break
                done.append(fetch(day, loaded=now))

    assert sorted(one.partition for one in done) == [day for day in some_days("2026-01-01", LAST) if day != bad]
    assert len(failures) == 3


def test_feeds_and_listings_are_asked_for_once_a_tick_of_the_schedule(ask):
    known = Known(tuple(complete()))

    early = ask(known, people=looked(TICK - timedelta(hours=1)), news=looked(TICK - timedelta(hours=1)))
    late = ask(known, people=looked(TICK + timedelta(minutes=1)), news=looked(TICK + timedelta(minutes=1)))

    assert early.ranges == (Range((PEOPLE, NEWS)),)
    assert late.ranges == ()


def test_a_listing_is_asked_for_before_it_would_be_late(ask, lab):
    lab.text = lab.text.replace("fresh_within: PT26H", "fresh_within: PT1H")
    known = Known(tuple(complete()))

    asked = [ask(known, people=looked(NOW - timedelta(minutes=age))).ranges for age in (44, 45)]

    assert asked == [(), (Range((PEOPLE,)),)]


def test_a_look_that_is_on_its_way_is_not_asked_for_again(ask):
    asked = ask(Known(tuple(complete())), people=Known(), going=Going({"people": frozenset([None])}, 1))

    assert asked.ranges == ()


def test_a_listing_that_failed_is_held_back(ask):
    asked = ask(Known(tuple(complete())), people=Known((), (failed(None),)))

    assert asked.ranges == ()
    assert asked.notes == ("people: held back: it until 2026-06-11 06:09 UTC (failed once)",)


def test_a_source_has_so_many_runs_at_a_time_and_the_newest_go_first(ask):
    holes = some_days("2026-05-01", LAST)[::2]

    asked = ask(Known(tuple(complete(but=holes))), going=Going({}, 2))

    assert len(asked.ranges) == MOST_RUNS - 2
    assert ranges(asked) == [(day, day) for day in reversed(holes)][: MOST_RUNS - 2]
    assert asked.notes == ("13 more runs are asked for once some of 10 are done",)


def test_while_the_api_is_to_be_left_alone_nothing_of_its_source_is_asked_for(ask):
    until = NOW + timedelta(hours=6)
    orders = Known(failures=(waits(until),))

    before, after = (
        ask(orders, people=Known(), news=Known(), now=now) for now in (until - timedelta(seconds=1), until)
    )

    assert before.ranges == ()
    assert before.notes == ("all endpoints are left alone: HTTP 429: waits until 12:00",)
    # One run shows whether it may be asked again.
    assert ranges(after) == [(None, None)]
    assert "1 more runs are asked for once some of 1 are done" in after.notes
