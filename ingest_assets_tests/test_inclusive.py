"""An API whose upper bound is part of the answer: each record is in one partition, whatever fractions its time has."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest

from ingest_assets.line import Line
from ingest_assets.source import Source
from ingest_assets_tests.loopback import Replying

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
MICROSECOND, MILLISECOND, SECOND = (timedelta(microseconds=n) for n in (1, 1000, 1_000_000))
STEPS = (timedelta(0), MICROSECOND, MILLISECOND, timedelta(milliseconds=999), SECOND, timedelta(hours=1))
TIMES = sorted(
    {MIDNIGHT + days * timedelta(days=1) + sign * step for days in (0, 1) for sign in (1, -1) for step in STEPS}
)
RECORDS = [{"id": n, "at": time.isoformat(), "lines": [{"n": n}]} for n, time in enumerate(TIMES)]

_READ: dict[str, Callable[[str], datetime]] = {
    "iso": datetime.fromisoformat,
    "unix": lambda text: datetime.fromtimestamp(int(text), UTC),
    "unix_ms": lambda text: datetime.fromtimestamp(int(text) / 1000, UTC),
    "%Y-%m-%d %H:%M:%S": lambda text: datetime.fromisoformat(f"{text}+00:00"),
}


class Inclusive(ThreadingHTTPServer):
    """Tells what is from `from` to `until`, both included; `cut` is what it cuts its own times to for that."""

    form = "iso"
    cut = MICROSECOND

    def told(self, query: dict[str, str]) -> list[Any]:
        """The records between two bounds."""
        lower, upper = (_READ[self.form](query[name]) for name in ("from", "until"))
        return [
            r for r, time in zip(RECORDS, TIMES, strict=True) if lower <= time - time_beyond(time, self.cut) <= upper
        ]


def time_beyond(time: datetime, cut: timedelta) -> timedelta:
    """What a time has beyond a whole number of these steps."""
    return (time - datetime(2026, 1, 1, tzinfo=UTC)) % cut


@pytest.fixture
def api() -> Iterator[Inclusive]:
    class Handler(Replying):
        def get(self) -> None:
            self.send(200, self.server.told(dict(parse_qsl(urlsplit(self.path).query))))

    with Inclusive(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def line(api: Inclusive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Line]:
    """The line of a source whose window is as a test says."""
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def made(form: str, cut: timedelta = MICROSECOND, folder: str = "data", **window: Any) -> Line:
        api.form, api.cut = form, cut
        things = {
            "path": "/things",
            "window": {"from": "from", "until": "until", "format": form, "inclusive": True, **window},
            "partitions": {"every": "day", "start": DAYS[0]},
            "primary_key": "id",
            "columns": {"id": {"type": "bigint"}, "at": {"type": "timestamptz", "required": True}},
        }
        told = {"name": "shop", "base_url": f"http://127.0.0.1:{api.server_port}", "endpoints": {"things": things}}
        return Line(Source.model_validate(told), tmp_path / folder, run="r")

    return made


def ingested(line: Line, days: tuple[str, ...] = DAYS) -> dict[str, Any]:
    """Fetch and load these days; the account of each."""
    accounts = {}
    for day in days:
        with line.partition("things", day):
            line.fetch("things", day)
            accounts[day] = line.load("things", day)[-1].account
    line.publish()
    return accounts


def rows(line: Line, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as reader:
        return reader.execute(query).fetchall()


def by_day(line: Line) -> list[tuple[Any, ...]]:
    """Each row's key, with the partition that it came in."""
    return rows(
        line, "SELECT t.id, f.partition FROM shop.things AS t JOIN _ingest.fetches AS f USING (_fetch) ORDER BY 1"
    )


def expected() -> list[tuple[int, str]]:
    return [(n, date.isoformat(time.date())) for n, time in enumerate(TIMES)]


@pytest.mark.parametrize(
    ("form", "cut"),
    [
        *itertools.product(_READ, (MICROSECOND,)),
        ("iso", SECOND),
        ("iso", MILLISECOND),
        ("unix", SECOND),
        ("unix_ms", MILLISECOND),
        ("%Y-%m-%d %H:%M:%S", SECOND),
    ],
)
def test_each_record_is_in_its_own_day_where_it_tells_its_time(
    line: Callable[..., Line], form: str, cut: timedelta
) -> None:
    things = line(form, cut, position="at")

    accounts = ingested(things)

    assert by_day(things) == expected()
    assert rows(things, "SELECT n FROM shop.things__lines ORDER BY 1") == [(n,) for n in range(len(TIMES))]
    assert all(account.adds_up for account in accounts.values())
    assert (accounts[DAYS[0]].filtered > 0, accounts[DAYS[2]].filtered) == (True, 0)


@pytest.mark.parametrize(
    ("form", "cut"), [("iso", MICROSECOND), ("iso", SECOND), ("unix", SECOND), ("unix_ms", MILLISECOND)]
)
def test_the_last_moment_that_a_bound_can_tell_is_asked_for_elsewhere(
    line: Callable[..., Line], form: str, cut: timedelta
) -> None:
    things = line(form, cut)

    accounts = ingested(things)

    assert by_day(things) == expected()
    assert {account.filtered for account in accounts.values()} == {0}


@pytest.mark.parametrize("order", list(itertools.permutations(DAYS)))
def test_whatever_the_order_and_however_often_the_tables_are_the_same(
    line: Callable[..., Line], order: tuple[str, ...]
) -> None:
    things = line("iso", position="at")

    ingested(things, (*order, order[0]))

    assert by_day(things) == expected()
    before = rows(things, "FROM shop.things ORDER BY id")
    for day in order:
        with things.partition("things", day):
            things.load("things", day, replay=True)
    things.publish()
    assert rows(things, "FROM shop.things ORDER BY id") == before


def test_what_lies_farther_outside_is_left_in(line: Callable[..., Line], api: Inclusive) -> None:
    """Nobody says that the next day would bring it."""
    things = line("iso", position="at")
    api.told = lambda _: RECORDS

    accounts = ingested(things, DAYS[:1])

    beyond = [time for time in TIMES if MIDNIGHT <= time < MIDNIGHT + SECOND]
    assert accounts[DAYS[0]].filtered == len(beyond)
    assert accounts[DAYS[0]].inserted == len(TIMES) - len(beyond)
