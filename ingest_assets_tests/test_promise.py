"""Promises 2 and 3 over the whole line: all records arrive in the table exactly once, or nothing is materialized.

For any records, page size, paginator and schedule of faults, of the network, of the API and of the process itself.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_assets.line import Pace
from ingest_assets_tests.extract.test_exactly_once import LYING, PASSING, PATHS, Things
from ingest_assets_tests.extract.test_exactly_once import PAGINATORS as KINDS
from ingest_assets_tests.whole import Api, Asked, Reply, Whole, api_of_its_own, state_in

LONG = "INGEST_LONG" in os.environ
MOST_RUNS = 40
TIMEOUT_SECONDS = 0.4
# What passes by itself, beside what the walk's own test knows: the network, and an API that throttles or stumbles.
NETWORK: dict[str, Reply] = {
    "reset": Reply(reset="before"),
    "reset in the middle": Reply(reset="in the middle"),
    "slow": Reply(seconds=0.02),
    "date": Reply({}, 429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "no wait told": Reply(b"<html>", 502),
    "empty body": Reply(b""),
}
STALLED = {"stalled": Reply(seconds=TIMEOUT_SECONDS * 2)}
# What ends a fetch, and is over the next time it is asked.
WRONG: dict[str, Reply] = {
    "error inside 200": Reply({"data": [], "errors": [{"message": "try later"}]}),
    "a page of something else": Reply(b"<html>sign in</html>"),
    "gone": Reply({}, 410),
}
PASSES = (*PASSING, *NETWORK)
FAULTS = (*PASSES, *LYING, *WRONG)


@dataclass
class World:
    """An API of these records, and what happens at its n-th request; a body that is not whole is the right one, cut."""

    things: Things
    faults: dict[int, str]
    asked: int = 0
    counts: int = 0

    def __call__(self, asked: Asked) -> Any:
        if asked.path == "/count":
            self.counts += 1
            return {"count": len(self.things.records)}
        fault = self.faults.pop(self.asked, None)
        self.asked += 1
        self.things.faults = {self.things.asked: fault} if fault in (*PASSING, *LYING) else {}
        right = self.things(self._query(asked))
        if fault in WRONG:
            return WRONG[fault]
        told = (NETWORK | STALLED).get(fault or "")
        if told is None:
            return right
        return replace(right, reset=told.reset, seconds=told.seconds) if told.body is None else told

    @staticmethod
    def _query(asked: Asked) -> dict[str, Any]:
        """As the walk's own test tells what was asked."""
        if asked.body:
            return dict(json.loads(asked.body))
        below = asked.path.removeprefix("/things").removeprefix("/")
        held = {"X-Cursor": asked.headers["x-cursor"]} if "x-cursor" in asked.headers else {}
        return asked.query | ({"/": below} if below else {}) | held


@dataclass
class Life:
    """What becomes of the processes that fetch and load: each is killed after so many pages, or never; some don't load.

    After these, all live to their end.
    """

    kills: list[int | None] = field(default_factory=list)
    loads: list[bool] = field(default_factory=list)

    def lived(self, here: Whole, check: Callable[[], None], partition: str | None) -> bool:
        """Run until a run has loaded; whether one has. `check` looks at the table after each run."""
        for number in range(MOST_RUNS):
            kill_after = self.kills[number] if number < len(self.kills) else None
            load = self.loads[number] if number < len(self.loads) else True
            told = here.run(partition, kill_after=kill_after, load=load)
            check()
            if not told and load:
                return True
        return False


def endpoint(kind: str, size: int, *, keyed: bool, total: str) -> dict[str, Any]:
    """The endpoint that asks such an API; `total` says how it knows how many records there are."""
    paginator = KINDS[kind] | ({"page_size": size} if kind == "short_page" else {})
    columns = {"id": {"type": "bigint"}, "v": {"type": "varchar"}}
    told: dict[str, Any] = {"paginator": paginator, "errors": "errors", "columns": columns}
    told |= {"method": "POST", "body": {"query": "…", "variables": {"first": size}}} if kind == "graphql" else {}
    told |= {"path": PATHS[kind]} if kind in PATHS else {}
    told |= {"primary_key": "id"} if keyed else {"primary_key": None, "write": "replace"}
    told |= {"total": "total"} if total == "total" else {}
    told |= {"count": {"path": "/count", "value": "count"}} if total == "count" else {}
    return told


