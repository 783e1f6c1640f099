"""A key taken out of one endpoint: of its stored pages, its tables, its quarantine, and the files of the database.

    rule        first: who comes in from now on leaves the key out (`ingest_assets.raw.forgotten`)
    pages       then partition by partition, under its lock (`ingest_assets.raw.erase`)
    tables      rows, child rows, versions, quarantine: one transaction
    file        written anew without free space, which may hold old rows

Each step can be done again: who dies in between is followed by one who does it all.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from ingest_assets.catalog.hints import hint
from ingest_assets.errors import ConfigError, IngestError, StorageFailed
from ingest_assets.load import ledger, usage
from ingest_assets.load.erase_key import Identity, Key, Sought, Stored, typed
from ingest_assets.load.erase_rows import RowEraser
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.normalize.rows import plan_for
from ingest_assets.normalize.values import Unfit
from ingest_assets.raw.erase import erase, find
from ingest_assets.raw.forgotten import PARTITION, Forgotten, Keys, Rule, at, read, told, write
from ingest_assets.raw.records import EMPTY
from ingest_assets.raw.snapshots import IndexEntry, Snapshot, Snapshots


class Eraser(Struct, frozen=True, dict=True):
    """Finds and erases a key of one endpoint. `lock` holds a partition while inside.

    `archive` is where snapshots of former partitions are: the key is erased there too.
    """

    warehouse: Warehouse
    snapshots: Snapshots
    work: Work
    lock: Callable[[str | None], Any]
    archive: Path

    @functools.cached_property
    def registry(self) -> Registry:
        """Names and places of the columns; ConfigError where nothing is loaded that tells them."""
        with self.warehouse.session(f"reading the names of {self._label}") as connection:
            row = ledger.registry(connection, self.work.source, self.work.endpoint)
        if row is None:
            raise ConfigError(f"{self._label}: nothing is loaded that tells where its columns are; load it first")
        return Registry.from_json(row[2])

    @property
    def _label(self) -> str:
        return f"{self.work.source}.{self.work.endpoint}"

    @functools.cached_property
    def _columns(self) -> dict[str, ColumnPlan]:
        """The columns of the endpoint's own table, by name."""
        known = self.registry.settled(self.work.endpoint, self.work.contract)
        plan = plan_for(self.work.endpoint, self.work.contract, known, {})
        return {column.spec.name: column for column in plan.root.columns}

    @property
    def _specs(self) -> tuple[TableSpec, ...]:
        return self.registry.tables(self.work.endpoint, self.work.contract)

    def key(self, texts: Sequence[str]) -> Key:
        """What was typed: `column=value`, or values alone in the primary key's order; ConfigError where it is none."""
        if self.work.model.cut_lists:
            raise ConfigError(
                f"{self._label}: lists of its records stand on pages of their own (`cut_lists`), from which they "
                "cannot be taken out"
            )
        if self.work.model.makes:
            raise ConfigError(
                f"{self._label}: its records are made of several places of a body (`records`), or are no JSON "
                "(`decoder`): they cannot be taken out of it one by one"
            )
        known = self._columns
        pairs, wanted = [text.partition("=") for text in texts], self.work.contract.primary_key
        if not all(mark and name in known for name, mark, _ in pairs):
            if len(texts) != len(wanted):
                example = " ".join(name.upper() for name in wanted) or "COLUMN=VALUE"
                raise ConfigError(
                    f"{self._label}: expected {example}, or COLUMN=VALUE with one of {', '.join(known)}; "
                    f"{len(texts)} given"
                )
            self._refuse_unknown(texts)
            pairs = [(name, "=", text) for name, text in zip(wanted, texts, strict=True)]
        if any(not value for _, _, value in pairs):
            raise ConfigError(f"{self._label}: an empty value is nobody's")
        names = tuple(name for name, _, _ in pairs)
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(
                f"{self._label}: nothing that is loaded has a value of {unknown[0]!r}: there is nothing to forget by it"
            )
        self._refuse_of_parent({*names, *wanted})
        with self.warehouse.connection() as connection:
            held = [typed(connection, known[name].spec.type, value) for name, _, value in pairs]
        values = [value for _, _, value in pairs]
        columns = [known[name] for name in names]
        return Key(tuple(map(Sought, columns, values, held, self._paths(names))))

    def _refuse_unknown(self, texts: Sequence[str]) -> None:
        """What looks like COLUMN=VALUE is no key, or a name that is misspelt would find nobody."""
        for name, _, value in (text.partition("=") for text in texts):
            if name.isidentifier() and name not in self._columns and value.strip("="):  # Base64 ends in =
                wanted = self.work.contract.primary_key[0]
                raise ConfigError(
                    f"{self._label}: no column {name!r}; {hint(name, self._columns)}. Where all of that is a value of "
                    f"{wanted!r}, type {wanted}= before it"
                )

    def _refuse_of_parent(self, names: set[str]) -> None:
        """A record does not hold what its parent tells: it could not be found, or another parent's would be."""
        columns = self.work.contract.columns
        if mine := [name for name in sorted(names) if name in columns and columns[name].from_parent is not None]:
            raise ConfigError(
                f"{self._label}: {mine[0]!r} is a value of the parent (`from_parent`), which no record holds: those of "
                "such a key cannot be taken out one by one. Give up the fetches that hold them: ingest undo"
            )

    @functools.cached_property
    def _dimensions(self) -> frozenset[str]:
        """Columns whose value the partition tells, and not the record."""
        stored = self.snapshots.fetches(self.work.source, self.work.endpoint)
        return frozenset(self.work.model.told(stored[0].manifest.partition)) if stored else frozenset()

    @functools.cached_property
    def _identity(self) -> Identity:
        names = self.work.contract.primary_key
        return Identity(tuple(map(self._columns.get, names)), self._paths(names))

    def look(self, key: Key) -> Stored:
        """What is stored of a key, in all fetches, also failed ones; nothing is written."""
        found = Stored()
        for snapshot in (*self._fetches(), *self._archived()):
            self._look(key, snapshot, found)
        if key.columns != self.work.contract.primary_key and found.keys:
            # All versions of what had the value once: a rebuild would bring an older one back.
            for snapshot in (*self._fetches(), *self._archived()):
                self._look(key, snapshot, found)
        self._refuse_unfound(key, found)
        return found

    def _refuse_unfound(self, key: Key, stored: Stored) -> None:
        """ConfigError where a row has the key, and its stored record does not: a rebuild would bring it back."""
        found, snapshots = set(stored.places), {snapshot.fetch: snapshot for snapshot in self._fetches()}
        rows = RowEraser(self.warehouse, self.work, self._specs).places(key)
        for fetch, page, position in rows:
            if (fetch, page, position) in found or fetch not in snapshots:
                continue
            if position not in snapshots[fetch].pages[page].forgotten:
                raise ConfigError(
                    f"{self._label}: a row has this {', '.join(key.columns)}, and the record that it was made of "
                    f"(fetch {fetch}, page {page}, position {position}) does not, as the source file reads it now. "
                    f"Load what is stored by the present file, then forget. Next: ingest replay {self._label} --all"
                )

    def _look(self, key: Key, snapshot: Snapshot, stored: Stored) -> None:
        more = self._partition(snapshot)
        primary = self._identity if key.columns != self.work.contract.primary_key else Identity()
        versions = frozenset(stored.keys)

        def is_one(text: bytes) -> bool:
            if not versions and not key.may_be_in(text):
                return False
            try:
                record = exact(text) | more
            except Unfit:
                return key.stands_in(text)  # what cannot be read and holds the value is taken for theirs
            mine = primary.of(record)
            if key.has(record):
                writing = tuple(told(at(record, path)) for path in key.paths)
                stored.writings |= {tuple(map(str, writing))} if None not in writing else set()
                stored.keys |= mine
                return True
            return not mine.isdisjoint(versions)

        try:
            found = find(snapshot, functools.partial(self._records, snapshot), is_one)
        except StorageFailed:
            raise
        except IngestError as error:
            raise ConfigError(
                f"{snapshot.folder}: a page cannot be taken apart under the present source file: {error}. Mend the "
                "file, so that the records on it can be looked at"
            ) from error
        if found:
            stored.found[snapshot.fetch] = found

    def _partition(self, snapshot: Snapshot) -> dict[str, Any]:
        if snapshot.folder.is_relative_to(self.archive):
            return {}  # its partitions are none of the present ones
        told = self.work.model.told(snapshot.manifest.partition)
        return {PARTITION: told} if told else {}

    def _paths(self, columns: Sequence[str]) -> tuple[Keys, ...]:
        known = {column.name: column.path for column in self._specs[0].columns}
        return tuple((PARTITION, n) if n in self._dimensions else known.get(n, (n,)) for n in columns)

    def _records(self, snapshot: Snapshot, entry: IndexEntry) -> Iterator[tuple[int, bytes]]:
        if EMPTY in entry.note:
            return
        with snapshot.body(entry) as body:
            for block in self.work.model.decoder.decode(body, self.work.model.records):
                for place, text in enumerate(block.records(), block.first):
                    yield place, bytes(text)

    def rule(self, key: Key) -> Rule | None:
        """The rule that keeps a key out, None where there is none."""
        return _rule(read(self._folder), key)

    def lift(self, key: Key) -> bool:
        """Let a key in again from the next fetch on; whether it was kept out."""
        rules = read(self._folder)
        if (rule := _rule(rules, key)) is None:
            return False
        write(self._folder, rules.without(rule))
        return True

    @property
    def _folder(self) -> Path:
        return self.snapshots.endpoint_folder(self.work.source, self.work.endpoint)

    def erase(self, key: Key, stored: Stored, now: datetime) -> None:
        """Take a key out of pages, tables and files, and keep it out; `stored` is what was found of it before."""
        self._keep_out(key, stored.writings, now, done=False)
        for partition in dict.fromkeys(s.manifest.partition for s in self._fetches()):
            with self.lock(partition):
                of_it = self.snapshots.fetches(self.work.source, self.work.endpoint, partition)
                self._note_sweeps(of_it, stored)
                self._erase_pages(key, of_it, stored, now)
        self._erase_pages(key, self._archived(), stored, now)
        RowEraser(self.warehouse, self.work, self._specs).erase(key, stored)
        self._hide_samples()

    def _note_sweeps(self, fetches: Sequence[Snapshot], stored: Stored) -> None:
        """What they swept: without the records that go, other shares would be gone, and fetches with misfits sweep."""
        if self.work.contract.sweep is None:
            return
        name, mine = (self.work.source, self.work.endpoint), {snapshot.fetch for snapshot in fetches}
        with self.warehouse.looking(f"forgetting records of {self._label}") as connection:
            swept = usage.sweeps(connection, *name, stored.found.keys())
            self.snapshots.notes.note_sweeps(*name, {fetch: told for fetch, told in swept.items() if fetch in mine})

    def _hide_samples(self) -> None:
        """Out of what is noted of drift, as they are out of the warehouse."""
        name, notes = (self.work.source, self.work.endpoint), self.snapshots.notes
        with self.warehouse.alone(f"forgetting samples of {self._label}"):
            if noted := notes.drift(*name):
                notes.note_drift(*name, [[*event[:-1], None] for event in noted])

    def finish(self, key: Key, stored: Stored, now: datetime) -> None:
        """Remember that nothing of a key is left, also not where readers look."""
        self._keep_out(key, stored.writings, now, done=True)

    def _fetches(self) -> list[Snapshot]:
        return self.snapshots.fetches(self.work.source, self.work.endpoint)

    def _archived(self) -> list[Snapshot]:
        return self.snapshots.archived(self.work.source, self.work.endpoint, self.archive)

    def _keep_out(self, key: Key, writings: set[tuple[str, ...]], now: datetime, *, done: bool) -> None:
        rules = read(self._folder)
        former = _rule(rules, key)
        hashes = {rules.hash(values) for values in (*key.writings, *writings)} | set(former.hashes if former else ())
        began = former.at if former else now
        write(self._folder, rules.with_rule(Rule(key.columns, key.paths, tuple(sorted(hashes)), began, done)))

    def _erase_pages(self, key: Key, snapshots: Sequence[Snapshot], stored: Stored, now: datetime) -> None:
        keys = sorted({text for values in (key.values, *stored.writings) for text in values}, key=len, reverse=True)
        for snapshot in snapshots:
            self._look(key, snapshot, stored)
            found = stored.found.get(snapshot.fetch, [])
            if found and snapshot.manifest.ended is None:
                # It would go on by a cursor that may be the key.
                self.snapshots.give_up(snapshot, "a record of it was forgotten")
            erase(Snapshot(snapshot.folder), found, keys, now)


def _rule(rules: Forgotten, key: Key) -> Rule | None:
    return next((rule for values in key.writings if (rule := rules.rule(key.columns, values)) is not None), None)
