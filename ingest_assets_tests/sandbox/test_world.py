"""The world is the same whenever it is looked at, and a later look sees more of it."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.sandbox.mixpanel_records import exported
from ingest_assets.sandbox.stripe_records import (
    Charge,
    Invoice,
    charge,
    charges_made,
    events_on,
    happenings,
    identifier,
    invoice,
    invoices_made,
    number_of,
)
from ingest_assets.sandbox.world import DAY, FIRST_DAY, Laws, count_before, day_of, person, world
from ingest_assets.sandbox.zendesk_records import generated, ticket, ticket_index, tickets_made

NOWS = st.dates(date(2026, 11, 1), date(2027, 1, 15))


@given(st.floats(0.01, 500), st.integers(0, 5000))
def test_the_day_of_a_number_is_the_day_that_counts_it(rate: float, number: int) -> None:
    day = day_of(rate, number)

    assert count_before(rate, day) <= number < count_before(rate, day + 1)


@given(st.integers(0, 9), st.sampled_from(["charge", "customer", "event"]), st.integers(0, 16**11 - 1))
def test_an_id_tells_its_number_and_no_other_id_does(seed: int, kind: str, number: int) -> None:
    id_ = identifier(Laws(seed), kind, number)

    assert number_of(Laws(seed), kind, id_) == number
    assert number_of(Laws(seed), kind, f"{id_[:-1]}{'0' if id_[-1] != '0' else '1'}") is None
    assert number_of(Laws(seed + 1), kind, id_) is None


@settings(max_examples=20, deadline=None)
@given(now=NOWS, days=st.integers(1, 40))
def test_the_world_of_an_earlier_now_is_a_prefix_of_a_later_one(now: date, days: int) -> None:
    earlier, later = world(now, scale=0.1), world(now + timedelta(days=days), scale=0.1)
    day = earlier.today - 1

    assert earlier.start == later.start
    assert [row.body for row in events_on(later.advanced(-days), day)] == [row.body for row in events_on(earlier, day)]
    assert {row.body for row in events_on(earlier, day)} >= {
        row.body for row in events_on(later, day)
    }  # fewer only where they are no longer kept
    seen_earlier = [one.record for one in exported(earlier, day)]
    seen_later = [one.record for one in exported(later, day)]
    assert [record for record in seen_later if record in seen_earlier] == seen_earlier


@settings(max_examples=20, deadline=None)
@given(now=NOWS, back=st.integers(0, 60))
def test_a_record_changes_only_by_what_happens_in_between(now: date, back: int) -> None:
    at = world(now, scale=0.1)
    later = at.advanced(1)
    for made in charges_made(at.laws, at.today - back):
        moved = any(at.now <= refund.time < later.now for refund in made.refunds)
        moved |= made.disputed is not None and at.now <= made.disputed < later.now

        assert (charge(at.laws, made, at.now) != charge(at.laws, made, later.now)) == moved


def test_every_change_of_a_charge_or_invoice_has_its_event() -> None:
    at = world(date(2026, 11, 20))
    day = at.today - 10
    told = {(one.subject.number, type(one.subject)) for later in range(8) for one in happenings(at.laws, day + later)}
    end = (day + 8) * DAY

    changed = [
        made
        for made in charges_made(at.laws, day - 5)
        if charge(at.laws, made, day * DAY) != charge(at.laws, made, end)
    ]
    settled = [
        made
        for made in invoices_made(at.laws, day - 5)
        if invoice(at.laws, made, day * DAY) != invoice(at.laws, made, end)
    ]

    assert changed
    assert settled
    assert {(made.number, Charge) for made in changed} <= told
    assert {(made.number, Invoice) for made in settled} <= told


def test_tickets_are_reopened_deleted_and_changed_silently() -> None:
    at = world(date(2026, 11, 20))
    made = [one for day in range(at.first_day, at.today) for one in tickets_made(at.laws, day)]
    newest = [ticket(one, at.now) for one in made]
    paths = [[step.status for step in one.steps] for one in made]

    assert 2500 < len(made) < 3500
    assert any(
        path.index("solved") < len(path) - 1 and "open" in path[path.index("solved") :]
        for path in paths
        if "solved" in path
    )
    assert any(record["status"] == "deleted" for record in newest)
    assert any(record["generated_timestamp"] > _unix(record["updated_at"]) for record in newest)


def _unix(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp())


def test_an_export_moves_a_ticket_to_its_newest_change() -> None:
    at = world(date(2026, 11, 20), scale=0.2)
    later = at.advanced(3)

    before = {id_: time for time, id_ in ticket_index(at)}
    after = {id_: time for time, id_ in ticket_index(later)}

    assert set(before) <= set(after)
    assert all(after[id_] == time or after[id_] >= at.now - 60 for id_, time in before.items())
    assert any(after[id_] != time for id_, time in before.items())
    assert all(generated(one, later.now) < later.now - 60 for one in tickets_made(at.laws, at.today))


def test_people_change_and_leave() -> None:
    people = [person(Laws(), number) for number in range(400)]

    assert len({one.crm_id for one in people}) == 400
    assert any(one.changes for one in people)
    assert any(one.deleted for one in people)
    assert all(one.changes == () or one.changes[-1].time < one.deleted for one in people if one.deleted)
    assert [one.created for one in people] == sorted(one.created for one in people)


@pytest.mark.parametrize(
    ("now", "start"), [(date(2026, 11, 20), date(2025, 11, 1)), (date(2025, 6, 1), date(2024, 6, 1))]
)
def test_a_world_has_at_least_a_year_behind_it(now: date, start: date) -> None:
    at = world(now)

    assert at.first_day == FIRST_DAY + (start - date(2024, 3, 1)).days


def test_another_seed_is_another_world_and_scale_makes_more_of_it() -> None:
    day = FIRST_DAY + 800

    assert charges_made(Laws(1), day) != charges_made(Laws(2), day)
    assert 5 < len(charges_made(Laws(1, 10.0), day)) / len(charges_made(Laws(1, 1.0), day)) < 20
