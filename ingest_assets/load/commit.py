"""The commit of a load: staged rows become rows of the tables, with an account of each fetch, in one transaction."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb

from ingest_assets.errors import ContractBroken, StorageFailed
from ingest_assets.load import drift, ledger, tables
from ingest_assets.load.asked import CODE, asked_url
from ingest_assets.load.clashes import NO_CLASHES, clashes
from ingest_assets.load.merge import Account, forget, merge
from ingest_assets.load.plan import WHOLE, Known, Plan
from ingest_assets.load.staged import Staged
from ingest_assets.load.sweep import sweep
from ingest_assets.load.tables import Target, in_stage, in_warehouse
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot, Snapshots


class MovedOn(Exception):
    """Another process committed something that this load was staged without."""


class NeedsRebuild(Exception):
    """A column has to change in a way that only a rebuild gives exactly."""


def lost(work: Work, fetch: int) -> StorageFailed:
    """The error for a load that would take out rows whose stored pages are missing."""
    return StorageFailed(
        f"{work.label}: the stored pages of fetch {fetch} are missing, and rows of the table came from them; the "
        "table is left as it is. Restore the folder from a backup, or fetch the partition again"
    )


@dataclass(frozen=True)
class Commit:
    """What was known when a load began, what it is to do, what it staged, and the registry that knows all of that.

    All but `build` runs in the caller's transaction on the warehouse, attached as `w`.
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

    def build(self) -> list[Account]:
        """The tables anew, beside the staged rows; what became of the records of each fetch."""
        target = in_stage(self.connection)
        if self.staged:
            tables.create(self.connection, target, self.staged[0].specs, self.work.contract)
        return [self._merged(target, one, ()) for one in self.staged]

    def check_same(self) -> None:
        """Raise MovedOn where the registry or the loads are others than those that the rows were staged with."""
        loads = ledger.loads(self.connection, *self._key)
        before = [(fetch.fetch, fetch.partition, fetch.loaded) for fetch in self.known.loaded]
        if not self.plan.rebuild:
            loads, before = ([load for load in some if load[1] in self.plan.partitions] for some in (loads, before))
        if ledger.version(self.connection, *self._key) != (self.known.version, self.known.layout) or loads != before:
            raise MovedOn

    def refuse_lost(self) -> None:
        """Refuse to take out versions whose stored pages are gone, unless a later fetch brought them again."""
        if self.work.contract.replaces or not self.plan.missing:
            return
        # Of a key that keeps one version, a later fetch may have brought it again; any other row is of its own fetch.
        again = self.staged if self.work.contract.write == "merge" else ()
        none = "SELECT NULL::UUID AS _hash, 0 AS _fetch WHERE false"
        brought = " UNION ALL ".join(
            [none, *(f"SELECT _hash, {one.fetch} AS _fetch FROM {one.ranked}" for one in again)]
        )
        missing = [fetch.fetch for fetch in self.plan.missing]
        for table in tables.citing(self.connection, in_warehouse(*self._key), self.known.registry.names.values()):
            row = self.connection.execute(
                f"SELECT min(t._fetch) FROM {table} AS t WHERE list_contains(?, t._fetch) AND NOT EXISTS "
                f"(SELECT 1 FROM ({brought}) AS b WHERE b._hash = t._hash AND b._fetch > t._fetch)",
                [missing],
            ).fetchone()
            if row and row[0] is not None:
                raise lost(self.work, row[0])

    def swap(self) -> None:
        """Put the tables that were built anew in place of the former ones."""
        built, target = in_stage(self.connection), in_warehouse(*self._key)
        names = [spec.name for one in self.staged[:1] for spec in one.specs]
        former = list(self.known.registry.names.values())
        there = tables.present(self.connection, target, [*names, *former])
        tables.refuse_foreign(target, there, former)
        for name in there:
            self.connection.execute(f"DROP TABLE {target.table(name)}")
        for name in (target.versions, target.ends):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        tables.make_schema(self.connection, target)
        for name in names:
            self.connection.execute(f"CREATE TABLE {target.table(name)} AS FROM {built.table(name)}")
        for mine, theirs in tables.beside(target, built, self.work.contract) if names else ():
            self.connection.execute(f"CREATE TABLE {mine} AS FROM {theirs}")

    def add(self) -> list[Account]:
        """Put the staged rows on top of what is there; raises NeedsRebuild where a column cannot be changed so."""
        target, contract, specs = in_warehouse(*self._key), self.work.contract, self.staged[0].specs
        known, names = self.known, self.known.registry.names.values()
        # Tables are committed with the registry and the layout that they were made for.
        same = known.loaded and (self.registry, contract.layout) == (known.registry, known.layout)
        if not same and not tables.adapt(self.connection, target, specs, contract, names):
            raise NeedsRebuild
        if self.plan.forget:
            forget(self.connection, target, specs, contract, self.plan.forget)
        return [
            self._merged(target, one, [fetch.fetch for fetch in known.loaded_of(one.partition)]) for one in self.staged
        ]

    def _merged(self, target: Target, staged: Staged, replaced: Sequence[int]) -> Account:
        """Merge a fetch on top of those of its partition that are loaded, and of those staged that are older."""
        before = [one.fetch for one in self.staged if one.partition == staged.partition and one.fetch < staged.fetch]
        swept = sweep(self.work, self.snapshots, staged, [*replaced, *before])
        account = merge(self.connection, staged, self.work.contract, target, replaced, swept)
        if not account.adds_up:
            raise ContractBroken(f"fetch {staged.fetch}: its account does not add up: {account}; nothing is written")
        return account

    def record(self, accounts: Sequence[Account], seconds: float) -> None:
        """Write down what these fetches became, in so many seconds, with names and shapes."""
        layout, text = self.work.contract.layout, self.registry.to_json()
        if (self.registry, layout) != (self.known.registry, self.known.layout):
            ledger.register(self.connection, self._key, self.known.version + 1, layout, text)
            if self.known.version == 0:  # a warehouse that is new, or built again after it was lost
                drift.bring_back(self.connection, self._key, self.snapshots.notes.drift(*self._key))
        ledger.undone(self.connection, self.plan.undone, self.now())
        self.snapshots.notes.note_registry(*self._key, text)
        for snapshot, one, account in zip(self.plan.snapshots, self.staged, accounts, strict=True):
            self._record_one(snapshot, one, account, seconds / len(self.staged))

    def _record_one(self, snapshot: Snapshot, staged: Staged, account: Account, seconds: float) -> None:
        """The fetch's account, and its quarantine in place of that of an earlier load."""
        told = {"loaded": self.now(), "loaded_run": self.run, "contract": self.work.contract.version}
        told |= clashes(self.connection, staged, self.work.model) if account.duplicates else NO_CLASHES
        told |= {"url": asked_url(snapshot, self.work.model), "code": CODE}
        told |= {"load_seconds": seconds, "filled": _filled(staged), **asdict(account)}
        ledger.ended(self.connection, snapshot.manifest, **told)
        key, end = (*self._key, staged.partition), snapshot.manifest.ended
        aside = staged.table("_quarantine") if staged.quarantined else None
        ledger.quarantine(self.connection, staged.fetch, key, aside)
        # A listing or a window that was read again to its end has told all its records anew; a feed has not.
        if self.work.model.feed is None and end is not None and end.verdict in WHOLE:
            ledger.close_quarantine(self.connection, staged.fetch, key)

    def note_drift(self, changed: Sequence[drift.Change]) -> None:
        """Drift is an event, with the version of names and shapes that came of it; `changed` are columns and tables."""
        loaded = {fetch.fetch for fetch in self.known.loaded}
        new = [one for one in self.staged if one.fetch not in loaded]
        more = [change for one in new for change in drift.new_values(self.connection, one, self.work.contract)]
        if self.known.loaded:
            more += [change for one in new for change in drift.vanished(self.connection, one, *self._key)]
        if changed or more:
            version = self.known.version + bool(changed)
            drift.note(self.connection, self._key, version, [*changed, *more], self.now())
            self.snapshots.notes.note_drift(*self._key, drift.events(self.connection, self._key))


def _filled(staged: Staged) -> str:
    """How many values each column has, as the same text whether or not the columns were known before."""
    return json.dumps({name: count for name, count in staged.counts.items() if count}, sort_keys=True)
