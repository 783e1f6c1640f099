"""One load: read what is loaded, stage outside the lock, commit inside it.

A table is a function of its kept fetches, its contract and its registry of names and shapes. However a load is
planned (see `ingest_assets.load.plan`), it ends in the table of a rebuild.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

import duckdb

from ingest_assets.errors import ContractBroken, IngestError, StorageFailed
from ingest_assets.load import drift, ledger, tables
from ingest_assets.load.asked import CODE, asked_url
from ingest_assets.load.clashes import NO_CLASHES, clashes
from ingest_assets.load.merge import Account, forget, merge
from ingest_assets.load.nothing import brings_nothing, unstaged
from ingest_assets.load.plan import LOADABLE, WHOLE, Known, Plan, Planner
from ingest_assets.load.staged import Staged, ranked
from ingest_assets.load.sweep import sweep
from ingest_assets.load.tables import Target, in_stage, in_warehouse
from ingest_assets.load.troubles import TooLittleMemory
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.shape import loses
from ingest_assets.raw.snapshots import Snapshot, Snapshots

if TYPE_CHECKING:
    from ingest_assets.load.meanwhile import Meanwhile

__all__ = ["LOADABLE", "Loaded", "Loader"]

_PATIENCE = 3  # after so many loads that were staged in vain, the next one keeps all others out until it is done


@dataclass(frozen=True)
class Loaded:
    """One fetch that was loaded, and what became of its records."""

    fetch: int
    partition: str | None
    account: Account


class _MovedOn(Exception):
    """Another process committed something that this load was staged without."""


class _NeedsRebuild(Exception):
    """A column has to change in a way that only a rebuild gives exactly."""


class _NotTogether(Exception):
    """A partition needs more than its own fetches, or rows of it may be lost."""


@dataclass(frozen=True)
class Loader:
    """Loads the stored fetches of one endpoint, but for those `held` back; sends no request.

    `meanwhile` may have made the rows of one of them already.
    """

    warehouse: Warehouse
    snapshots: Snapshots
    work: Work
    run: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    held: frozenset[int] = frozenset()
    meanwhile: "Meanwhile | None" = None

    def load(self, partition: str | None, *, replay: bool = False) -> list[Loaded]:
        """Bring a partition up to date with its stored fetches; the caller holds the partition's lock.

        Loads what is pending; `replay` goes through all kept fetches again, and so does a changed contract. Returns
        what was loaded in fetch order, also of other partitions where the table was rebuilt. StorageFailed where
        rows of the table came from a fetch that is not stored any more and would be lost.
        """
        rebuild, in_vain = False, 0
        while True:
            try:
                with self._alone() if in_vain >= _PATIENCE else contextlib.nullcontext():
                    return self._attempt({partition: replay}, rebuild=rebuild, alone=in_vain >= _PATIENCE)
            except _MovedOn:
                in_vain += 1
            except _NeedsRebuild:
                rebuild = True
            except TooLittleMemory:
                if not self.warehouse.more_memory():
                    raise

    def load_together(
        self, partitions: Mapping[str | None, bool]
    ) -> Iterator[tuple[str | None, list[Loaded] | IngestError]]:
        """What `load` gives for each of these partitions, or its error; those that are to be replayed are true.

        In one transaction where that goes well for all of them, else each by itself, so that none takes another one
        with it. The caller holds all their locks.
        """
        try:
            loads = self._attempt(partitions, rebuild=False, alone=False) if len(partitions) > 1 else None
        except (_MovedOn, _NeedsRebuild, _NotTogether, IngestError):
            loads = None
        if loads is not None:
            yield from ((partition, [one for one in loads if one.partition == partition]) for partition in partitions)
            return
        done = set[str | None]()  # by a rebuild that another partition needed
        for partition, replay in partitions.items():
            try:
                found = self.load(partition, replay=replay and partition not in done)
            except IngestError as error:
                yield partition, error
                continue
            done |= {load.partition for load in found}
            yield partition, found

    def kept(self, partition: str | None) -> list[Snapshot]:
        """The stored fetches of a partition that count, in order; of a replaced table, the newest whole one."""
        return self._planner.kept(partition)

    @property
    def _planner(self) -> Planner:
        return Planner(self.snapshots, self.work, self.held)

    @property
    def _label(self) -> str:
        return f"{self.work.source}.{self.work.endpoint}"

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        return self.warehouse.alone(f"run {self.run}, loading {self._label}")

    @contextlib.contextmanager
    def _transaction(self, connection: duckdb.DuckDBPyConnection, *, alone: bool) -> Iterator[None]:
        with contextlib.nullcontext() if alone else self._alone(), self.warehouse.transaction(connection):
            yield

    def _attempt(self, partitions: Mapping[str | None, bool], *, rebuild: bool, alone: bool) -> list[Loaded]:
        """Read what is loaded, stage outside the lock, commit inside it; `alone` where the lock is held already.

        Those of the partitions that are true are replayed.
        """
        began = time.monotonic()
        with self.warehouse.connection() as connection:
            with self._transaction(connection, alone=alone):
                known = self._known(connection)
            plan = self._plan(known, partitions, rebuild=rebuild)
            if not plan.snapshots and not plan.undone:
                return []
            if brings_nothing(self.work, known, plan):
                return self._noted(connection, known, plan, began, alone=alone)
            from ingest_assets.load.stage import stage

            with self.warehouse.stage(connection, plan.stored_bytes), contextlib.ExitStack() as files:
                before = Registry.empty() if plan.undone else known.registry
                unranked, registry = stage(
                    connection, self.work, plan.snapshots, before, self.warehouse.staging, files, self.meanwhile
                )
                staged = ranked(connection, unranked, self.work.contract, empty=plan.rebuild or not known.loaded)
                if known.loaded and not plan.rebuild and loses(known.registry.shape, registry.shape):
                    raise _NeedsRebuild
                changed = self._changed(connection, known, staged)
                built = self._build(connection, staged) if plan.rebuild else []

                def commit() -> list[Account]:
                    with self._transaction(connection, alone=alone):
                        self._check_same(connection, known, plan)
                        self._refuse_lost(connection, known, plan, staged)
                        if plan.rebuild:
                            self._swap(connection, known, staged)
                        accounts = built if plan.rebuild else self._add(connection, known, plan, staged, registry)
                        self._record(connection, known, registry, plan, staged, accounts, time.monotonic() - began)
                        self._note_drift(connection, known, staged, changed)
                    return accounts

                accounts = self._with_enough_memory(connection, commit)
        return [Loaded(one.fetch, one.partition, account) for one, account in zip(staged, accounts, strict=True)]

    def _noted(
        self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan, began: float, *, alone: bool
    ) -> list[Loaded]:
        """The accounts of fetches that brought no record."""
        staged, accounts = [unstaged(snapshot) for snapshot in plan.snapshots], [Account(0)] * len(plan.snapshots)
        with self._transaction(connection, alone=alone):
            self._check_same(connection, known, plan)
            self._record(connection, known, known.registry, plan, staged, accounts, time.monotonic() - began)
        return [Loaded(one.fetch, one.partition, account) for one, account in zip(staged, accounts, strict=True)]

    def _plan(self, known: Known, partitions: Mapping[str | None, bool], *, rebuild: bool) -> Plan:
        plans = [self._planner.plan(known, key, replay=replay, rebuild=rebuild) for key, replay in partitions.items()]
        for plan in plans:
            self._refuse_replaced(plan)
        if len(plans) > 1 and any(plan.rebuild or plan.missing for plan in plans):
            raise _NotTogether
        return reduce(Plan.beside, plans)

    def _with_enough_memory(
        self, connection: duckdb.DuckDBPyConnection, commit: Callable[[], list[Account]]
    ) -> list[Account]:
        """What a transaction gives; tried again with more memory where it needs that: what is staged stays."""
        while True:
            try:
                return commit()
            except TooLittleMemory:
                if not (self.warehouse.works(connection) and self.warehouse.more_memory()):
                    raise

    def _known(self, connection: duckdb.DuckDBPyConnection) -> Known:
        row = ledger.registry(connection, self.work.source, self.work.endpoint)
        fetches = tuple(ledger.fetches(connection, self.work.source, self.work.endpoint))
        if row is None:
            # Names that were settled once stay, also where the warehouse that knew them is lost.
            noted = self.snapshots.notes.registry(self.work.source, self.work.endpoint)
            return Known(0, None, Registry.from_json(noted) if noted else Registry.empty(), fetches)
        version, layout, text = row
        return Known(version, layout, Registry.from_json(text), fetches)

    def _changed(
        self, connection: duckdb.DuckDBPyConnection, known: Known, staged: Sequence[Staged]
    ) -> list[drift.Change]:
        """What these fetches brought that the tables did not know; ContractBroken where the contract freezes that."""
        if not known.loaded or not staged:
            return []
        contract, before = self.work.contract, known.registry.tables(self.work.endpoint, self.work.contract)
        found = drift.sampled(connection, drift.changes(before, staged[0].specs, contract), staged)
        drift.refuse(self._label, found)
        return found

    def _note_drift(
        self,
        connection: duckdb.DuckDBPyConnection,
        known: Known,
        staged: Sequence[Staged],
        changed: Sequence[drift.Change],
    ) -> None:
        """Drift is an event, with the version of names and shapes that came of it."""
        key, loaded = (self.work.source, self.work.endpoint), {fetch.fetch for fetch in known.loaded}
        new = [one for one in staged if one.fetch not in loaded]
        more = [change for one in new for change in drift.new_values(connection, one, self.work.contract)]
        if known.loaded:
            more += [change for one in new for change in drift.vanished(connection, one, *key)]
        if changed or more:
            drift.note(connection, key, known.version + bool(changed), [*changed, *more], self.now())
            self.snapshots.notes.note_drift(*key, drift.events(connection, key))

    def _refuse_replaced(self, plan: Plan) -> None:
        """Refuse to go back to an older fetch of a partition, or to nothing, where the newest is not stored."""
        replaced = self.work.contract.replaces or not plan.snapshots
        if replaced and plan.given_up is not None:
            raise self._lost(plan.given_up)

    def _refuse_lost(
        self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan, staged: Sequence[Staged]
    ) -> None:
        """Refuse to take out versions whose stored pages are gone, unless a later fetch brought them again."""
        if self.work.contract.replaces or not plan.missing:
            return
        target = in_warehouse(self.work.source, self.work.endpoint)
        # Of a key that keeps one version, a later fetch may have brought it again; any other row is of its own fetch.
        again = staged if self.work.contract.write == "merge" else ()
        none = "SELECT NULL::UUID AS _hash, 0 AS _fetch WHERE false"
        brought = " UNION ALL ".join(
            [none, *(f"SELECT _hash, {one.fetch} AS _fetch FROM {one.ranked}" for one in again)]
        )
        missing = [fetch.fetch for fetch in plan.missing]
        for table in tables.citing(connection, target, known.registry.names.values()):
            row = connection.execute(
                f"SELECT min(t._fetch) FROM {table} AS t WHERE list_contains(?, t._fetch) AND NOT EXISTS "
                f"(SELECT 1 FROM ({brought}) AS b WHERE b._hash = t._hash AND b._fetch > t._fetch)",
                [missing],
            ).fetchone()
            if row and row[0] is not None:
                raise self._lost(row[0])

    def _lost(self, fetch: int) -> StorageFailed:
        return StorageFailed(
            f"{self._label}: the stored pages of fetch {fetch} are missing, and rows of the table came from them; the "
            "table is left as it is. Restore the folder from a backup, or fetch the partition again"
        )

    def _check_same(self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan) -> None:
        """Staged rows are good for the registry and the loads that they were staged with, and for no others."""
        loads = ledger.loads(connection, self.work.source, self.work.endpoint)
        before = [(fetch.fetch, fetch.partition, fetch.loaded) for fetch in known.loaded]
        if not plan.rebuild:
            loads, before = ([load for load in some if load[1] in plan.partitions] for some in (loads, before))
        version = ledger.version(connection, self.work.source, self.work.endpoint)
        if version != (known.version, known.layout) or loads != before:
            raise _MovedOn

    def _build(self, connection: duckdb.DuckDBPyConnection, staged: Sequence[Staged]) -> list[Account]:
        """The tables anew, beside the staged rows."""
        target = in_stage(connection)
        if staged:
            tables.create(connection, target, staged[0].specs, self.work.contract)
        return [self._merged(connection, target, one, (), staged) for one in staged]

    def _swap(self, connection: duckdb.DuckDBPyConnection, known: Known, staged: Sequence[Staged]) -> None:
        """The tables that were built anew in place of the former ones."""
        built, target = in_stage(connection), in_warehouse(self.work.source, self.work.endpoint)
        names, former = [spec.name for one in staged[:1] for spec in one.specs], list(known.registry.names.values())
        there = tables.present(connection, target, [*names, *former])
        tables.refuse_foreign(target, there, former)
        for name in there:
            connection.execute(f"DROP TABLE {target.table(name)}")
        for name in (target.versions, target.ends):
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        tables.make_schema(connection, target)
        for name in names:
            connection.execute(f"CREATE TABLE {target.table(name)} AS FROM {built.table(name)}")
        for mine, theirs in tables.beside(target, built, self.work.contract) if names else ():
            connection.execute(f"CREATE TABLE {mine} AS FROM {theirs}")

    def _add(
        self,
        connection: duckdb.DuckDBPyConnection,
        known: Known,
        plan: Plan,
        staged: Sequence[Staged],
        registry: Registry,
    ) -> list[Account]:
        """The staged rows on top of what is there."""
        target, contract, specs = (
            in_warehouse(self.work.source, self.work.endpoint),
            self.work.contract,
            staged[0].specs,
        )
        # Tables are committed with the registry and the layout that they were made for.
        same = known.loaded and (registry, contract.layout) == (known.registry, known.layout)
        if not same and not tables.adapt(connection, target, specs, contract, known.registry.names.values()):
            raise _NeedsRebuild
        if plan.forget:
            forget(connection, target, specs, contract, plan.forget)
        former = {key: [fetch.fetch for fetch in known.loaded_of(key)] for key in plan.partitions}
        return [self._merged(connection, target, one, former[one.partition], staged) for one in staged]

    def _merged(
        self,
        connection: duckdb.DuckDBPyConnection,
        target: Target,
        staged: Staged,
        replaced: Sequence[int],
        together: Sequence[Staged],
    ) -> Account:
        """Merge a fetch on top of those of its partition that are loaded, or `together` with it and older."""
        before = [one.fetch for one in together if one.partition == staged.partition and one.fetch < staged.fetch]
        swept = sweep(self.work, self.snapshots, staged, [*replaced, *before])
        account = merge(connection, staged, self.work.contract, target, replaced, swept)
        if not account.adds_up:
            raise ContractBroken(f"fetch {staged.fetch}: its account does not add up: {account}; nothing is written")
        return account

    def _record(
        self,
        connection: duckdb.DuckDBPyConnection,
        known: Known,
        registry: Registry,
        plan: Plan,
        staged: Sequence[Staged],
        accounts: Sequence[Account],
        seconds: float,
    ) -> None:
        """What these fetches became, with names and shapes, in the same transaction."""
        layout = self.work.contract.layout
        if (registry, layout) != (known.registry, known.layout):
            key = (self.work.source, self.work.endpoint)
            ledger.register(connection, key, known.version + 1, layout, registry.to_json())
            if known.version == 0:  # a warehouse that is new, or built again after it was lost
                drift.bring_back(connection, key, self.snapshots.notes.drift(*key))
        ledger.undone(connection, plan.undone, self.now())
        self.snapshots.notes.note_registry(self.work.source, self.work.endpoint, registry.to_json())
        for snapshot, one, account in zip(plan.snapshots, staged, accounts, strict=True):
            self._record_one(connection, snapshot, one, account, seconds / len(staged))

    def _record_one(
        self,
        connection: duckdb.DuckDBPyConnection,
        snapshot: Snapshot,
        staged: Staged,
        account: Account,
        seconds: float,
    ) -> None:
        """The fetch's account, and its quarantine in place of that of an earlier load."""
        told = {"loaded": self.now(), "loaded_run": self.run, "contract": self.work.contract.version}
        told |= clashes(connection, staged, self.work.model) if account.duplicates else NO_CLASHES
        told |= {"url": asked_url(snapshot, self.work.model), "code": CODE}
        told |= {"load_seconds": seconds, "filled": _filled(staged), **asdict(account)}
        ledger.ended(connection, snapshot.manifest, **told)
        key, end = (self.work.source, self.work.endpoint, staged.partition), snapshot.manifest.ended
        aside = staged.table("_quarantine") if staged.quarantined else None
        ledger.quarantine(connection, staged.fetch, key, aside)
        # A listing or a window that was read again to its end has told all its records anew; a feed has not.
        if self.work.model.feed is None and end is not None and end.verdict in WHOLE:
            ledger.close_quarantine(connection, staged.fetch, key)


def _filled(staged: Staged) -> str:
    """How many values each column has, as the same text whether or not the columns were known before."""
    return json.dumps({name: count for name, count in staged.counts.items() if count}, sort_keys=True)
