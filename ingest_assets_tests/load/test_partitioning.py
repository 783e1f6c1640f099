"""What counts as another partitioning, and what is said of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest_assets.errors import ConfigError
from ingest_assets.load.partitioning import Kept, fits, refuse, said
from ingest_assets.source import Endpoint

DAILY = {"every": "day", "start": "2026-01-01"}
BY = {"by": {"account": ["eu", "us"]}}


def endpoint(partitions: dict[str, Any] | None, **more: Any) -> Endpoint:
    window = {"window": {"from": "from", "until": "until"}} if partitions and "every" in partitions else {}
    told = {"path": "/x", "primary_key": ["account", "id"], "partitions": partitions, **window, **more}
    if partitions and "by" in partitions:
        told["columns"] = {name: {"type": "varchar", "from_partition": name} for name in partitions["by"]}
    return Endpoint(**told)


def kept(partition: str | None, *bounds: tuple[int, ...]) -> Kept:
    lower, upper = (datetime(*moment, tzinfo=UTC) for moment in bounds) if bounds else (None, None)
    return Kept(1, partition, (lower, upper))


MONDAY = kept("2026-01-05", (2026, 1, 5), (2026, 1, 6))


@pytest.mark.parametrize(
    ("partitions", "found"),
    [
        (None, kept(None)),
        (DAILY, MONDAY),
        ({**DAILY, "start": "2026-03-01"}, MONDAY),  # begins later: what is loaded stays
        ({**DAILY, "start": "2025-01-01"}, MONDAY),
        ({**DAILY, "open": True, "settle": "PT2H"}, MONDAY),
        ({"by": {"account": ["eu"]}}, kept("us")),  # is not asked for any more
        ({**DAILY, **BY}, kept("eu|2026-01-05", (2026, 1, 5), (2026, 1, 6))),
    ],
)
def test_what_is_of_the_files_partitions_fits(partitions, found):
    assert fits(endpoint(partitions), found)


@pytest.mark.parametrize(
    ("partitions", "more", "found"),
    [
        (None, {}, MONDAY),
        (DAILY, {}, kept(None)),
        ({**DAILY, "every": "hour"}, {}, MONDAY),
        ({**DAILY, "every": "week"}, {}, MONDAY),  # the same key, and another span
        ({**DAILY, "every": "month"}, {}, kept("2026-01-01", (2026, 1, 1), (2026, 1, 2))),
        (DAILY, {"time_zone": "Europe/Amsterdam"}, MONDAY),
        (BY, {}, MONDAY),
        (BY, {}, kept(None)),
        ({**DAILY, **BY}, {}, MONDAY),
        (DAILY, {}, kept("eu|2026-01-05", (2026, 1, 5), (2026, 1, 6))),
        (BY, {}, kept("eu|2026-01-05", (2026, 1, 5), (2026, 1, 6))),
    ],
)
def test_what_is_of_others_does_not(partitions, more, found):
    assert not fits(endpoint(partitions, **more), found)


def test_what_was_found_what_is_expected_and_what_to_do_is_said():
    hourly = endpoint({**DAILY, "every": "hour"}, time_zone="Europe/Amsterdam")

    with pytest.raises(ConfigError) as told:
        refuse("shop.orders", hourly, [kept("2026-01-04", (2026, 1, 4), (2026, 1, 5)), MONDAY])

    assert str(told.value) == (
        "shop.orders: its file says partitions by hour in Europe/Amsterdam, and 2 kept fetches are of others, such as "
        "'2026-01-05' (2026-01-05 00:00 to 2026-01-06 00:00 UTC). Put the file back as it was; or give up what is "
        "kept, and fetch anew: ingest migrate shop.orders"
    )


def test_partitions_are_said_in_a_few_words():
    shapes = [None, DAILY, BY, {**DAILY, **BY}]

    assert [said(endpoint(partitions)) for partitions in shapes] == [
        "no partitions",
        "partitions by day in UTC",
        "partitions by account",
        "partitions by day in UTC and account",
    ]