@pytest.fixture(scope="module")
def api() -> Any:
    with api_of_its_own() as running:
        yield running


SIZES = {"size": st.integers(1, 4), "more": st.integers(0, 2), "count": st.integers(0, 11)}
LIVES = st.builds(Life, st.lists(st.none() | st.integers(0, 4), max_size=4), st.lists(st.booleans(), max_size=3))
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@dataclass
class Line:
    """An endpoint of an API, and what its table is to hold in the end: ids and values, in order."""

    endpoint: dict[str, Any]
    whole: list[tuple[Any, ...]]
    at_once: int = 1
    partition: str | None = None

    def lived(self, api: Api, life: Life, *, patient: bool) -> bool:
        """Whether the table came to hold all in the end; it never held anything else than nothing or all."""
        with tempfile.TemporaryDirectory() as folder, state_in(Path(folder)):
            pace = Pace(retry_seconds=0.05 if patient else 0.0, read_timeout_seconds=TIMEOUT_SECONDS)
            here = Whole(Path(folder), api.url, self.endpoint, {"at_once": self.at_once}, pace)

            def check() -> None:
                loaded = here.ask("FROM w._ingest.fetches WHERE loaded IS NOT NULL AND verdict = 'complete'")
                assert here.ask("SELECT id, v FROM w.shop.things ORDER BY ALL") == (self.whole if loaded else [])

            done = life.lived(here, check, self.partition)
            assert not done or here.problems().keys() <= {"volume"}
            return done


def paged(api: Api, faults: dict[int, str], kind: str, told: dict[str, Any], *, keyed: bool, at_once: int) -> Line:
    """The line of an API of one kind of paging, all of whose faults are told by number of the request."""
    size, total = told["size"], told["total"]
    things = Things(kind, [{"v": f"v{n}"} for n in range(told["count"])], size, {}, Reply, total=bool(total))
    api.answer = World(things, dict(faults))
    model = endpoint(kind, size + told["more"], keyed=keyed, total=total)
    return Line(model, [(record["id"], record["v"]) for record in things.records], at_once)


@settings(max_examples=800 if LONG else 7, deadline=None, suppress_health_check=_CHECKS)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    told=st.fixed_dictionaries({**SIZES, "total": st.sampled_from(["", "total", "count"])}),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from(PASSES), max_size=8),
    life=LIVES,
    keyed=st.booleans(),
    patient=st.booleans(),
    at_once=st.sampled_from([1, 1, 3]),
)
def test_whatever_passes_by_itself_all_records_arrive_exactly_once(
    api, kind, told, faults, life, keyed, patient, at_once
):
    line = paged(api, faults, kind, told, keyed=keyed, at_once=at_once)

    assert line.lived(api, life, patient=patient)


@settings(max_examples=800 if LONG else 7, deadline=None, suppress_health_check=_CHECKS)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    told=st.fixed_dictionaries({**SIZES, "total": st.sampled_from(["", "total"])}),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from(FAULTS), max_size=8),
    life=LIVES,
    keyed=st.booleans(),
    patient=st.booleans(),
    at_once=st.sampled_from([1, 1, 3]),
)
def test_whatever_an_api_does_the_table_holds_all_records_once_or_nothing(
    api, kind, told, faults, life, keyed, patient, at_once
):
    line = paged(api, faults, kind, told, keyed=keyed, at_once=at_once)

    assert line.lived(api, life, patient=patient)


DAY = datetime(2026, 1, 2, tzinfo=UTC)
# Moments near those at which a window is cut, and some between.
MOMENTS = st.builds(
    lambda hour, off: timedelta(hours=hour) + timedelta(microseconds=off),
    st.sampled_from([-24, -6, 0, 6, 8, 12, 16, 18, 24, 30]),
    st.sampled_from([-1, 0, 1, 1_000_000, 600_000_000]),
)


