"""Many of Dagster's events in one transaction of its SQLite files: each alone costs two, and most of that is processor.

Dagster's own batches do nothing on SQLite. Any other kind of storage gets each event when it is told.
"""

import contextlib
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

MATERIALIZED = frozenset({dg.DagsterEventType.ASSET_MATERIALIZATION})
PLANNED = frozenset({dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED})
_MOST = 500  # that wait in memory


@contextlib.contextmanager
def gathered(instance: dg.DagsterInstance, kinds: Collection[dg.DagsterEventType]) -> Iterator[None]:
    """Store the events of these kinds that this thread tells inside at once: at the end, or before one of another kind.

    They are stored also where the block raises: what they tell has happened. Each has the time when it was told.
    """
    storage = instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        yield
        return
    waiting, own = _Waiting(storage, kinds), vars(storage)
    before = own.get("store_event")
    own["store_event"] = waiting.store
    try:
        yield
    finally:
        own.pop("store_event")
        if before is not None:
            own["store_event"] = before
        waiting.flush()


@dataclass
class _Waiting:
    """Events that are told and not stored yet; all of one run, as a thread works on one at a time."""

    storage: SqliteEventLogStorage
    kinds: Collection[dg.DagsterEventType]
    _thread: int = field(default_factory=threading.get_ident)
    _events: list[EventLogEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._store_one = self.storage.store_event

    def store(self, event: EventLogEntry) -> None:
        """What the storage does with an event, now or later."""
        if threading.get_ident() != self._thread:
            self._store_one(event)
        elif event.is_dagster_event and event.dagster_event_type in self.kinds:
            self._events.append(event)
            if len(self._events) >= _MOST:
                self.flush()
        else:
            self.flush()
            self._store_one(event)

    def flush(self) -> None:
        """Store what waits, as the storage does it one by one: in the run's file, then in that of all runs."""
        events, self._events = self._events, []
        if not events:
            return
        if len(events) == 1 or len({event.run_id for event in events}) > 1:
            for event in events:
                self._store_one(event)
            return
        rows = [self.storage._event_to_row(event) for event in events]  # noqa: SLF001 -- Dagster has no other way in
        with self.storage.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.storage.index_transaction() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            column = SqlEventLogStorageTable.c.id
            # Nobody else writes until the transaction ends, so the last ones are these.
            last = SqlEventLogStorageTable.select().with_only_columns(column).order_by(column.desc()).limit(len(rows))
            ids = [number for (number,) in connection.execute(last)][::-1]
            self.storage._store_asset_event_tags(connection, events, ids)  # noqa: SLF001 -- as above
            # An asset's own row tells of its last event only.
            for event, number in {_asset(one): (one, number) for one, number in zip(events, ids, strict=True)}.values():
                self.storage._store_asset_event(connection, event, number)  # noqa: SLF001 -- as above


def _asset(event: EventLogEntry) -> dg.AssetKey | None:
    return event.dagster_event.asset_key if event.dagster_event else None
