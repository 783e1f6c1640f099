"""Promise 1 again, as a machine of states: whatever is done, in any order, by several processes, some killed at it.

Each step is done by processes of their own: fetches that bring late, double, wider and unfit records, loads, replays,
publishing, pruning, undoing; at times two at once. What they leave equals a rebuild, and what the rules say.
"""

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ingest_assets.source import Endpoint
from ingest_assets_tests.load import rules
from ingest_assets_tests.load.conftest import Lab, rebuild
from ingest_assets_tests.load.rules import MODES
from ingest_assets_tests.load.victims import Victims, victims

LONG = bool(os.environ.get("INGEST_LONG"))
_EXAMPLES, _STEPS = (12, 14) if LONG else (4, 8)
_SLOWEST_KILL = 0.5
# Tables are built anew in the one wherever a replay is asked for, and tombstones outlive their rows; in the other a
# partition is replayed by itself, and the newest fetch takes the place of the others.
_SHORT = ("by newest_by", "replaced partitions")

MOMENTS = st.one_of(st.none(), st.none(), st.floats(0, _SLOWEST_KILL))
WHAT = st.sampled_from(["load", "load", "replay", "publish", "prune"])


class Sequence(RuleBasedStateMachine):
    """Steps on the data folder of one endpoint."""

    mode: str
    victims: Victims
    killed: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.model = {"path": "/things", **MODES[self.mode]}
        self.things = Lab(Path(self._folder.name), Endpoint(**self.model))
        self.fetches: list[tuple[int, str | None, list[list[Any]], str]] = []
        self.begun: dict[str | None, int] = {}
        self.number = 0
        self.is_pruned = False

    @initialize(data=st.data())
    def first(self, data: st.DataObject) -> None:
        """Something is there to begin with."""
        partition = rules.partitions(self.mode)[0]
        self._store(partition, data.draw(rules.pages(self.mode, partition)), "complete", None)

    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """A fetch gets its number, and comes to its end later than others."""
        partition = data.draw(st.sampled_from(rules.partitions(self.mode)))
        if partition not in self.begun:
            self.number += 1
            self.begun[partition] = self.number

    @rule(data=st.data(), killed=MOMENTS)
    def fetch(self, data: st.DataObject, killed: float | None) -> None:
        """A fetch is stored, or its process dies."""
        partition = data.draw(st.sampled_from(rules.partitions(self.mode)))
        pages = data.draw(rules.pages(self.mode, partition))
        self._store(partition, pages, data.draw(st.sampled_from(rules.VERDICTS)), killed)

    @rule(data=st.data(), what=WHAT, killed=MOMENTS)
    def one(self, data: st.DataObject, what: str, killed: float | None) -> None:
        """A process does something, or dies at it."""
        self._work([(what, data.draw(st.sampled_from(rules.partitions(self.mode))), killed)])

    @rule(data=st.data(), first=WHAT, second=WHAT, killed=MOMENTS)
    def two(self, data: st.DataObject, first: str, second: str, killed: float | None) -> None:
        """Two processes at once, of which one may die."""
        partitions = st.sampled_from(rules.partitions(self.mode))
        self._work([(first, data.draw(partitions), killed), (second, data.draw(partitions), None)])

    @precondition(lambda self: self.fetches and not self.is_pruned)
    @rule(data=st.data(), killed=MOMENTS)
    def undo(self, data: st.DataObject, killed: float | None) -> None:
        """A fetch is given up, or its process dies at it: then it may count or not."""
        number, partition, *_ = data.draw(st.sampled_from(self.fetches))
        self._work([("undo", partition, killed)], {"which": number})
        given_up = {snapshot.fetch for snapshot in self.things.snapshots.of("shop", "things", partition).given_up}
        self.fetches = [fetch for fetch in self.fetches if fetch[0] not in given_up]

    @precondition(lambda self: self.fetches)
    @invariant()
    def the_account_adds_up(self) -> None:
        """Of each fetch that is loaded."""
        for account in self.things.accounts().values():
            assert account.pop("received", 0) == sum(account.values())

    def teardown(self) -> None:
        """After a quiet end."""
        try:
            self._work([("load", partition, None) for partition in rules.partitions(self.mode)])
            self._check()
        finally:
            self._folder.cleanup()

    def _check(self) -> None:
        merged = self.model.get("write") not in ("replace", "replace_partition")
        # What only pruned fetches had taught of names and shapes is noted beside the others.
        known = bool(self.things.accounts()) and (self.is_pruned or not merged)
        fresh = rebuild(self.things, with_registry=known)
        assert self.things.contents() == fresh.contents()
        rules.check_rules(self.things, self.mode, self.fetches)
        rules.check_lineage(self.things, self.fetches)
        if merged and not self.is_pruned:
            assert self.things.quarantined() == fresh.quarantined()

    def _store(self, partition: str | None, pages: list[list[Any]], verdict: str, killed: float | None) -> None:
        self.number += partition not in self.begun
        number = self.begun.pop(partition, self.number)
        told = {"fetch": number, "pages": pages, "verdict": verdict}
        self._work([("store", partition, killed)], told)
        if any(s.fetch == number and s.manifest.ended for s in self.things.snapshots.fetches("shop", "things")):
            self.fetches = sorted([*self.fetches, (number, partition, pages, verdict)], key=lambda one: one[0])

    def _work(self, jobs: list[tuple[str, str | None, float | None]], told: dict[str, Any] | None = None) -> list[bool]:
        """Whether each of these jobs came to its end."""
        more = {"endpoint": "things", "model": self.model, **(told or {})}
        processes = []
        for what, partition, killed in jobs:
            self.is_pruned |= what == "prune"
            process = self.victims.start({"what": what, "partition": partition, **more}, self.things.data)
            processes.append((process, what, killed))
        ended = []
        for process, what, killed in processes:
            if killed is not None:
                time.sleep(killed)
                os.kill(process, signal.SIGKILL)
            code, mark = self.victims.end(process)
            assert code == 0 or (killed is not None and code == -signal.SIGKILL), mark
            self.killed[what] += code != 0
            ended.append(code == 0)
        return ended


def run(machine: type[Sequence], mode: str, folder: Path, **told: Any) -> None:
    """Any steps of a machine on an endpoint of this mode."""
    killed = Counter[str]()
    with victims(folder) as starting:
        run_state_machine_as_test(
            type("Told", (machine,), {"mode": mode, "victims": starting, "killed": killed, **told}),
            settings=settings(
                max_examples=_EXAMPLES,
                stateful_step_count=_STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
    print(f"{mode}: killed {dict(killed)}")


@pytest.mark.parametrize("mode", MODES if LONG else _SHORT)
def test_any_sequence_of_steps_by_any_processes_ends_in_the_tables_of_a_rebuild(mode: str, tmp_path: Path) -> None:
    run(Sequence, mode, tmp_path)