@dataclass
class Days:
    """An API of records with times, asked for a window; it gives `cap` of a query at most, and says nothing of it.

    Without bounds it gives all, the newest first.
    """

    times: list[timedelta]
    size: int
    faults: dict[int, str]
    cap: int
    asked: int = 0

    def __call__(self, asked: Asked) -> Any:
        fault = self.faults.pop(self.asked, "")
        self.asked += 1
        right = self._page(asked.query)
        if fault in PASSING:
            status = {"500": 500, "503": 503, "429": 429}.get(fault)
            if status is not None:
                return Reply({}, status, {"Retry-After": "0"})
            return replace(right, cut=True) if fault == "cut" else Reply(right.bytes[:-1])
        told = (NETWORK | WRONG).get(fault)
        if told is None:
            return right
        return replace(right, reset=told.reset, seconds=told.seconds) if told.body is None else told

    def _page(self, query: dict[str, str]) -> Reply:
        records = [{"id": n, "v": f"v{n}", "at": (DAY + time).isoformat()} for n, time in enumerate(self.times)]
        if "from" in query:
            lower, upper = (datetime.fromisoformat(query[name]) for name in ("from", "until"))
            records = [one for one in records if lower <= datetime.fromisoformat(one["at"]) < upper]
        else:
            records.sort(key=lambda one: (datetime.fromisoformat(one["at"]), one["id"]), reverse=True)
        total, records = len(records), records[: self.cap]
        first = int(query.get("cursor", query.get("offset", 0)))
        after = first + self.size
        more = after < len(records)
        return Reply({"data": records[first:after], "next": str(after) if more else None, "more": more, "total": total})

    @property
    def whole(self) -> list[tuple[Any, ...]]:
        """What is of the day."""
        return [(n, f"v{n}") for n, time in enumerate(self.times) if timedelta(0) <= time < timedelta(days=1)]


WINDOWS: dict[str, dict[str, Any]] = {
    "pieces": {"window": {"from": "from", "until": "until", "pieces": 4}},
    "cap": {"window": {"from": "from", "until": "until", "cap": {"records": 5, "smallest": "PT1S"}}},
    "both": {"window": {"from": "from", "until": "until", "pieces": 3, "cap": {"records": 5, "smallest": "PT1S"}}},
    "newest first": {"window": {"stop_at": "at"}},
}
PAGING: dict[str, dict[str, Any]] = {
    "cursor": {"type": "cursor", "path": "next", "param": "cursor"},
    "offset": {"type": "offset", "total": "total"},
    "has_more": {"type": "offset", "has_more": "more"},
}


@example(  # a page that is asked for again after a rest, all of whose records are filtered: nothing is too much
    window="newest first",
    paging="offset",
    times=[timedelta(days=-1), timedelta(days=-1)],
    size=1,
    faults={0: "500", 2: "500"},
    life=Life(),
    patient=False,
    at_once=1,
)
@settings(max_examples=800 if LONG else 9, deadline=None, suppress_health_check=_CHECKS)
@given(
    window=st.sampled_from(sorted(WINDOWS)),
    paging=st.sampled_from(sorted(PAGING)),
    times=st.lists(MOMENTS, max_size=16),
    size=st.integers(1, 4),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from(PASSES), max_size=6),
    life=LIVES,
    patient=st.booleans(),
    at_once=st.sampled_from([1, 3]),
)
def test_windows_in_pieces_capped_or_newest_first_have_each_record_of_theirs_once(
    api, window, paging, times, size, faults, life, patient, at_once
):
    capped = "cap" in WINDOWS[window]["window"]
    api.answer = days = Days(times, size, dict(faults), cap=5 if capped else 10_000)
    columns = {"id": {"type": "bigint"}, "v": {"type": "varchar"}, "at": {"type": "timestamptz", "required": True}}
    asked = {"partitions": {"every": "day", "start": "2026-01-01"}, "changes": "immutable", "columns": columns}
    line = Line({**WINDOWS[window], "paginator": PAGING[paging], **asked}, days.whole, at_once, f"{DAY:%Y-%m-%d}")

    done = line.lived(api, life, patient=patient)

    in_a_second = Counter(time // timedelta(seconds=1) for time in times)
    assert done or (capped and max(in_a_second.values()) >= days.cap)
