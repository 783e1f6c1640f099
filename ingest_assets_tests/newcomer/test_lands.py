"""Of an API that nobody here knew, every row and every value lands, by a file of fourteen lines an endpoint."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets_tests.newcomer.conftest import FILE, Told
from ingest_assets_tests.newcomer.lodging import PROPERTIES, ROOMS, Server


def rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the readers' copy, times in UTC."""
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as reader:
        reader.execute("SET TimeZone = 'UTC'")
        return reader.execute(query).fetchall()


@pytest.fixture
def loaded(
    server: Server, write: Callable[[str, Server], Path], ingest: Callable[..., Told], tmp_path: Path
) -> tuple[Server, Path]:
    """The folder after everything was ingested, and the server that was asked."""
    write(FILE.read_text(), server)
    bookings = ingest("run", "lodging.bookings", "--from", "2026-01-05", "--to", "2026-01-08")
    others = ingest("run", "lodging.properties", "lodging.rooms")
    assert bookings.good, bookings.text
    assert others.good, others.text
    return server, tmp_path / "data"


def test_every_row_and_value_of_three_endpoints_lands(loaded: tuple[Server, Path], ingest: Callable[..., Told]) -> None:
    server, data = loaded
    there = [one for one in server.bookings if not one["is_deleted"]]

    why = ingest("why", "lodging.rooms", "prop_2", "3")

    assert rows(
        data,
        "SELECT id, property_id, updated_at::TIMESTAMP, check_in, amount, total__currency, channel, note, is_deleted "
        "FROM lodging.bookings ORDER BY id",
    ) == [
        (
            one["id"],
            one["property_id"],
            datetime.fromisoformat(one["updated_at"]).astimezone(UTC).replace(tzinfo=None),
            datetime.strptime(one["check_in"], "%d-%m-%Y").date(),  # noqa: DTZ007 -- a day, of no zone
            Decimal(one["total"]["amount"]),
            one["total"]["currency"],
            one["channel"],
            one["note"],
            False,
        )
        for one in there
    ]
    assert rows(
        data,
        "SELECT b.id, g._position, g.name, g.adult FROM lodging.bookings__guests AS g "
        "JOIN lodging.bookings AS b ON g._parent = b._id ORDER BY ALL",
    ) == [
        (one["id"], place, guest["name"], guest["adult"]) for one in there for place, guest in enumerate(one["guests"])
    ]
    assert rows(
        data,
        "SELECT b.id, g.name, t.value FROM lodging.bookings__guests__tags AS t JOIN lodging.bookings__guests AS g "
        "ON t._parent = g._id JOIN lodging.bookings AS b ON g._parent = b._id ORDER BY ALL",
    ) == [(one["id"], guest["name"], tag) for one in there for guest in one["guests"] for tag in guest["tags"]]
    assert rows(
        data,
        "SELECT id, name, address__street, address__city, address__country, lat, address__geo__lng "
        "FROM lodging.properties ORDER BY id",
    ) == [
        (home["id"], home["name"], *_address(home["address"]))
        for home in PROPERTIES
        if isinstance(home["address"], dict)
    ]
    assert rows(data, "SELECT property, number, beds, rate FROM lodging.rooms ORDER BY ALL") == [
        (home, room["number"], room["beds"], Decimal(room["rate"])) for home, all_ in ROOMS.items() for room in all_
    ]
    assert rows(
        data,
        "SELECT property, number, value FROM lodging.rooms__amenities AS a JOIN lodging.rooms AS r "
        "ON a._parent = r._id ORDER BY property, number, a._position",
    ) == [(home, room["number"], one) for home, all_ in ROOMS.items() for room in all_ for one in room["amenities"]]
    assert "GET" in why.text
    assert '"rate": "94.50"' in why.text


def _address(told: dict[str, Any]) -> tuple[Any, ...]:
    geo = told["geo"] or {}
    lat = Decimal(geo["lat"]) if geo else None
    return told["street"], told["city"], told["country"], lat, geo.get("lng")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["lodging.properties"],
            "lodging.properties: it has no days to name one of. Next: ingest run lodging.properties",
        ),
        (
            ["lodging.properties", "lodging.bookings"],
            "Left out, as they have no days: lodging.properties. Next: ingest run lodging.properties",
        ),
    ],
)
def test_what_has_no_days_is_named_where_days_were_asked_for(
    server: Server, write: Callable[[str, Server], Path], ingest: Callable[..., Told], names: list[str], said: str
) -> None:
    write(FILE.read_text(), server)

    told = ingest("run", *names, "--from", "2026-01-05", "--to", "2026-01-05")

    assert said in told.text
