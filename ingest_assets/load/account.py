"""What became of the records of a fetch, and how a load writes that down, with names and shapes."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import duckdb
from msgspec import Struct
from msgspec.structs import asdict, replace

from ingest_assets.load import ledger
from ingest_assets.load.asked import CODE, asked_url
from ingest_assets.load.plan import WHOLE, Known, NeedsRebuild, Plan, current
from ingest_assets.load.staged import Staged
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.shape import loses
from ingest_assets.raw.snapshots import Snapshot, Snapshots

NO_CLASHES: Mapping[str, Any] = {"clashing": 0, "clash": None}
"""What a fetch says that has no two different records of one key, as columns of `_ingest.fetches`."""


class Account(Struct, frozen=True):
    """What became of the records of one fetch; `removed` and `child_rows` count rows, `dropped` values.

    `emptied` counts lists of rows that were there before, of tables where nothing else tells that they are empty;
    `spared` rows that a complete fetch did not bring, and that were too many to be deleted unasked; `crossing` records
    in the place of another one that came in another partition, where only the order of fetches says which is newer.
    """

    received: int
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    outdated: int = 0
    deleted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    filtered: int = 0
    removed: int = 0
    child_rows: int = 0
    dropped: int = 0
    emptied: int = 0
    spared: int = 0
    crossing: int = 0

    @property
    def adds_up(self) -> bool:
        """Promise 3: every record has one fate."""
        parts = (self.inserted, self.updated, self.unchanged, self.outdated, self.deleted)
        return self.received == sum(parts) + self.quarantined + self.duplicates + self.filtered


class MovedOn(Exception):
    """Another process committed something that this load was staged without."""


class Accounting(Struct, frozen=True):
    """What was known when a load began, what it is to do, what it staged, and the registry that knows all of that.

    All runs in the caller's transaction on the warehouse, attached as `w`.
    """

    connection: duckdb.DuckDBPyConnection
    snapshots: Snapshots
    work: Work
    run: str
    now: Callable[[], datetime]
    known: Known
    plan: Plan
    staged: Sequence[Staged]
    registry: Registry

    @property
    def _key(self) -> tuple[str, str]:
        return self.work.source, self.work.endpoint

    def caught_up(self) -> Self:
        """The same on top of what is committed by now; MovedOn where it has to be planned or staged anew for that."""
        loads, before = ledger.loads(self.connection, *self._key), self.known.loaded
        if not self.plan.rebuild:
            mine = self.plan.partitions
            loads, before = (tuple(load for load in some if load.partition in mine) for some in (loads, before))
        version, layout = ledger.version(self.connection, *self._key)
        if loads != before:
            raise MovedOn
        if (version, layout) == (self.known.version, self.known.layout):
            return self
        if self.plan.rebuild or layout != self.work.contract.layout:
            raise MovedOn
        now = current(self.connection, self.snapshots, self.work)
        if now.registry.joined(self.known.registry) != now.registry:
            raise MovedOn  # a fetch was undone meanwhile: what only that one taught is forgotten
        registry = now.registry.joined(self.registry).settled(self.work.endpoint, self.work.contract)
        if loses(now.registry.shape, registry.shape):
            raise NeedsRebuild
        return replace(self, known=now, registry=registry, staged=self._under(registry))

    def _under(self, registry: Registry) -> Sequence[Staged]:  # noqa: ARG002 -- what has rows is another one under it
        """What is staged, under a wider registry; a fetch without records is the same under each."""
        return self.staged

    def record(self, accounts: Sequence[Account], seconds: float) -> None:
        """Write down what these fetches became, in so many seconds, with names and shapes."""
        layout, text = self.work.contract.layout, self.registry.to_json()
        if (self.registry, layout) != (self.known.registry, self.known.layout):
            ledger.register(self.connection, self._key, self.known.version + 1, layout, text)
            if self.known.version == 0:  # a warehouse that is new, or built again after it was lost
                from ingest_assets.load import drift

                drift.bring_back(self.connection, self._key, self.snapshots.notes.drift(*self._key))
        ledger.undone(self.connection, self.plan.undone, self.now())
        ledger.unloaded(self.connection, self.plan.again)
        self.snapshots.notes.note_registry(*self._key, text)
        loads = list(zip(self.plan.snapshots, self.staged, accounts, strict=True))
        each = seconds / max(len(loads), 1)
        ledger.all_ended(self.connection, [(load[0].manifest, self._columns(*load, each)) for load in loads])
        if any(one.quarantined for one in self.staged) or ledger.has_quarantine(self.connection, *self._key):
            for snapshot, one in zip(self.plan.snapshots, self.staged, strict=True):
                self._quarantine(snapshot, one)

    def _columns(self, snapshot: Snapshot, staged: Staged, account: Account, seconds: float) -> dict[str, Any]:
        """What the ledger is told of a fetch that was loaded."""
        told: dict[str, Any] = {"loaded": self.now(), "loaded_run": self.run, "contract": self.work.contract.version}
        told |= self._clashes(staged) if account.duplicates else NO_CLASHES
        told |= {"url": asked_url(snapshot, self.work.model), "code": CODE}
        return told | {"load_seconds": seconds, "filled": _filled(staged), **asdict(account)}

    def _quarantine(self, snapshot: Snapshot, staged: Staged) -> None:
        """A fetch's quarantine in place of that of an earlier load, and of what earlier fetches left open."""
        key, end = (*self._key, staged.partition), snapshot.manifest.ended
        aside = staged.table("_quarantine") if staged.quarantined else None
        ledger.quarantine(self.connection, staged.fetch, key, aside)
        # A listing or a window that was read again to its end has told all its records anew; a feed has not.
        if self.work.model.feed is None and end is not None and end.verdict in WHOLE:
            ledger.close_quarantine(self.connection, staged.fetch, key)

    def _clashes(self, staged: Staged) -> Mapping[str, Any]:
        from ingest_assets.load.clashes import clashes

        return clashes(self.connection, staged, self.work.model)


def _filled(staged: Staged) -> str:
    """How many values each column has, as the same text whether or not the columns were known before."""
    return json.dumps({name: count for name, count in staged.counts.items() if count}, sort_keys=True)
