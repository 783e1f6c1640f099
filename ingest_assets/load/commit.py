"""The commit of a load: staged rows become rows of the tables, with an account of each fetch, in one transaction."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

from msgspec.structs import replace

from ingest_assets.errors import ContractBroken
from ingest_assets.load import crossing, drift, tables
from ingest_assets.load.account import Account, Accounting, MovedOn
from ingest_assets.load.beforehand import Found, found
from ingest_assets.load.merge import forget, merge, merge_together
from ingest_assets.load.merging import Merge
from ingest_assets.load.missing import only_there
from ingest_assets.load.moving import Move, Moving
from ingest_assets.load.overtaken import NotTold, overtaken
from ingest_assets.load.plan import NeedsRebuild, lost
from ingest_assets.load.staged import Staged, held
from ingest_assets.load.sweep import sweep
from ingest_assets.load.tables import Target, in_stage, in_warehouse
from ingest_assets.load.together import together
from ingest_assets.load.warehouse import Warehouse, committed, quoted
from ingest_assets.normalize.registry import Registry


class Commit(Accounting, frozen=True):
    """How what was staged comes into the tables, and what that came to. `room` makes room for so many megabytes.

    All but `changed` and `build` runs in the caller's transaction on the warehouse, attached as `w`.
    """

    room: Callable[[float], None]

    def changed(self) -> list[drift.Change]:
        """What these fetches brought that the tables did not know; ContractBroken where the contract freezes that."""
        if self._is_first or not self.staged:
            return []
        contract, before = self.work.contract, self.known.registry.tables(self.work.endpoint, self.work.contract)
        found = drift.changes(before, self.staged[0].specs, contract)
        found = drift.sampled(self.connection, found, self.staged, self._loaded)
        drift.refuse(self.work.label, found)
        return found

    @property
    def _is_first(self) -> bool:
        """Whether nothing is known to compare with: no record ever came, nor one that a lost warehouse has noted."""
        return not self.known.registry.shape.kinds or (not self.known.loaded and self.known.version > 0)

    @property
    def _loaded(self) -> set[int]:
        return {fetch.fetch for fetch in self.known.loaded}

    def build(self, ensured: Callable[[Callable[[], Account]], Account]) -> list[Account]:
        """The tables anew, beside the staged rows; what became of the records of each fetch.

        `ensured` may try again what builds one fetch into them.
        """
        target, contract, of = in_stage(self.connection), self.work.contract, ""
        if self.staged:
            tables.create(self.connection, target, self.staged[0].specs, contract)
            if crossing.by_order(self.staged[0], contract):
                of = crossing.partitions(self.connection, self.staged, in_warehouse=False)
        return self._added_up([ensured(partial(self._built, target, one, of)) for one in self.staged])

    def _built(self, target: Target, staged: Staged, of: str) -> Account:
        # In one transaction: after each DuckDB may put rows elsewhere, and a merge goes by where they are.
        with committed(self.connection):
            self.connection.execute("BEGIN")
            return self._merged(target, staged, (), of=of)

    def _under(self, registry: Registry) -> Sequence[Staged]:
        """See `Accounting`."""
        try:
            return overtaken(self.connection, self.work, self.staged, self.registry, registry)
        except NotTold as error:
            raise MovedOn from error

    def refuse_lost(self) -> None:
        """Refuse to take out versions whose stored pages are gone, unless a later fetch brought them again."""
        if self.work.contract.replaces or not self.plan.missing:
            return
        missing, target = [fetch.fetch for fetch in self.plan.missing], in_warehouse(*self._key)
        fetch = only_there(self.connection, target, self.known.registry, self.work, self.staged, missing)
        if fetch is not None:
            raise lost(self.work, fetch)

    def moves(self, moving: Moving) -> list[Move]:
        """Where the tables belong that were built anew."""
        built, target = in_stage(self.connection), in_warehouse(*self._key)
        names = [spec.name for one in self.staged[:1] for spec in one.specs]
        at = [(built.table(name), target.schema, name) for name in names]
        theirs, ours = (tables.beside(one, self.work.contract) if names else () for one in (built, target))
        at += [(built.named(*there), *here) for there, here in zip(theirs, ours, strict=True)]
        return [moving.move(*one) for one in at]

    def swap(self, moves: Sequence[Move], *, brought: bool) -> None:
        """Put the tables that were built anew in place of the former ones; they are in the warehouse if `brought`."""
        target, former = in_warehouse(*self._key), list(self.known.registry.names.values())
        names = [spec.name for one in self.staged[:1] for spec in one.specs]
        there = tables.present(self.connection, target, [*names, *former])
        tables.refuse_foreign(target, there, former)
        for name in there:
            self.connection.execute(f"DROP TABLE {target.table(name)}")
        for name in (target.versions, target.ends):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        tables.make_schema(self.connection, target)
        for move in moves:
            into = f"ALTER TABLE {move.new} RENAME TO {quoted(move.name)}"
            self.connection.execute(into if brought else f"CREATE TABLE {move.place} AS FROM {move.built}")

    def found(self, warehouse: Warehouse, from_rows: int) -> Found | None:
        """What this comes to, as the reader's copy tells it for tables of so many rows; None where it does not."""
        if len(self.staged) != 1 or self.plan.rebuild or self.plan.forget or not self._same:
            return None
        at = Merge(self.connection, self.staged[0], self.work.contract, in_warehouse(*self._key), self.room)
        return found(warehouse, at, from_rows)

    @property
    def _same(self) -> bool:
        """Whether the tables have all columns: they were made for this registry and this contract."""
        known, contract = self.known, self.work.contract
        if not known.loaded or {load.contract for load in known.loaded} != {contract.version}:
            return False
        return held(known.registry.tables(self.work.endpoint, contract)) == self.staged[0].specs

    def together(self) -> Staged | None:
        """The staged fetches as one, where that is quicker and comes to the same."""
        return None if self.plan.rebuild else together(self.connection, self.staged, self.work.contract)

    def add(self, known_beforehand: Found | None = None, whole: Staged | None = None) -> list[Account]:
        """Put the staged rows on top of what is there; raises NeedsRebuild where a column cannot be changed so.

        Of one fetch it may be known beforehand what it comes to; of several, what they are `together`.
        """
        target, contract, specs = in_warehouse(*self._key), self.work.contract, self.staged[0].specs
        known, names = self.known, self.known.registry.names.values()
        if not self._same and not tables.adapt(self.connection, target, specs, contract, names):
            raise NeedsRebuild
        if self.plan.forget:
            forget(self.connection, target, specs, contract, self.plan.forget)
        if whole is not None:
            merged = merge_together(self.connection, whole, self.staged, contract, target, self.room)
            return self._added_up(self._crossing(target, merged, self.staged))
        return self._added_up(
            [
                self._merged(target, one, [fetch.fetch for fetch in known.loaded_of(one.partition)], known_beforehand)
                for one in self.staged
            ]
        )

    def _merged(
        self,
        target: Target,
        staged: Staged,
        replaced: Sequence[int],
        known_beforehand: Found | None = None,
        of: str = "",
    ) -> Account:
        """Merge a fetch on top of those of its partition that are loaded, and of those staged that are older.

        `of` says which partition each fetch is of, where that is noted already.
        """
        before = [one.fetch for one in self.staged if one.partition == staged.partition and one.fetch < staged.fetch]
        swept = sweep(self.work, self.snapshots, staged, [*replaced, *before])
        contract = self.work.contract
        account = merge(self.connection, staged, contract, target, replaced, swept, self.room, known_beforehand)
        (account,) = self._crossing(target, [account], [staged], of)
        return account

    def _crossing(
        self, target: Target, accounts: Sequence[Account], staged: Sequence[Staged], of: str = ""
    ) -> list[Account]:
        """The accounts, with what met another partition's rows; NeedsRebuild where that comes late."""
        contract, in_history = self.work.contract, self.work.contract.write == "history"
        if not crossing.by_order(staged[0], contract) or not (in_history or any(map(_meets, accounts))):
            return [*accounts]
        of = of or crossing.partitions(self.connection, self.staged, in_warehouse=True)
        found = crossing.crossed(self.connection, of)
        for one in filter(self._is_late, staged):
            meets = crossing.meets_others(self.connection, one, target, of) if in_history else one.fetch in found
            if meets and not tables.versioned(contract):
                raise NeedsRebuild
        told = {fetch: records for fetch, (_, records) in found.items()}
        return [replace(a, crossing=told.get(one.fetch, 0)) for a, one in zip(accounts, staged, strict=True)]

    def _is_late(self, staged: Staged) -> bool:
        """Whether a later fetch is loaded, or merged before; where all are built anew, they are so in their order."""
        if self.plan.rebuild:
            return False
        before = takewhile(lambda one: one.fetch != staged.fetch, self.staged)
        loaded = [load.fetch for load in self.known.loaded]
        return staged.fetch < max([*loaded, *(one.fetch for one in before)], default=0)

    def _added_up(self, accounts: list[Account]) -> list[Account]:
        for one, account in zip(self.staged, accounts, strict=True):
            if not account.adds_up:
                raise ContractBroken(f"fetch {one.fetch}: its account does not add up: {account}; nothing is written")
        return accounts

    def note_drift(self, changed: Sequence[drift.Change]) -> None:
        """Drift is an event, with the version of names and shapes that came of it; `changed` are columns and tables."""
        loaded = self._loaded
        new = [one for one in self.staged if one.fetch not in loaded]
        more = [change for one in new for change in drift.new_values(self.connection, one, self.work.contract)]
        if self.known.loaded:
            more += [change for one in new for change in drift.vanished(self.connection, one, *self._key)]
        if changed or more:
            version = self.known.version + bool(changed)
            drift.note(self.connection, self._key, version, [*changed, *more], self.now())
            self.snapshots.notes.note_drift(*self._key, drift.events(self.connection, self._key))


def _meets(account: Account) -> bool:
    """Whether records met rows that were there."""
    return bool(account.updated or account.unchanged or account.outdated or account.deleted)
