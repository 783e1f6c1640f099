"""Which stored response a row came from: fetch, page, place, URL, time, run, and the record as the API sent it."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ingest_assets.catalog import hint
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import facts, moment, printable
from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.http.transport import url_of
from ingest_assets.load.lineage import Cited, Lineage, Stored
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Source

_HIDDEN = "(sensitive)"


def why(
    sources: Mapping[str, Source],
    table: str,
    key: Sequence[str],
    data: Path,
    out: Output,
    *,
    most: int,
    show_sensitive: bool,
) -> bool:
    """Print where the rows of a key came from; whether there is one. Values of sensitive columns stay hidden, unless.

    ConfigError where there is no such table or column.
    """
    source, endpoint = owner(sources, table)
    work = Work(source.name, endpoint, source.endpoints[endpoint])
    with Warehouse(data).reading() as connection:
        lineage = Lineage(connection, work, table.partition(".")[2])
        wanted = lineage.key(key)
        secret = {} if show_sensitive else {c.name: _HIDDEN for c in lineage.root.columns if c.sensitive}
        named = {name: secret.get(name, value) for name, value in wanted.items()}
        rows = [_row(lineage, data, cited, hide=not show_sensitive) for cited in lineage.cited(wanted, most)]
        aside = 0 if rows else lineage.aside(wanted)
    heading = f"{table}: {', '.join(f'{name} = {value}' for name, value in named.items())}"
    _print(heading, rows, aside, out)
    out.document({"table": table, "key": named, "rows": rows, "quarantined": aside}, ok=bool(rows))
    return bool(rows)


def owner(sources: Mapping[str, Source], table: str) -> tuple[Source, str]:
    """The source and the endpoint that a table, or the table of a list, belongs to; ConfigError where there is none.

    A list's table has its endpoint's name, two underscores, and its own.
    """
    source, _, name = table.partition(".")
    if source not in sources:
        raise ConfigError(f"{source!r} is no source; {hint(source, sources)}")
    endpoints = sources[source].endpoints
    found = [endpoint for endpoint in endpoints if name == endpoint or name.startswith(f"{endpoint}__")]
    if not found:
        raise ConfigError(f"{table!r} is no table; {hint(table, [f'{source}.{endpoint}' for endpoint in endpoints])}")
    return sources[source], max(found, key=len)


def _row(lineage: Lineage, data: Path, cited: Cited, *, hide: bool) -> dict[str, Any]:
    """All that is known of how a row came; what its snapshot says is null, with the problem, where that is gone."""
    fetch = lineage.fetch(cited.fetch)
    told: dict[str, Any] = {"state": "deleted" if cited.deleted else "there", "fetch": cited.fetch, "page": cited.page}
    told["places_in_list"] = cited.places
    told |= {name: fetch.get(name) for name in ("source", "endpoint", "partition", "started", "ended", "run")}
    told |= {name: fetch.get(name) for name in ("verdict", "reason", "loaded", "loaded_run", "contract")}
    snapshots = Snapshots(data / "raw")
    try:
        stored = lineage.stored(snapshots, cited, told["partition"], hide=hide)
    except StorageFailed as error:
        return told | _response(None) | {"problem": str(error)}
    folder = snapshots.find(told["source"], told["endpoint"], told["partition"], cited.fetch).folder
    return told | _response(stored) | {"folder": str(folder), "problem": None}


def _response(stored: Stored | None) -> dict[str, Any]:
    names = ("position", "method", "url", "status", "received", "bytes", "records", "record", "hidden")
    if stored is None:
        return dict.fromkeys(names)
    page, request = stored.page, stored.page.request
    asked = (request.method, url_of(request))
    answered = (page.status, page.received, page.bytes, page.records)
    return dict(zip(names, (stored.position, *asked, *answered, stored.record, stored.hidden), strict=True))


def _print(heading: str, rows: Sequence[Mapping[str, Any]], aside: int, out: Output) -> None:
    out.console.print(heading, style="bold")
    if not rows:
        out.console.print("There is no such row in the reader's copy, and none that was deleted.")
    if aside:
        out.console.print(f"{aside:,} records in quarantine hold these values: ingest quarantine list")
    for row in rows:
        out.console.print()
        out.console.print(facts(_facts(row)))
        if row["problem"] is None:
            out.console.print()
            out.console.print(_pretty(row["record"]))
        if row["hidden"]:
            out.console.print(f"{row['hidden']} sensitive values are hidden; see them by --show-sensitive")


def _facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    partition = f"[{row['partition']}]" if row["partition"] is not None else ""
    what = "deleted by" if row["state"] == "deleted" else "came with"
    place = f", record {row['position']}" if row["position"] is not None else ""
    if places := ", ".join(map(str, row["places_in_list"])):
        place += f"; in its list {places}"
    fetch = f"{row['fetch']} of {row['source']}.{row['endpoint']}{partition}"
    run = f" in run {_short(row['run'])}" if row["run"] else ""
    told = [(what, f"fetch {fetch}, page {row['page']}{place}")]
    if row["problem"] is not None:
        told.append(("response", row["problem"]))
    else:
        told.append((row["method"], row["url"]))
        counts = f"{row['bytes']:,} bytes, {row['records']:,} records"
        told.append(("answered", f"{moment(row['received'])}, HTTP {row['status']}, {counts}"))
        told.append(("stored in", row["folder"]))
    told.append(("fetch began", f"{moment(row['started'])}{run}"))
    told.append(("it ended", f"{moment(row['ended'])}, {row['verdict']}: {row['reason']}"))
    told.append(("loaded", f"{moment(row['loaded'])} in run {_short(row['loaded_run'])}, contract {row['contract']}"))
    return told


def _short(run: str | None) -> str:
    """A run's id as Dagster's UI shows it."""
    return (run or "")[:8]


def _pretty(record: str) -> str:
    """The record over several lines, digit by digit as it is."""
    with contextlib.suppress(msgspec.MsgspecError):
        record = msgspec.json.format(record, indent=2)
    return printable(record)
