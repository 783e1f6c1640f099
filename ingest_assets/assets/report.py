"""What Dagster is told of a fetch and of a load.

Each is an event of its own, logged when it happened, with its own numbers: a run that dies later leaves it there.
The tags make Dagster see what a table was made from, and under which contract.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import Any

import dagster as dg

from ingest_assets.assets import columns
from ingest_assets.assets.names import dimension_tags, raw_key, table_key
from ingest_assets.line import Line, data_version
from ingest_assets.load.summary import Summary
from ingest_assets.raw.snapshots import Snapshot

_ID = "ingest/instance"
FETCH_TAG = "ingest/fetch"
LOADED_TAG = "ingest/loaded"
_TAG_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"  # Dagster allows no colon in a tag
_ACCOUNT_SHOWN = ("received", "inserted", "updated", "unchanged", "outdated", "deleted", "quarantined", "duplicates")
_MOST_COLUMNS_SHOWN = 12


@dataclass(frozen=True)
class Reporter:
    """Makes the events of one endpoint. `versions` are the code versions of its two assets."""

    line: Line
    endpoint: str
    versions: Mapping[dg.AssetKey, str]
    instance: dg.DagsterInstance

    @property
    def raw(self) -> dg.AssetKey:
        """The raw asset."""
        return raw_key(self.line.source.name, self.endpoint)

    @property
    def table(self) -> dg.AssetKey:
        """The table's asset."""
        return table_key(self.line.source.name, self.endpoint)

    @cached_property
    def instance_id(self) -> str:
        """See the function of this name."""
        return instance_id(self.instance)

    def shown_of(self, key: dg.AssetKey) -> set[str | None]:
        """Partitions of an asset of which the instance shows something; None where it shows the asset as a whole."""
        known: set[str | None] = set(self.instance.get_materialized_partitions(key))
        return known or ({None} if self._newest(key, None) else set())

    def fetched(self, snapshot: Snapshot) -> dg.AssetMaterialization:
        """The event of a fetch that counts."""
        return self._event(self.raw, snapshot, _fetch_metadata(snapshot), data_version(snapshot), {})

    def sources(self, partitions: Sequence[str | None]) -> dict[str | None, dg.EventLogRecord]:
        """The raw asset's newest event of each of these partitions that has one."""
        keys = [partition for partition in partitions if partition is not None]
        where = dg.AssetRecordsFilter(self.raw, asset_partitions=keys or None)
        records = self.instance.fetch_materializations(where, limit=2 * len(partitions)).records
        # They come newest first; those of a partition that was told of more often may leave no room for another one.
        found = {record.partition_key: record for record in reversed(records)} if keys else {}
        for partition in set(partitions) - found.keys():
            record = self.instance.get_latest_data_version_record(self.raw, False, partition)
            found |= {partition: record} if record is not None else {}
        return found

    def loaded(self, snapshot: Snapshot, told: Summary, source: dg.EventLogRecord | None) -> dg.AssetMaterialization:
        """The event of a load; `source` is the raw asset's newest event of the partition."""
        version = f"{data_version(snapshot)}-{told.fetch.contract}"
        tags = (source.event_log_entry.tags if source else None) or {}
        name = self.raw.to_user_string()
        more = {
            f"dagster/input_data_version/{name}": tags.get("dagster/data_version", "INITIAL"),
            f"dagster/input_event_pointer/{name}": str(source.storage_id) if source else "NULL",
            LOADED_TAG: told.fetch.loaded.astimezone(UTC).strftime(_TAG_TIME) if told.fetch.loaded else "",
        }
        return self._event(self.table, snapshot, _load_metadata(told) | self._columns(told), version, more)

    def _columns(self, told: Summary) -> dict[str, Any]:
        """The table's columns, and where each comes from."""
        endpoint = self.line.source.endpoints[self.endpoint]
        parent = table_key(self.line.source.name, endpoint.parent) if endpoint.parent else None
        return {
            "dagster/column_schema": columns.schema(told.columns, endpoint),
            "dagster/column_lineage": columns.column_lineage(told.columns, endpoint, self.raw, parent),
        }

    def knows_fetch(self, snapshot: Snapshot) -> bool:
        """Whether Dagster was told of this fetch, or of a later one of its partition."""
        return int(self._newest(self.raw, snapshot.manifest.partition).get(FETCH_TAG, 0)) >= snapshot.fetch

    def knows_load(self, event: dg.AssetMaterialization) -> bool:
        """Whether the newest that Dagster was told of the partition is this very load."""
        told = self._newest(event.asset_key, event.partition)
        return [told.get(tag) for tag in (FETCH_TAG, LOADED_TAG)] == [identity(event)[2], identity(event)[3]]

    def _newest(self, key: dg.AssetKey, partition: str | None) -> Mapping[str, str]:
        """The tags of an asset's newest event of a partition."""
        where = dg.AssetRecordsFilter(key, asset_partitions=None if partition is None else [partition])
        records = self.instance.fetch_materializations(where, limit=1).records
        return (records[0].asset_materialization.tags if records and records[0].asset_materialization else None) or {}

    def _event(
        self,
        key: dg.AssetKey,
        snapshot: Snapshot,
        metadata: Mapping[str, Any],
        version: str,
        tags: Mapping[str, str],
    ) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            key,
            partition=snapshot.manifest.partition,
            metadata=dict(metadata),
            tags={
                "dagster/code_version": self.versions[key],
                "dagster/data_version": version,
                FETCH_TAG: str(snapshot.fetch),
                **dimension_tags(self.line.source.endpoints[self.endpoint], snapshot.manifest.partition),
                **tags,
            },
        )


