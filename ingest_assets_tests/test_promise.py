"""Promises 2 and 3 over the whole line: all records arrive in the table exactly once, or nothing is materialized.

For any records, page size, paginator and schedule of faults, of the network, of the API and of the process itself.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
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

    def lived(self, here: Whole, check: Any) -> bool:
        """Run until a run has loaded; whether one has. `check` looks at the table after each run."""
        for number in range(MOST_RUNS):
            kill_after = self.kills[number] if number < len(self.kills) else None
            load = self.loads[number] if number < len(self.loads) else True
            told = here.run(kill_after=kill_after, load=load)
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


def lived(
    api: Api, faults: dict[int, str], life: Life, kind: str, told: dict[str, Any], *, keyed: bool, patient: bool
) -> tuple[bool, int]:
    """Whether the table came to hold all records in the end, and how many requests that took.

    It never held anything else than nothing or all of them.
    """
    size, total = told["size"], told["total"]
    things = Things(kind, [{"v": f"v{n}"} for n in range(told["count"])], size, {}, Reply, total=bool(total))
    world = api.answer = World(things, dict(faults))
    with tempfile.TemporaryDirectory() as folder, state_in(Path(folder)):
        pace = Pace(retry_seconds=0.05 if patient else 0.0, read_timeout_seconds=TIMEOUT_SECONDS)
        model = endpoint(kind, size + told["more"], keyed=keyed, total=total)
        here = Whole(Path(folder), api.url, model, pace=pace)
        whole = [(record["id"], record["v"]) for record in things.records]

        def check() -> None:
            loaded = here.ask("FROM w._ingest.fetches WHERE loaded IS NOT NULL AND verdict = 'complete'")
            assert here.ask("SELECT id, v FROM w.shop.things ORDER BY ALL") == (whole if loaded else [])

        done = life.lived(here, check)
        assert not done or here.problems().keys() <= {"volume"}
        return done, world.asked


@settings(max_examples=800 if LONG else 14, deadline=None, suppress_health_check=_CHECKS)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    told=st.fixed_dictionaries({**SIZES, "total": st.sampled_from(["", "total", "count"])}),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from(PASSES), max_size=8),
    life=LIVES,
    keyed=st.booleans(),
    patient=st.booleans(),
)
def test_whatever_passes_by_itself_all_records_arrive_exactly_once(api, kind, told, faults, life, keyed, patient):
    done, _ = lived(api, faults, life, kind, told, keyed=keyed, patient=patient)

    assert done


@settings(max_examples=800 if LONG else 14, deadline=None, suppress_health_check=_CHECKS)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    told=st.fixed_dictionaries({**SIZES, "total": st.sampled_from(["", "total"])}),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from(FAULTS), max_size=8),
    life=LIVES,
    keyed=st.booleans(),
    patient=st.booleans(),
)
def test_whatever_an_api_does_the_table_holds_all_records_once_or_nothing(
    api, kind, told, faults, life, keyed, patient
):
    done, _ = lived(api, faults, life, kind, told, keyed=keyed, patient=patient)

    assert done
