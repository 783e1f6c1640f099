"""Values of records that Dagster was shown, taken out of its events: previews, samples of drift, findings of checks.

Dagster has no way to change an event. Its files are SQLite's, so the texts are replaced there, and the files are
written anew, since SQLite leaves in free pages what was replaced.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg

from ingest_assets.load.health import QUOTING

_SHOWN = ("preview", "drift")
_INSTEAD = "(a record of this table was forgotten, and what was shown of others with it)"
_EVENTS = {"event_logs": "event", "asset_keys": "last_materialization", "asset_check_executions": "evaluation_event"}
_WAIT_SECONDS = 60


def forget_shown(key: dg.AssetKey) -> int:
    """Take what was shown of records out of all events of an asset in DAGSTER_HOME's files; how many showed some.

    Dagster has copies of an event, and each is counted. Nothing is found where it keeps events elsewhere, such as in
    Postgres.
    """
    home = Path(os.environ["DAGSTER_HOME"])
    return sum(_forget(file, key) for file in sorted((home / "history").rglob("*.db")))


def _forget(file: Path, key: dg.AssetKey) -> int:
    with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        tables = [(table, column) for table, column in _EVENTS.items() if table in there]
        found = sum(_forget_in(connection, table, column, key) for table, column in tables)
        if found:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found


def _forget_in(connection: sqlite3.Connection, table: str, column: str, key: dg.AssetKey) -> int:
    rows = connection.execute(
        f"SELECT rowid, {column} FROM {table} WHERE instr({column}, ?)",  # noqa: S608 -- names of our own
        (json.dumps(key.path),),
    ).fetchall()
    events = [(number, json.loads(text)) for number, text in rows]
    cleaned = [(number, event, _cleaned(event, key)) for number, event in events]
    changed = [(json.dumps(after), number) for number, before, after in cleaned if after != before]
    with connection:
        connection.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", changed)  # noqa: S608 -- as above
    return len(changed)


def _cleaned(event: Any, key: dg.AssetKey) -> Any:
    """The same event without what it shows of records of an asset; as it is where it is not about that."""
    entry = event.get("event_log_entry") or event
    told = (entry.get("dagster_event") or {}).get("event_specific_data") or {}
    about = (told.get("materialization") or told).get("asset_key") or {}
    if about.get("path") != list(key.path):
        return event
    return _without(event, told.get("description") if told.get("check_name") in QUOTING else None)


def _without(value: Any, finding: str | None) -> Any:
    """The same without previews, samples, and a check's finding, which Dagster's messages repeat."""
    if isinstance(value, str):
        return value.replace(finding, _INSTEAD) if finding else value
    if isinstance(value, list):
        return [_without(one, finding) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without(one, finding) for name, one in value.items()}
    shown = [kept.get("entry_data")] if kept.get("label") in _SHOWN else [kept.get(label) for label in _SHOWN]
    for data in shown:
        if isinstance(data, dict):
            data.update({name: _INSTEAD for name in ("md_str", "data") if name in data})
    return kept
