"""A year of an API that is slow to tell and changes its mind: what is loaded ends equal to what it holds.

The API moves a clock of its own. Its records come late, by up to the time to settle, and are restated once or twice
within the look-back. The line is woken at odd times, and at each does some of what is due, in any order.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from ingest_assets.line import Line
from ingest_assets.load.due import due, last_closed
from ingest_assets.source import Source
from ingest_assets_tests.loopback import Replying, serving

LONG = "INGEST_LONG" in os.environ
SETTLE, LOOKBACK = timedelta(hours=3), timedelta(days=2)
_PAGE = 200


@dataclass(frozen=True)
class Record:
    """A record: when it happened, when it can first be seen, and what it says from when on."""

    id: int
    at: datetime
    seen: datetime
    said: tuple[tuple[datetime, int], ...]

    def told(self, now: datetime) -> dict[str, Any]:
        said = [what for since, what in self.said if since <= now]
        return {"id": self.id, "at": self.at.isoformat(), "said": said[-1]}


@dataclass
class World:
    """Records of some time, and the clock."""

    records: list[Record] = field(default_factory=list)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    asked: int = 0

    def fill(self, dice: random.Random, begin: datetime, end: datetime, step: timedelta) -> None:
        self.records = []
        at = begin
        while at < end:
            at += timedelta(seconds=dice.randrange(1, int(2 * step.total_seconds())))
            seen = at + dice.choice([timedelta(0), dice.random() * SETTLE])
            changes = sorted(at + dice.random() * LOOKBACK for _ in range(dice.choice([0, 0, 1, 2])))
            said = ((seen, 0), *((max(seen, moment), n) for n, moment in enumerate(changes, 1)))
            self.records.append(Record(len(self.records), at, seen, said))

    def answer(self, query: dict[str, list[str]]) -> Any:
        self.asked += 1
        lower, upper = (datetime.fromisoformat(query[name][0]) for name in ("from", "until"))
        found = [r.told(self.now) for r in self.records if lower <= r.at < upper and r.seen <= self.now]
        first = int(query.get("cursor", ["0"])[0])
        more = first + _PAGE < len(found)
        return {"data": found[first : first + _PAGE], "next": str(first + _PAGE) if more else None}

    def truth(self, begin: datetime, end: datetime) -> dict[int, int]:
        """What each record of a time says in the end."""
        return {r.id: r.said[-1][1] for r in self.records if begin <= r.at < end}


class _Handler(Replying):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def get(self) -> None:
        self.send(200, self.server.world.answer(parse_qs(urlsplit(self.path).query)))


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, str]]:
    with serving(_Handler, world=World()) as server:
        yield server.world, server.url


@pytest.fixture(autouse=True)
def _own_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def source(url: str, every: str, zone: str, start: date, *, is_open: bool, write: str = "merge") -> Source:
    key = {"primary_key": "id"} if write == "merge" else {}
    entries = {
        "path": "/entries",
        "records": "data",
        "paginator": {"type": "cursor", "path": "next", "param": "cursor"},
        "window": {"from": "from", "until": "until", "format": "iso"},
        "partitions": {"every": every, "start": start.isoformat(), "open": is_open, "settle": SETTLE},
        "changes": {"lookback": LOOKBACK},
        "time_zone": zone,
        "write": write,
        **key,
    }
    return Source.model_validate({"name": "ledger", "base_url": url, "endpoints": {"entries": entries}})


def live(line: Line, world: World, dice: random.Random, end: datetime, nap: timedelta) -> list[str]:
    """Wake up now and then until `end`, and do some of what is due; the verdicts that there were."""
    verdicts = []
    while world.now < end:
        world.now += nap * (0.2 + 1.6 * dice.random())
        wanted = due(line.source.endpoints["entries"], line.fetches("entries"), world.now)
        for key in dice.sample(wanted, dice.randint(0, len(wanted))):
            verdicts.append(walk(line, key))  # noqa: PERF401 -- what is done counts, not the list
    return verdicts


def walk(line: Line, key: str) -> str:
    with line.partition("entries", key):
        verdict = line.fetch("entries", key).manifest.ended.verdict
        line.load("entries", key)
    return verdict


def rows(line: Line) -> dict[int, int]:
    with line.warehouse.session("looking") as connection:
        found = connection.execute("SELECT id, said FROM w.ledger.entries").fetchall()
    assert len(dict(found)) == len(found)
    return dict(found)


_SHORT = [
    # What is woken where and how often, around the days on which the clock moves.
    ("day", "Europe/Amsterdam", (2026, 3, 26), (2026, 4, 2), timedelta(hours=24), True, "merge"),
    ("day", "America/New_York", (2026, 10, 29), (2026, 11, 5), timedelta(hours=24), False, "replace_partition"),
    ("hour", "Europe/Amsterdam", (2026, 10, 25), (2026, 10, 25, 7), timedelta(hours=3), True, "merge"),
    ("hour", "America/New_York", (2026, 3, 8), (2026, 3, 8, 8), timedelta(hours=3), False, "replace_partition"),
    ("week", "Europe/Amsterdam", (2026, 3, 2), (2026, 4, 13), timedelta(days=4), True, "merge"),
    ("month", "America/New_York", (2026, 1, 1), (2026, 12, 31), timedelta(days=45), True, "replace_partition"),
]
_YEARS = [
    (every, zone, first, last, nap, is_open, write)
    for write in ("merge", "replace_partition")
    for every, zone, first, last, nap, is_open in (
        ("day", "Europe/Amsterdam", (2026, 1, 1), (2026, 12, 31), timedelta(hours=20), True),
        ("day", "America/New_York", (2026, 1, 1), (2026, 12, 31), timedelta(hours=50), False),
        ("hour", "America/New_York", (2026, 10, 29), (2026, 11, 3), timedelta(hours=9), True),
        ("week", "America/New_York", (2026, 1, 1), (2026, 12, 31), timedelta(days=2), True),
    )
]


@pytest.mark.parametrize(("every", "zone", "first", "last", "nap", "is_open", "write"), _YEARS if LONG else _SHORT)
def test_what_is_loaded_ends_equal_to_what_the_api_holds(
    served, tmp_path, every, zone, first, last, nap, is_open, write
):
    world, url = served
    dice = random.Random(f"{every} {zone} {write}")  # noqa: S311 -- a test's dice
    begin, end = (datetime(*day, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in (first, last))
    world.now = begin
    world.fill(dice, begin - timedelta(days=3), end + timedelta(days=3), (end - begin) / (2000 if LONG else 300))
    model = source(url, every, zone, date(*first[:3]), is_open=is_open, write=write)
    line = Line(model, tmp_path / "data", run="r", now=lambda: world.now)

    verdicts = live(line, world, dice, end, nap)
    closed = last_closed(model.endpoints["entries"], world.now)
    world.now += LOOKBACK + SETTLE + timedelta(days=1)
    periods = model.endpoints["entries"].periods
    for key in due(model.endpoints["entries"], line.fetches("entries"), world.now):
        if key <= closed:
            walk(line, key)

    lower, upper = periods.bounds(periods.first)[0], periods.bounds(closed)[1]
    loaded = {id_: said for id_, said in rows(line).items() if world.records[id_].at < upper}
    oldest = min(f.partition for f in line.fetches("entries"))
    assert loaded == world.truth(max(lower, periods.bounds(oldest)[0]), upper)
    assert ("open" in verdicts) is is_open
    fresh = Line(model, tmp_path / "data", run="r", warehouse_folder=tmp_path / "fresh", now=lambda: world.now)
    for key in {f.partition for f in line.fetches("entries")}:
        fresh.load("entries", key)
    assert rows(fresh) == rows(line)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_period_is_open_until_it_has_settled(served, tmp_path, is_open):
    world, url = served
    world.records = []
    model = source(url, "day", "Europe/Amsterdam", date(2026, 10, 20), is_open=is_open)
    line = Line(model, tmp_path / "data", run="r", now=lambda: world.now)
    ends = datetime(2026, 10, 25, 23, tzinfo=UTC)  # a day of 25 hours
    found = []
    for moment in (ends - timedelta(minutes=1), ends + SETTLE - timedelta(minutes=1), ends + SETTLE):
        world.now = moment
        wanted = due(model.endpoints["entries"], line.fetches("entries"), moment)
        found.append(walk(line, "2026-10-25") if "2026-10-25" in wanted else None)

    assert found == (["open", "open", "complete"] if is_open else [None, None, "complete"])
    assert "2026-10-25" not in due(model.endpoints["entries"], line.fetches("entries"), world.now)
