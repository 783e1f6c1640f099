"""Promises 2 and 3 where children are asked for parent by parent: all of them once, or the fetch is not complete.

For one level and two, batches of parents, parents at once, and faults in parents' and children's pages alike.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import IngestError
from ingest_assets.line import Pace
from ingest_assets_tests.test_promise import LONG, MOST_RUNS, NETWORK, PASSES, TIMEOUT_SECONDS, WRONG
from ingest_assets_tests.whole import Api, Asked, Killed, Reply, Whole, api_of_its_own, state_in

STATUS = {"500": 500, "503": 503, "429": 429, "refused": 403}
LYING = ("empty", "first again", "no records", "refused")
PAGING: dict[str, dict[str, Any]] = {
    "cursor": {"type": "cursor", "path": "next", "param": "at"},
    "link": {"type": "link"},
    "offset": {"type": "offset", "param": "at", "total": "total"},
    "has_more": {"type": "offset", "param": "at", "has_more": "more"},
}
# The endpoints from the top on; `things` are the children, or the children of children.
LEVELS: dict[str, dict[str, dict[str, Any]]] = {
    "one": {"things": {"path": "/tops/{tops.id}/things"}},
    "two": {"middles": {"path": "/tops/{tops.id}/middles"}, "things": {"path": "/middles/{middles.id}/things"}},
    "batches": {"things": {"path": "/things", "params": {"of": "{tops.id}"}, "parents": {"batch": 2}}},
}


@dataclass
class Family:
    """An API of records below records: `tree` are the children of each top one, told by how many each of them has."""

    tree: list[list[int]]
    levels: str
    size: int
    faults: dict[int, str]
    total: bool
    asked: int = 0

    def __call__(self, asked: Asked) -> Any:
        fault = self.faults.pop(self.asked, "")
        self.asked += 1
        right = self._page(asked, fault)
        if fault in STATUS:
            return Reply({}, STATUS[fault], {"Retry-After": "0"})
        if fault == "cut":
            return replace(right, cut=True)
        if fault == "half":
            return Reply(right.bytes[:-1])
        told = (NETWORK | WRONG).get(fault)
        if told is None:
            return right
        return replace(right, reset=told.reset, seconds=told.seconds) if told.body is None else told

    def _page(self, asked: Asked, fault: str) -> Reply:
        found = self.below(asked.path, asked.query.get("of", ""))
        first = int(asked.query.get("at", 0))
        after = first + self.size
        more = after < len(found)
        body = {"data": found[first:after], "next": str(after) if more else None, "more": more, "total": len(found)}
        if fault == "empty" and (more or self.total):
            body["data"] = []
        if fault == "first again":
            body["data"] = found[: self.size]
        if fault == "no records":
            del body["data"]
        of = f"of={asked.query['of']}&" if "of" in asked.query else ""
        return Reply(body, headers={"Link": f"<?{of}at={after}>; rel=next" if more else f"<?{of}at=0>; rel=first"})

    def below(self, path: str, of: str = "") -> list[dict[str, Any]]:
        """The records at a path, or of these parents."""
        if path == "/tops":
            return [{"id": f"t{n}"} for n in range(len(self.tree))]
        parents = of.split(",") if of else [path.split("/")[2]]
        return [record for parent in parents for record in self.children(parent)]

    def children(self, parent: str) -> list[dict[str, Any]]:
        """Those of one record, by its id."""
        if parent.startswith("m"):
            top, middle = map(int, parent[1:].split("-"))
            return [{"id": f"{parent}-{n}", "of": parent} for n in range(self.tree[top][middle])]
        kind = "m" if self.levels == "two" else "c"
        return [{"id": f"{kind}{parent[1:]}-{n}", "of": parent} for n in range(len(self.tree[int(parent[1:])]))]


@dataclass
class Lives:
    """Runs of all endpoints in their order, each as of a new process, which may be killed after so many pages."""

    here: Whole
    family: Family
    names: list[str]

    def ids(self, name: str) -> list[str]:
        """What is in a table, in order."""
        return [row[0] for row in self.here.ask(f"SELECT id FROM w.shop.{name} ORDER BY ALL")]  # noqa: S608 -- ours

    def run(self, kill_after: int | None) -> bool:
        """Whether every endpoint came to a complete end."""
        line, ends = self.here.line(kill_after), list[str]()
        with suppress(Killed):
            for name in self.names:
                with suppress(IngestError), line.partition(name, None):
                    line.fetch(name, None)
                    line.load(name, None)
                    ends.append(self.checked(name))
        return ends == ["complete"] * len(self.names)

    def checked(self, name: str) -> str:
        """The newest verdict; raises where a table holds what it should not, or less than what it calls complete."""
        parents = self.ids(self.names[self.names.index(name) - 1]) if name != "tops" else []
        of_these = [one for parent in parents for one in self.family.children(parent)]
        right = sorted(one["id"] for one in (self.family.below("/tops") if name == "tops" else of_these))
        found = self.ids(name)
        verdict = self.here.ask(
            f"SELECT verdict FROM w._ingest.fetches WHERE endpoint = '{name}' AND loaded IS NOT NULL ORDER BY _fetch"  # noqa: S608 -- ours
        )[-1][0]
        assert len(set(found)) == len(found)
        assert set(found) <= set(right)
        assert verdict == "incomplete" or found == right
        return str(verdict)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with api_of_its_own() as running:
        yield running


def endpoints(levels: str, paging: str, *, total: bool, write: str) -> dict[str, Any]:
    """Those of the source, the topmost first."""
    same = {"records": "data", "primary_key": "id", "paginator": PAGING[paging], "columns": {"id": {"type": "varchar"}}}
    same |= {"errors": "errors"} | ({"total": "total"} if total else {})
    told = {name: same | endpoint for name, endpoint in LEVELS[levels].items()}
    told["things"] |= {"write": write}
    return {"tops": same | {"path": "/tops"}, **told}


@example(  # a wrong page of a parent that is stored, of a table that is replaced as a whole
    levels="two",
    paging="offset",
    tree=[[2, 2, 0], [], [], []],
    size=1,
    total=True,
    faults={9: "error inside 200", 10: "empty", 12: "refused", 19: "error inside 200"},
    kills=[],
    write="replace",
    patient=False,
    at_once=3,
)
@example(  # half of a batch's pages, a kill, and the rest
    levels="batches",
    paging="offset",
    tree=[[1, 0], [2], []],
    size=1,
    total=True,
    faults={4: "503"},
    kills=[5],
    write="merge",
    patient=False,
    at_once=3,
)
@settings(
    max_examples=600 if LONG else 6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    levels=st.sampled_from(sorted(LEVELS)),
    paging=st.sampled_from(sorted(PAGING)),
    tree=st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=4),
    size=st.integers(1, 3),
    total=st.booleans(),
    faults=st.dictionaries(st.integers(0, 20), st.sampled_from([*PASSES, *LYING, *WRONG]), max_size=8),
    kills=st.lists(st.none() | st.integers(0, 6), max_size=4),
    write=st.sampled_from(["merge", "merge", "replace"]),
    patient=st.booleans(),
    at_once=st.sampled_from([1, 3]),
)
def test_children_of_parents_arrive_once_each_or_the_fetch_is_not_complete(
    api, levels, paging, tree, size, total, faults, kills, write, patient, at_once
):
    api.answer = family = Family(tree, levels, size, dict(faults), total or paging == "offset")
    told = endpoints(levels, paging, total=total, write=write)

    with tempfile.TemporaryDirectory() as folder, state_in(Path(folder)):
        pace = Pace(retry_seconds=0.05 if patient else 0.0, read_timeout_seconds=TIMEOUT_SECONDS)
        lives = Lives(Whole(Path(folder), api.url, {}, {"endpoints": told, "at_once": at_once}, pace), family, [*told])

        done = any(lives.run(kills[number] if number < len(kills) else None) for number in range(MOST_RUNS))

    assert done