def instance_id(instance: dg.DagsterInstance) -> str:
    """The id that an instance's own database holds: another one knows nothing of what this one was told."""
    values = instance.daemon_cursor_storage
    known = values.get_cursor_values({_ID}).get(_ID)
    if known is None:
        values.set_cursor_values({_ID: uuid.uuid4().hex})
    # Read again: of two processes that make one up, the second one's stays.
    return known or values.get_cursor_values({_ID})[_ID]


def identity(event: dg.AssetMaterialization) -> tuple[dg.AssetKey, str | None, str | None, str | None]:
    """What an event is about: asset, partition, fetch and, of a table, the time of the load."""
    tags = event.tags or {}
    return event.asset_key, event.partition, tags.get(FETCH_TAG), tags.get(LOADED_TAG)


def _fetch_metadata(snapshot: Snapshot) -> dict[str, Any]:
    end = snapshot.manifest.ended
    if end is None:
        return {}
    traffic = {
        "requests": int(end.traffic.get("requests", 0)),
        "retries": int(end.traffic.get("retries", 0)),
        "waited for the limit (s)": float(end.traffic.get("limit_wait_seconds", 0)),
        "waited to retry (s)": float(end.traffic.get("retry_wait_seconds", 0)),
    }
    expected = {} if end.expected is None else _expected(end.expected, end.expected_is)
    return {
        "fetch": snapshot.fetch,
        "verdict": end.verdict,
        "reason": end.reason,
        "pages": end.pages,
        "records": end.records,
        "bytes": end.bytes,
        "seconds": round((end.at - snapshot.manifest.started).total_seconds(), 3),
        **traffic,
        **expected,
        "snapshot": dg.MetadataValue.path(str(snapshot.folder)),
    }


def _expected(records: int, told: str | None) -> dict[str, Any]:
    """What the API says there are; how it means that, where it is not exactly so many."""
    return {"expected records": records} | ({"expected is": told} if told not in (None, "exactly") else {})


def _load_metadata(told: Summary) -> dict[str, Any]:
    name, *children = told.rows
    account = {name: told.account[name] or 0 for name in _ACCOUNT_SHOWN}
    return {
        "dagster/row_count": told.rows[name],
        "fetch": told.fetch.fetch,
        "verdict": told.fetch.verdict,
        "contract": told.fetch.contract,
        **account,
        **(
            {} if told.account["expected"] is None else _expected(told.account["expected"], told.account["expected_is"])
        ),
        "removed": told.account["removed"] or 0,
        "dropped values": told.account["dropped"] or 0,
        **({"drift": dg.MetadataValue.json(list(told.drift))} if told.drift else {}),
        "child rows": told.account["child_rows"] or 0,
        "child tables": dg.MetadataValue.json({child: told.rows[child] for child in children}),
        "load seconds": round(told.account["load_seconds"] or 0, 3),
        **({"preview": dg.MetadataValue.md(_markdown(told.preview))} if told.preview else {}),
    }


def _markdown(rows: tuple[dict[str, str], ...]) -> str:
    """Rows as a table; columns that are null in all of them are left out."""
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)][:_MOST_COLUMNS_SHOWN]
    lines = ["|".join(names), "|".join("---" for _ in names)]
    lines += ["|".join(_cell(row[name]) for name in names) for row in rows]
    return "\n".join(f"|{line}|" for line in lines)


def _cell(value: str | None) -> str:
    return "" if value is None else value.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
