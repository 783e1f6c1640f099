"""Promise 1 once more, as a machine of states: beside fetches and loads, what people do to them, and to the contract.

Fetches are undone, refused deletions accepted, records forgotten and let in again, and between two steps the file may
say something else; some processes are killed at it. What all of that leaves equals what is built again from what is
stored and noted.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from pydantic import ValidationError

from ingest_assets.source import Endpoint
from ingest_assets_tests.load import rules
from ingest_assets_tests.load.conftest import build_again
from ingest_assets_tests.load.test_any_sequence import LONG, MOMENTS, WHAT, Sequence, run

_SHORT = ("by newest_by", "replaced partitions")
_SHARES = [mode for mode in rules.MODES if "swept" in mode]
_MODES = {mode: (mode, {}) for mode in rules.MODES}
_MODES |= {f"{mode} to a share": (mode, {"sweep": {"most": 0.4}}) for mode in _SHARES}
_MODES["swept days to a share"] = ("by their order", {"sweep": {"most": 0.4}})
_CLOSED = {"tables": "drop", "columns": "drop"}
_CHANGES: list[dict[str, Any]] = [
    {},
    {"columns": {"v": {"type": "varchar"}}},
    {"columns": {"v": {"type": "json"}}},
    {"columns": {"v": {"type": "double", "unfit": "drop"}}},
    {"columns": {"v": {"type": "bigint", "min": 2}}},
    {"columns": {"renamed": {"type": "json", "path": "v"}}},
    {"columns": {"v__c": {"type": "varchar"}}},
    {"columns": {"late": {"type": "varchar", "required": True}}},
    {"columns": {"late": {"type": "varchar", "default": "none"}}},
    {"columns": {"late": {"type": "varchar", "values": ["new column"]}}, "contract": _CLOSED},
    {"columns": {"lines": {"type": "json"}}},
    {"children": {"lines": {"columns": {"n": {"type": "double"}}}}},
    {"children": {"lines": {"columns": {"n": {"type": "double"}}, "contract": "drop"}}},
    {"contract": _CLOSED},
    {"contract": {"tables": "drop", "columns": "quarantine"}},
    {"deletes": "soft"},
    {"newest_by": "at"},
    {"deleted": None, "sweep": None},
]
_IDS = range(3)
_STEPS = ["accept", "forget", "forget", "lift"]


def _contracts(mode: str, more: dict[str, Any]) -> list[dict[str, Any]]:
    """What the file of an endpoint may say, as models: those that there can be."""
    models = (_changed({**rules.MODES[mode], **more}, change) for change in _CHANGES)
    return [model for model in models if _can_be(model)]


def _changed(model: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    told = {"path": "/things", **model, **change, "columns": {**model["columns"], **change.get("columns", {})}}
    return {name: value for name, value in told.items() if value is not None}


def _can_be(model: dict[str, Any]) -> bool:
    try:
        Endpoint(**model)
    except ValidationError:
        return False
    return True


class Changing(Sequence):
    """Steps on the data folder of one endpoint, by people too."""

    more: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.contracts = _contracts(self.mode, self.more)
        self._take(self.contracts[0])
        self.forgotten = set[int]()
        self.unfinished = set[int]()

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        """The file says something else from now on."""
        self._take(data.draw(st.sampled_from(self.contracts)))

    def _take(self, model: dict[str, Any]) -> None:
        self.model, self.things.model = model, Endpoint(**model)

    @rule(what=st.sampled_from(_STEPS), which=st.sampled_from(_IDS), killed=MOMENTS)
    def person(self, what: str, which: int, killed: float | None) -> None:
        """Somebody accepts deletions, forgets a record or lets it in again; or their process dies."""
        self._by_person(what, which, killed)

    @rule(what=st.sampled_from(_STEPS), which=st.sampled_from(_IDS), meanwhile=WHAT, killed=MOMENTS)
    def person_meanwhile(self, what: str, which: int, meanwhile: str, killed: float | None) -> None:
        """The same while another process is at work."""
        self._by_person(what, which, killed, meanwhile)

    def _by_person(self, what: str, which: int, killed: float | None, meanwhile: str | None = None) -> None:
        if what == "forget":
            self.forgotten.add(which)
        jobs = [(what, None, killed)]
        if meanwhile is not None:
            jobs.append((meanwhile, rules.partitions(self.mode)[0], None))
        whole = self._work(jobs, {"which": which})
        if what == "lift" and whole[0]:
            self.forgotten.discard(which)
        if what == "forget":
            (self.unfinished.discard if whole[0] else self.unfinished.add)(which)

    def _store(self, partition: str | None, pages: list[list[Any]], verdict: str, killed: float | None) -> None:
        # A column that is required has a value somewhere, else it is the fetch that is refused.
        whole = {"id": 20 + rules.partitions(self.mode).index(partition), "at": 1, "late": "new column"}
        kept = [[record for record in page if record["id"] not in self.forgotten] for page in pages]
        super()._store(partition, [[*kept[0], whole], *kept[1:]], verdict, killed)

    def teardown(self) -> None:
        """After a quiet end, at which what was not finished is done."""
        for which in sorted(self.unfinished):
            self._work([("forget", None, None)], {"which": which})
        super().teardown()

    def _check(self) -> None:
        assert self.things.contents() == build_again(self.things).contents()
        rules.check_lineage(self.things, self.fetches)


@pytest.mark.parametrize("mode", _MODES if LONG else _SHORT)
def test_whatever_people_do_and_the_file_says_meanwhile_ends_in_what_is_built_again(mode: str, tmp_path: Path) -> None:
    like, more = _MODES[mode]
    run(Changing, like, tmp_path, more=more)
