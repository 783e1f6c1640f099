"""One fault against one endpoint: what a walk makes of it, and whether the promise was kept.

kept      all records came, each once
refused   nothing counts as done, and the message says why; without the fault the next walk brings all
unseen    records are missing, and nothing in the source file could have shown it: what to name is said
broken    the promise is broken, in the source file or in the project
"""

import itertools
import json
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from ingest_assets.chaos.api import Api
from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.echo import found_in
from ingest_assets.chaos.faults.fault import Fault, no_fault
from ingest_assets.chaos.gate import Gate
from ingest_assets.chaos.made import identity
from ingest_assets.errors import IngestError
from ingest_assets.extract.pull import Puller
from ingest_assets.extract.request import Walk
from ingest_assets.http.client import Client
from ingest_assets.http.secrets import Secrets
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Snapshot, Snapshots

Verdict = Literal["kept", "refused", "unseen", "broken"]
_ADVICE_OF_BROKEN = "look at what the endpoint says of it; where the file is right, this is a mistake of ingest_assets"


@dataclass(frozen=True)
class Tried:
    """What came of a trial: the verdict, what happened, and what to do, where there is something to do."""

    endpoint: str
    fault: str
    says: str
    verdict: Verdict
    happened: str
    todo: str = ""
    requests: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the promise was kept, as far as the source file lets it be kept."""
        return self.verdict != "broken"


@dataclass
class Bench:
    """Where trials of one endpoint are made: its API on loopback, one client, and a folder that each begins empty.

    `strays` are requests that came to another origin, `lines` is what was logged and raised. `walk` is what is
    asked for, where that is not what the case says.
    """

    api: Api
    client: Client
    folder: Path
    gate: Gate
    secrets: Secrets
    strays: list[Asked]
    lines: list[str]
    fresh: Callable[[], None] = lambda: None
    walk: Walk | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, fault: Fault) -> Tried:
        """One trial."""
        began = time.monotonic()
        self.begin(fault)
        snapshots = Snapshots(self.folder / f"{next(self._numbers)}" / "raw", now=lambda: self.api.case.now)
        verdict, happened, todo = self._judged(fault, snapshots)
        if leaks := self.leaks(snapshots, happened, {}):
            verdict, happened, todo = "broken", f"a secret stands in {', '.join(leaks)}", _ADVICE_OF_BROKEN
        shutil.rmtree(snapshots.folder.parent, ignore_errors=True)
        seconds = time.monotonic() - began
        label, asked = self.api.case.label, len(self.api.asked)
        return Tried(label, fault.name, fault.says, verdict, happened, todo, asked, seconds)

    def begin(self, fault: Fault | None = None) -> None:
        """Forget what was; answer with a fault from now on, or without one."""
        self.fresh()
        self.api.begin(fault or no_fault())
        self.strays.clear()
        self.lines.clear()

    def fits(self, fault: Fault, pages: int) -> bool:
        """Whether a fault can happen to this endpoint."""
        return fault.fits(self.api.case.endpoint, pages) and (self.gate.renews or not fault.needs_renewal)

    def pages(self) -> int:
        """How many pages the first chain of a walk without a fault has; raises what that raises."""
        return max((len(chain.pages) for chain in self.api.chains()), default=1)

    def _judged(self, fault: Fault, snapshots: Snapshots) -> tuple[Verdict, str, str]:
        outcome = self._walked(snapshots)
        if isinstance(outcome, Exception) and not isinstance(outcome, IngestError):
            return "broken", f"{type(outcome).__name__}: not one of our errors", _ADVICE_OF_BROKEN
        if self.api.complaints:
            return "broken", f"it asked what the file does not say: {self.api.complaints[0]}", _ADVICE_OF_BROKEN
        if wrong := fault.check(self.api.asked):
            return "broken", wrong, _ADVICE_OF_BROKEN
        if isinstance(outcome, Snapshot) and outcome.manifest.ended and outcome.manifest.ended.verdict == "complete":
            return self._complete(fault, outcome)
        why = (
            str(outcome)
            if isinstance(outcome, Exception)
            else str(outcome.manifest.ended and outcome.manifest.ended.reason)
        )
        if fault.harmless:
            return "broken", why, _ADVICE_OF_BROKEN
        if not any(
            place in why
            for place in (self.api.case.label, self.api.url, self.api.elsewhere, self.api.storage or self.api.url)
        ):
            return "broken", f"the message does not say where: {why}", _ADVICE_OF_BROKEN
        return self._mended(why, snapshots)

    def _complete(self, fault: Fault, snapshot: Snapshot) -> tuple[Verdict, str, str]:
        """What a walk is worth that calls itself complete."""
        expected = Counter(record.identity for record in self.api.expected)
        came = self._came(snapshot)
        lost, alien = [*(expected - came)], [*(came - expected)]
        alien = [one for one in alien if one not in expected or not self.api.case.endpoint.primary_key]
        if not lost and not alien:
            ended = snapshot.manifest.ended
            return "kept", f"{len(expected)} records, {ended.reason if ended else ''}", ""
        told = (
            f"complete, and {len(lost)} of {len(expected)} records are missing"
            if lost
            else f"{len(alien)} records too many"
        )
        if lost and not fault.seen(self.api.case.endpoint):
            return "unseen", told, fault.advice
        return "broken", told, fault.advice or _ADVICE_OF_BROKEN

    def _mended(self, why: str, snapshots: Snapshots) -> tuple[Verdict, str, str]:
        """What the next walk brings, once the fault is over."""
        self.api.mend()
        self.fresh()
        outcome = self._walked(snapshots)
        if isinstance(outcome, Exception):
            return "broken", f"after the fault was over: {outcome}", _ADVICE_OF_BROKEN
        verdict, happened, todo = self._complete(self.api.fault, outcome)
        if verdict != "kept":
            return "broken", f"after the fault was over: {happened}", todo
        return "refused", why, ""

    def _walked(self, snapshots: Snapshots) -> Snapshot | Exception:
        """The fetch, or what it raised."""
        case = self.api.case
        puller = Puller(
            self.client, snapshots, lambda _: (snapshots.last_number() + 1, case.now), "test", now=self._now
        )
        try:
            return puller.fetch(self.walk or case.walk)
        except Exception as error:  # noqa: BLE001 -- whatever comes is what the trial is about
            self.lines += ["".join(traceback.format_exception(error))]
            return error

    def _now(self) -> datetime:
        return self.api.case.now + self.api.passed

    def _came(self, snapshot: Snapshot) -> Counter[tuple[str, ...]]:
        endpoint, found = self.api.case.endpoint, Counter[tuple[str, ...]]()
        stored = StoredRecords(snapshot, endpoint.decoder, endpoint.records)
        for entry in stored.pages():
            given = {
                name: value
                for name, column in endpoint.columns.items()
                if column.from_parent and (value := entry.note.get("parent", {}).get(column.from_parent))
            }
            for block in stored.blocks(entry):
                found.update(
                    identity(endpoint, json.loads(bytes(text).decode(errors="replace")), given)
                    for text in block.records()
                )
        return found

    def leaks(self, snapshots: Snapshots, happened: str, tables: Mapping[str, bytes]) -> list[str]:
        """Where a secret stands, in any encoding: what was stored, logged, raised, told, or sent to another origin."""
        outputs = {**tables, "a message": happened.encode(), "a log or traceback": "\n".join(self.lines).encode()}
        for file in snapshots.folder.rglob("*"):
            if file.is_file():
                outputs[f"{file.name}, which is stored"] = file.read_bytes()
        for stored in snapshots.fetches(self.api.case.source.name, self.api.case.name):
            for entry in stored.pages:
                with stored.body(entry) as body:
                    outputs["a stored page"] = outputs.get("a stored page", b"") + body.read()
        outputs["a request to another origin"] = "\n".join(map(repr, self.strays)).encode()
        return found_in(self.gate.known, outputs)
