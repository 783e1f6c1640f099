"""Rows that Dagster was shown with a load, taken out of its event log.

Dagster has no way to change an event. Its files are SQLite's, so the text of the previews is replaced there, and the
files are written anew, since SQLite leaves in free pages what was replaced.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg

_PREVIEW = "preview"
_INSTEAD = "(a record of this table was forgotten, and the preview with it)"
_WAIT_SECONDS = 60


def forget_previews(key: dg.AssetKey) -> int:
    """Take the previews out of all events of an asset in DAGSTER_HOME's files; how many there were.

    Nothing is found where Dagster keeps its events elsewhere, such as in Postgres.
    """
    home = Path(os.environ["DAGSTER_HOME"])
    return sum(_forget(file, key) for file in sorted((home / "history").rglob("*.db")))


def _forget(file: Path, key: dg.AssetKey) -> int:
    with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event_logs'").fetchall():
            return 0
        rows = connection.execute(
            "SELECT id, event FROM event_logs WHERE asset_key = ? AND instr(event, ?)", (key.to_string(), _PREVIEW)
        ).fetchall()
        found = [(json.dumps(event), number) for number, text in rows if _taken_out(event := json.loads(text))]
        with connection:
            connection.executemany("UPDATE event_logs SET event = ? WHERE id = ?", found)
        if found:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(found)


def _taken_out(event: Any) -> bool:
    """Replace the texts of previews wherever they stand in an event; whether there was one."""
    if isinstance(event, list):
        return sum(map(_taken_out, event)) > 0
    if not isinstance(event, dict):
        return False
    found = sum(map(_taken_out, event.values()))
    shown = event.get("entry_data") if event.get("label") == _PREVIEW else event.get(_PREVIEW)
    if isinstance(shown, dict) and isinstance(shown.get("md_str"), str) and shown["md_str"] != _INSTEAD:
        shown["md_str"] = _INSTEAD
        found += 1
    return found > 0
