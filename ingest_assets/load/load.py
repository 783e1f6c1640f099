"""One load: read what is loaded, stage outside the lock, commit inside it.

A table is a function of its kept fetches, its contract and its registry of names and shapes. However a load is
planned (see `ingest_assets.load.plan`), it ends in the table of a rebuild.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial, reduce
from typing import TYPE_CHECKING, TypeVar

import duckdb
from msgspec import Struct

from ingest_assets.errors import IngestError, TooManyGone
from ingest_assets.load.account import Account, Accounting, MovedOn
from ingest_assets.load.copies import state
from ingest_assets.load.moving import Moving
from ingest_assets.load.nothing import brings_nothing, unstaged
from ingest_assets.load.plan import LOADABLE, Known, NeedsRebuild, Plan, Planner, current, lost
from ingest_assets.load.staged import ranked
from ingest_assets.load.troubles import TooLittleMemory
from ingest_assets.load.turns import Turns
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.shape import loses
from ingest_assets.raw.snapshots import Snapshot, Snapshots

if TYPE_CHECKING:
    from ingest_assets.load.beforehand import Found
    from ingest_assets.load.commit import Commit
    from ingest_assets.load.meanwhile import Help, Meanwhile

__all__ = ["LOADABLE", "Loaded", "Loader", "TeachesMore"]

_T = TypeVar("_T")

_PATIENCE = 3  # after so many loads that were staged in vain, the next one insists (see `ingest_assets.load.turns`)
_MUCH_BYTES = 500_000_000  # takes so much more memory to be built anew than DuckDB begins with: else it is done twice
_MUCH_MB = 64
_FROM_ROWS = 1_000_000  # to search through fewer of them takes less than to open another file


class Loaded(Struct, frozen=True):
    """One fetch that was loaded, and what became of its records."""

    fetch: int
    partition: str | None
    account: Account


class TeachesMore(Exception):
    """What was to be loaded has names or shapes that were not to be learned of it."""


class _NotTogether(Exception):
    """A partition needs more than its own fetches, or rows of it may be lost."""


class Loader(Struct, frozen=True):
    """Loads the stored fetches of one endpoint, but for those `held` back; sends no request.

    `meanwhile` may have made the rows of one of them already. Of a table of `from_rows` it is found out before the lock
    is taken what a merge comes to, and where it is built anew, it is brought in some rows at a time. What brings names
    or shapes `beyond` a registry is not loaded: TeachesMore.
    """

    warehouse: Warehouse
    snapshots: Snapshots
    work: Work
    run: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    held: frozenset[int] = frozenset()
    meanwhile: "Meanwhile | None" = None
    from_rows: int = _FROM_ROWS
    beyond: Registry | None = None

    def load(self, partition: str | None, *, replay: bool = False) -> list[Loaded]:
        """Bring a partition up to date with its stored fetches; the caller holds the partition's lock.

        Loads what is pending; `replay` goes through all kept fetches again, and so does a changed contract. Returns
        what was loaded in fetch order, also of other partitions where the table was rebuilt. TooManyGone where a fetch
        would delete too much; what came before it is loaded then. StorageFailed where rows of the table came from a
        fetch that is not stored any more and would be lost.
        """
        rebuild, in_vain = False, 0
        while True:
            insists = in_vain >= _PATIENCE
            try:
                with self._turns.insisted() if insists else contextlib.nullcontext():
                    return self._attempt({partition: replay}, rebuild=rebuild, insists=insists)
            except MovedOn:
                in_vain += 1
            except NeedsRebuild:
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
            loads = self._attempt(partitions, rebuild=False, insists=False) if len(partitions) > 1 else None
        except (MovedOn, NeedsRebuild, _NotTogether, IngestError):
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

    def newest(self, partition: str | None) -> Snapshot | None:
        """The newest of them; None where there is none."""
        return self._planner.newest(partition)

    @property
    def _planner(self) -> Planner:
        return Planner(self.snapshots, self.work, self.held)

    @property
    def _turns(self) -> Turns:
        return Turns(self.warehouse, self.work.source, self.work.endpoint, self._what)

    @property
    def _moving(self) -> Moving:
        return Moving(self.warehouse, self.work.source, self.work.endpoint, self._what)

    @property
    def _what(self) -> str:
        return f"run {self.run}, loading {self.work.label}"

    @contextlib.contextmanager
    def _turn_in(self, found: "Found | None", *, insists: bool) -> Iterator[bool]:
        """Be the only writer; whether the warehouse is in the state that was looked at."""
        with self._turns.taken(insists=insists):
            yield found is not None and state(self.warehouse.writer) == found.state

    def _attempt(self, partitions: Mapping[str | None, bool], *, rebuild: bool, insists: bool) -> list[Loaded]:
        """Read what is loaded, stage outside the lock, commit inside it; `insists` where others are kept out already.

        Those of the partitions that are true are replayed.
        """
        began = time.monotonic()
        self._moving.clear()
        with self.warehouse.connection() as connection:
            with self.warehouse.writing(connection, self._what):
                known = current(connection, self.snapshots, self.work)
            plan = self._plan(known, partitions, rebuild=rebuild)
            if not plan.snapshots and not plan.undone:
                return []
            if brings_nothing(self.work, known, plan):
                return self._noted(connection, known, plan, began, insists=insists)
            load = self._as_far if len(partitions) == 1 else self._staged
            return load(connection, known, plan, began, insists=insists)

    def _as_far(
        self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan, began: float, *, insists: bool
    ) -> list[Loaded]:
        """Load what is planned; where a fetch is refused for what it would delete, what is before it, and raise."""
        try:
            return self._staged(connection, known, plan, began, insists=insists)
        except TooManyGone as refusal:
            if (rest := plan.without(refusal.fetch, known)) is not None:
                self._as_far(connection, known, rest, began, insists=insists)
            raise

    def _staged(
        self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan, began: float, *, insists: bool
    ) -> list[Loaded]:
        """Stage what is planned, and bring it into the tables."""
        with self.warehouse.stage(connection, plan.stored_bytes), contextlib.ExitStack() as files:
            before = Registry.empty() if plan.undone else known.registry
            with self._help(plan, before) as second:
                from ingest_assets.load.stage import stage  # while another process does the same

                about = (connection, self.work, plan.snapshots, before, self.warehouse.staging)
                unranked, registry = stage(*about, files, second)
            if self.beyond is not None and self.beyond.joined(registry) != self.beyond:
                raise TeachesMore
            staged = ranked(connection, unranked, self.work.contract, empty=plan.rebuild or not known.loaded)
            if known.loaded and not plan.rebuild and loses(known.registry.shape, registry.shape):
                raise NeedsRebuild
            from ingest_assets.load.commit import Commit

            told = (connection, self.snapshots, self.work, self.run, self.now, known, plan)
            accounts = self._committed(Commit(*told, staged, registry, self.warehouse.room), began, insists=insists)
        return [Loaded(one.fetch, one.partition, account) for one, account in zip(staged, accounts, strict=True)]

    def _help(self, plan: Plan, registry: Registry) -> contextlib.closing["Help"]:
        from ingest_assets.load.meanwhile import Help

        staging, locks = self.warehouse.staging, self.warehouse.locks
        return contextlib.closing(Help(self.work, plan.snapshots, registry, staging, locks, self.meanwhile))

    def _committed(self, commit: "Commit", began: float, *, insists: bool) -> list[Account]:
        """Find out what can be outside the lock, then commit inside it; what became of the records of each fetch."""
        rebuild, changed = commit.plan.rebuild, commit.changed()
        ensured = partial(self._with_enough_memory, commit.connection)
        if rebuild and commit.plan.stored_bytes > _MUCH_BYTES:
            self.warehouse.room(_MUCH_MB)
        built = commit.build(ensured) if rebuild else []
        moves = commit.moves(self._moving) if rebuild else []
        found, whole = commit.found(self.warehouse, self.from_rows), commit.together()

        def committed(*, brought: bool) -> list[Account]:
            with self._turn_in(found, insists=insists) as as_found, self.warehouse.transaction(commit.connection):
                on_top = commit.caught_up()
                new = changed if on_top is commit else on_top.changed()
                on_top.refuse_lost()
                if rebuild:
                    on_top.swap(moves, brought=brought)
                    accounts = built
                else:
                    same = on_top is commit  # what is known beforehand is of what was staged at first
                    accounts = on_top.add(found if same and as_found else None, whole if same else None)
                on_top.record(accounts, time.monotonic() - began)
                on_top.note_drift(new)
            return accounts

        with self._moving.brought(commit.connection, moves, self.from_rows, ensured) as brought:
            return ensured(partial(committed, brought=brought))

    def _noted(
        self, connection: duckdb.DuckDBPyConnection, known: Known, plan: Plan, began: float, *, insists: bool
    ) -> list[Loaded]:
        """The accounts of fetches that brought no record."""
        staged, accounts = [unstaged(snapshot) for snapshot in plan.snapshots], [Account(0)] * len(plan.snapshots)
        about = (connection, self.snapshots, self.work, self.run, self.now, known, plan)
        accounting = Accounting(*about, staged, known.registry)
        with self._turns.taken(insists=insists), self.warehouse.transaction(connection):
            accounting.caught_up().record(accounts, time.monotonic() - began)
        return [Loaded(one.fetch, one.partition, account) for one, account in zip(staged, accounts, strict=True)]

    def _plan(self, known: Known, partitions: Mapping[str | None, bool], *, rebuild: bool) -> Plan:
        plans = [self._planner.plan(known, key, replay=replay, rebuild=rebuild) for key, replay in partitions.items()]
        for plan in plans:
            self._refuse_replaced(plan)
        if len(plans) > 1 and any(plan.rebuild or plan.missing for plan in plans):
            raise _NotTogether
        return reduce(Plan.beside, plans)

    def _with_enough_memory(self, connection: duckdb.DuckDBPyConnection, act: Callable[[], _T]) -> _T:
        """What a transaction gives; tried again with more memory where it needs that: what is staged stays."""
        while True:
            try:
                with self.warehouse.translated():
                    return act()
            except TooLittleMemory:
                if not (self.warehouse.works(connection) and self.warehouse.more_memory()):
                    raise

    def _refuse_replaced(self, plan: Plan) -> None:
        """Refuse to go back to an older fetch of a partition, or to nothing, where the newest is not stored."""
        replaced = self.work.contract.replaces or not plan.snapshots
        if replaced and plan.given_up is not None:
            raise lost(self.work, plan.given_up)
