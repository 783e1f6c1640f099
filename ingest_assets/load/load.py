"""The order of loads: what is pending, what a replay goes through, and when a table is built anew.

A table is a function of its kept fetches, its contract and its registry of names and shapes. There are three
ways to bring it up to date, and all of them end in the same table:

    pending   the fetches of a partition that are not loaded yet, in their order, on top of what is there
    replay    all kept fetches of a partition, after its rows were taken out
    rebuild   all kept fetches of the endpoint into new tables, which then take the place of the old ones

A replay is enough where a key lives in one partition and no column changes its type; else it is a rebuild.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import duckdb

from ingest_assets.errors import ContractBroken, StorageFailed
from ingest_assets.load import ledger
from ingest_assets.load.merge import Account, Staged, forget, merge
from ingest_assets.load.stage import Work, stage
from ingest_assets.load.tables import Target, cited, drop, in_warehouse, needs_rebuild, prepare
from ingest_assets.load.warehouse import Warehouse, quoted
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshot, Snapshots

LOADABLE = ("complete", "incomplete")
_BUILD = Target("stage", "build", 'stage.build."the versions"')


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


@dataclass(frozen=True)
class _Known:
    """What the warehouse says of an endpoint at one moment."""

    version: int
    layout: str | None
    registry: Registry
    fetches: tuple[ledger.Fetch, ...]

    @property
    def loads(self) -> list[tuple[int, datetime]]:
        return [(fetch.fetch, fetch.loaded) for fetch in self.fetches if fetch.loaded]

    def loaded_of(self, partition: str | None) -> list[ledger.Fetch]:
        return [fetch for fetch in self.fetches if fetch.loaded and fetch.partition == partition]


@dataclass(frozen=True)
class _Plan:
    snapshots: tuple[Snapshot, ...]
    forget: tuple[int, ...] = ()
    rebuild: bool = False


@dataclass(frozen=True)
class Loader:
    """Loads the stored fetches of one endpoint; sends no request."""

    warehouse: Warehouse
    snapshots: Snapshots
    work: Work
    run: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def load(self, partition: str | None, *, replay: bool = False) -> list[Loaded]:
        """Bring a partition up to date with its stored fetches; the caller holds the partition's lock.

        Loads what is pending; `replay` goes through all kept fetches again, and so does a changed contract. Returns
        what was loaded in fetch order, also of other partitions where the table was rebuilt.
        """
        rebuild = False
        while True:
            known = self._read()
            plan = self._plan(known, partition, replay=replay, rebuild=rebuild)
            if not plan.snapshots:
                return []
            try:
                return self._carry_out(plan, known)
            except _MovedOn:
                continue
            except _NeedsRebuild:
                rebuild = True

    def kept(self, partition: str | None) -> list[Snapshot]:
        """The stored fetches of a partition that count, in order; of a replaced table, the newest complete one."""
        stored = self.snapshots.fetches(self.work.source, self.work.endpoint, partition)
        counting = [s for s in stored if s.manifest.ended and s.manifest.ended.verdict in LOADABLE]
        return counting if self.work.contract.write == "merge" else counting[-1:]

    def _read(self) -> _Known:
        with self.warehouse.session(f"reading what is loaded of {self.work.source}.{self.work.endpoint}") as connection:
            return self._known(connection)

    def _known(self, connection: duckdb.DuckDBPyConnection) -> _Known:
        row = ledger.registry(connection, self.work.source, self.work.endpoint)
        fetches = tuple(ledger.fetches(connection, self.work.source, self.work.endpoint))
        return (
            _Known(*row[:2], Registry.from_json(row[2]), fetches) if row else _Known(0, None, Registry.empty(), fetches)
        )

    def _plan(self, known: _Known, partition: str | None, *, replay: bool, rebuild: bool) -> _Plan:
        stored = self.kept(partition)
        mine = {fetch.fetch: fetch for fetch in known.loaded_of(partition)}
        contract = self.work.contract
        stale = any(mine[n].contract != contract.version for s in stored if (n := s.manifest.fetch) in mine)
        moved = known.layout is not None and known.layout != contract.layout
        if not (moved or replay or stale or rebuild):
            return _Plan(tuple(s for s in stored if s.manifest.fetch not in mine))
        if moved or rebuild or self.work.model.partitions is None or contract.newest_by is not None:
            return self._everything(known, partition)
        return _Plan(tuple(stored), forget=tuple(mine))

    def _everything(self, known: _Known, partition: str | None) -> _Plan:
        partitions = dict.fromkeys([*(fetch.partition for fetch in known.fetches if fetch.loaded), partition])
        kept = [snapshot for key in partitions for snapshot in self.kept(key)]
        return _Plan(tuple(sorted(kept, key=lambda s: s.manifest.fetch)), rebuild=True)

    def _carry_out(self, plan: _Plan, known: _Known) -> list[Loaded]:
        """Stage outside the lock, commit inside it."""
        began = time.monotonic()
        with self.warehouse.stage() as connection:
            staged, registry = stage(connection, self.work, plan.snapshots, known.registry)
            accounts = self._write(connection, _BUILD, plan, known, staged) if plan.rebuild else []
            with self.warehouse.writing(connection, f"loading {self.work.source}.{self.work.endpoint}"):
                self._check_same(self._known(connection), known, plan)
                target = in_warehouse(self.work.source, self.work.endpoint)
                self._check_kept(connection, target, plan, staged)
                if plan.rebuild:
                    self._swap(connection, target, staged)
                elif needs_rebuild(connection, target, staged[0].specs, self.work.contract.primary_key):
                    raise _NeedsRebuild
                else:
                    accounts = self._write(connection, target, plan, known, staged)
                self._register(connection, registry, known)
                seconds = (time.monotonic() - began) / len(staged)
                for snapshot, one, account in zip(plan.snapshots, staged, accounts, strict=True):
                    self._record(connection, snapshot, one, account, seconds)
        return [Loaded(one.fetch, one.partition, account) for one, account in zip(staged, accounts, strict=True)]

    def _check_same(self, current: _Known, known: _Known, plan: _Plan) -> None:
        same = (current.version, current.layout) == (known.version, known.layout)
        if not same or (plan.rebuild and current.loads != known.loads):
            raise _MovedOn

    def _check_kept(
        self, connection: duckdb.DuckDBPyConnection, target: Target, plan: _Plan, staged: Sequence[Staged]
    ) -> None:
        """Refuse to take out rows whose stored pages are gone: they could not be brought back."""
        if self.work.contract.write != "merge" or not (plan.rebuild or plan.forget):
            return
        gone = cited(connection, target, staged[0].specs) - {one.fetch for one in staged}
        if plan.forget:
            gone &= set(plan.forget)
        if gone:
            raise StorageFailed(
                f"{self.work.source}.{self.work.endpoint}: the stored pages of fetch {min(gone)} are missing, and rows "
                "of the table came from them; the table is left as it is. Restore the folder, or fetch again"
            )

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        target: Target,
        plan: _Plan,
        known: _Known,
        staged: Sequence[Staged],
    ) -> list[Account]:
        contract, specs = self.work.contract, staged[0].specs
        newest = contract.columns[contract.newest_by].type if contract.newest_by else None
        prepare(connection, target, specs, newest)
        if plan.forget:
            forget(connection, target, specs, plan.forget)
        accounts = []
        for one in staged:
            replaced = [fetch.fetch for fetch in known.loaded_of(one.partition)]
            accounts.append(merge(connection, one, contract, target, replaced))
            if not accounts[-1].adds_up:
                raise ContractBroken(
                    f"fetch {one.fetch}: its account does not add up: {accounts[-1]}; nothing is written"
                )
        return accounts

    def _swap(self, connection: duckdb.DuckDBPyConnection, target: Target, staged: Sequence[Staged]) -> None:
        """The tables that were built anew in place of the former ones."""
        drop(connection, target, self.work.endpoint)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(target.database)}.{quoted(target.schema)}")
        names = [(_BUILD.table(spec.name), target.table(spec.name)) for spec in staged[0].specs]
        if self.work.contract.newest_by:
            names.append((_BUILD.versions, target.versions))
        for built, name in names:
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM {built}")

    def _register(self, connection: duckdb.DuckDBPyConnection, registry: Registry, known: _Known) -> None:
        layout = self.work.contract.layout
        if (registry, layout) != (known.registry, known.layout):
            key = (self.work.source, self.work.endpoint)
            ledger.register(connection, key, known.version + 1, layout, registry.to_json())

    def _record(
        self,
        connection: duckdb.DuckDBPyConnection,
        snapshot: Snapshot,
        staged: Staged,
        account: Account,
        seconds: float,
    ) -> None:
        """The fetch's account, and its quarantine in place of that of an earlier load."""
        ledger.ended(connection, snapshot.manifest)
        ledger.update(
            connection,
            staged.fetch,
            {
                "loaded": self.now(),
                "loaded_run": self.run,
                "contract": self.work.contract.version,
                "load_seconds": seconds,
                **asdict(account),
            },
        )
        # A listing or a window that was read again has told all its records anew; a feed has not.
        ledger.quarantine(
            connection,
            staged.fetch,
            (self.work.source, self.work.endpoint, staged.partition),
            staged.table("_quarantine"),
            closes_former=self.work.model.feed is None,
        )
