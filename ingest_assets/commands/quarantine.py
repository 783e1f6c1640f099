"""Records that did not fit: which there are, one by one as they came, and what a replay makes of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ingest_assets.assets.plan import Name, Range, in_ranges
from ingest_assets.column import Column
from ingest_assets.commands.output import Output
from ingest_assets.commands.run import Outcome, ran
from ingest_assets.commands.terminal import printable, table
from ingest_assets.contract import Contract
from ingest_assets.errors import ConfigError
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.normalize.exact import exact_value
from ingest_assets.normalize.masked import MASK, masked, sensitive
from ingest_assets.normalize.names import in_list
from ingest_assets.normalize.registry import (
    Registry,
    declared_columns,
    declared_path,
    is_hidden,
    sensitive_places,
)
from ingest_assets.normalize.values import Unfit, json_text
from ingest_assets.source import Source

_PLACE = re.compile(r"(\d+)/(\d+)/(\d+)")
_LONGEST_RECORD = 4_000
_OPEN = "q.source = $1 AND q.endpoint = $2 AND q.closed_by IS NULL"


@dataclass(frozen=True)
class _Kind:
    """Open records of one endpoint and reason. `place` is that of the newest: fetch, page and position."""

    endpoint: str
    reason: str
    column: str | None
    records: int
    fetched: datetime
    place: str


@dataclass(frozen=True)
class _Record:
    """One open record: where it stands, why it is there, what was expected, and what people may see of it."""

    place: str
    partition: str | None
    fetched: datetime
    reason: str
    column: str | None
    expected: str | None
    found: str | None
    record: Any


def list_kinds(names: Sequence[Name], data: Path, out: Output) -> None:
    """Print what is in quarantine by endpoint and reason, newest first."""
    with Warehouse(data).reading() as connection:
        found = sorted((kind for name in names for kind in _kinds(connection, name)), key=_newest, reverse=True)
    out.document({"quarantine": [asdict(kind) for kind in found]})
    if not found:
        out.console.print("Nothing is in quarantine")
        return
    rows = [(kind.endpoint, kind.records, f"{kind.fetched:%Y-%m-%d %H:%M}", kind.place, kind.reason) for kind in found]
    out.console.print(table(("endpoint", "records", "newest", "place", "reason"), rows))
    first = found[0]
    out.console.print(f"\nLook at one: ingest quarantine show {first.endpoint} {first.place}")


def _newest(kind: _Kind) -> tuple[datetime, str]:
    return kind.fetched, kind.place


def _kinds(connection: Any, name: Name) -> list[_Kind]:
    rows = connection.execute(
        f"""
        SELECT q.reason, q."column", count(*), max(f.started), max((q._fetch, q._page, q._position))
        FROM _ingest.quarantine AS q JOIN _ingest.fetches AS f USING (_fetch)
        WHERE {_OPEN} GROUP BY ALL
        """,  # noqa: S608 -- our own condition
        list(name),
    ).fetchall()
    endpoint = ".".join(name)
    return [
        _Kind(endpoint, reason, column, records, fetched, "/".join(map(str, place)))
        for reason, column, records, fetched, place in rows
    ]


def show(source: Source, name: Name, data: Path, place: str | None, most: int, out: Output) -> None:
    """Print open records of an endpoint as they came, the newest first, or the one at a place.

    Values of sensitive columns are masked. Raises ConfigError where no such record is open.
    """
    contract = source.endpoints[name[1]].contract
    with Warehouse(data).reading() as connection:
        registry = _registry(connection, name)
        records = [_seen(row, contract, registry) for row in _open(connection, name, place, most)]
        total = sum(kind.records for kind in _kinds(connection, name))
    out.document({"endpoint": ".".join(name), "open": total, "records": [asdict(record) for record in records]})
    for record in records:
        out.console.print(_text(record))
    if not records:
        out.console.print(f"Nothing of {'.'.join(name)} is in quarantine")
    elif place is None and total > len(records):
        out.console.print(f"{total - len(records):,} more are open: --most {total}, or name a PLACE")


def _open(connection: Any, name: Name, place: str | None, most: int) -> list[tuple[Any, ...]]:
    where, values = "true", list[Any]()
    if place is not None:
        if (parts := _PLACE.fullmatch(place)) is None:
            raise ConfigError(f"{place!r} is no place; expected FETCH/PAGE/POSITION such as 12/0/3")
        where, values = "(q._fetch, q._page, q._position) = ($4, $5, $6)", [int(part) for part in parts.groups()]
    rows: list[tuple[Any, ...]] = connection.execute(
        f"""
        SELECT concat_ws('/', q._fetch, q._page, q._position), q.partition, f.started, q.reason, q."column", q.value,
            q.record
        FROM _ingest.quarantine AS q JOIN _ingest.fetches AS f USING (_fetch)
        WHERE {_OPEN} AND {where} ORDER BY q._fetch DESC, q._page DESC, q._position DESC LIMIT $3
        """,  # noqa: S608 -- our own conditions
        [*name, most, *values],
    ).fetchall()
    if place is not None and not rows:
        raise ConfigError(
            f"{'.'.join(name)}: no open record of quarantine is at {place}. `ingest quarantine list` tells the places"
        )
    return rows


def _registry(connection: Any, name: Name) -> Registry:
    row = connection.execute(
        "SELECT registry FROM _ingest.registries WHERE source = ? AND endpoint = ?", list(name)
    ).fetchone()
    return Registry.from_json(row[0]) if row else Registry.empty()


def _seen(row: tuple[Any, ...], contract: Contract, registry: Registry) -> _Record:
    place, partition, fetched, reason, column, found, raw = row
    declared = _declared(contract).get(column or "")
    # What was not sensitive when the record came may be so by now, or hold what is.
    hidden = found is not None and _may_hold_sensitive(declared, contract, registry)
    key = column in contract.primary_key
    expected = _expected(declared[2] if declared else None, key=key) if column else None
    record = _visible(bytes(raw), contract, registry)
    return _Record(place, partition, fetched, reason, column, expected, MASK if hidden else found, record)


def _declared(contract: Contract) -> dict[str, tuple[tuple[str, ...], str, Column]]:
    """Table, name and declaration of each column, by the name that it has in quarantine."""
    tables = [*(tuple(dotted.split(".")) for dotted in contract.children), ()]
    columns = ((table, name, column) for table in tables for name, column in declared_columns(contract, table).items())
    return {in_list(table, name): (table, name, column) for table, name, column in columns}


def _may_hold_sensitive(
    declared: tuple[tuple[str, ...], str, Column] | None, contract: Contract, registry: Registry
) -> bool:
    """Whether a value that did not fit a column may be sensitive, or have inside what is."""
    if declared is None:
        return sensitive(contract)
    table, name, column = declared
    path = declared_path(registry, table, name, column)
    place = (*table, *((name,) if path is None else path))
    return column.sensitive or is_hidden(place, sensitive_places(registry, contract))


def _expected(column: Column | None, *, key: bool) -> str | None:
    """What the contract wants in a column, in words."""
    parts = ["a value, as part of the key"] if key else []
    if column is not None:
        parts = [column.type + (f", written as {column.format}" if column.format else "")]
        parts += [f"one of {', '.join(column.values)}"] if column.values else []
        rules = {"at least": column.min, "at most": column.max, "matching": column.pattern}
        parts += [f"{rule} {told}" for rule, told in rules.items() if told is not None]
        parts += ["part of the key"] if key else ["required"] if column.required else []
    return "; ".join(parts) or None


def _visible(raw: bytes, contract: Contract, registry: Registry) -> Any:
    """The record without what is sensitive; where it is no JSON, its text, or nothing where that may be sensitive."""
    try:
        return masked(exact_value(raw), contract, registry)
    except Unfit:
        text = raw.decode("utf-8", "replace")
        return f"({len(raw):,} bytes that are not shown: they cannot be read)" if sensitive(contract) else text


def _text(record: _Record) -> str:
    fetch, page, position = record.place.split("/")
    of = f" of {record.partition}" if record.partition else ""
    lines = [
        f"{record.place}   fetch {fetch}{of} at {record.fetched:%Y-%m-%d %H:%M}, page {page}, record {position}",
        f"  reason    {record.reason}",
        *([f"  column    {record.column}"] if record.column else []),
        *([f"  expected  {record.expected}"] if record.expected else []),
        *([f"  found     {record.found}"] if record.found is not None else []),
        *(f"  {line}" for line in _written(record.record).splitlines()),
    ]
    return "\n".join(lines) + "\n"


def _written(record: Any) -> str:
    """JSON as people read it, digit by digit, and short enough for a screen."""
    text = record if isinstance(record, str) else msgspec.json.format(json_text(record), indent=2)
    shown = printable(text)
    return shown if len(shown) <= _LONGEST_RECORD else f"{shown[:_LONGEST_RECORD]}\n… {len(shown):,} characters in all"


@dataclass(frozen=True)
class Mended:
    """What came of a replay: of its runs, and how many of the records still do not fit."""

    run: Outcome
    still: int


def replay(sources: Mapping[str, Source], names: Sequence[Name], data: Path, out: Output) -> Mended:
    """Load again the partitions with open records whose contract was mended since, and say what came of the records."""
    with Warehouse(data).reading() as connection:
        before = {name: places for name in names if (places := _places(connection, name))}
        ranges = [r for name, places in before.items() for r in _ranges(connection, sources[name[0]], name, places)]
    done = ran(sources, ranges, data, out, tables_only=True) if ranges else Outcome(True, ())
    told = [_what_came(name, data, places) for name, places in before.items()]
    still = sum(one["still"] for one in told)
    for one in told:
        out.console.print(_sentence(one))
    if not told:
        out.console.print("Nothing is in quarantine")
    elif not ranges:
        out.console.print("Nothing was loaded again: the columns are still those that these records did not fit")
    out.document({"quarantine": told}, ok=done.succeeded and not done.failures and not still)
    return Mended(done, still)


def _what_came(name: Name, data: Path, before: set[tuple[str | None, str]]) -> dict[str, Any]:
    with Warehouse(data).reading() as connection:
        after = _places(connection, name)
    told = {"records": len(before), "fit": len(before - after), "still": len(before & after)}
    return {"endpoint": ".".join(name), **told, "others": len(after - before)}


def _sentence(told: Mapping[str, Any]) -> str:
    text = f"{told['endpoint']}: {told['fit']:,} of {told['records']:,} records now fit"
    if told["still"]:
        text += f". See why the others do not: ingest quarantine show {told['endpoint']}"
    if told["others"]:
        text += f". {told['others']:,} that were in the table do not fit any more"
    return text


def _places(connection: Any, name: Name) -> set[tuple[str | None, str]]:
    """Partition and place of all open records."""
    query = f"SELECT partition, concat_ws('/', _fetch, _page, _position) FROM _ingest.quarantine AS q WHERE {_OPEN}"  # noqa: S608 -- our own condition
    return set(connection.execute(query, list(name)).fetchall())


def _ranges(connection: Any, source: Source, name: Name, places: set[tuple[str | None, str]]) -> list[Range]:
    """The runs that load again the partitions of these places that were loaded under another contract."""
    current = connection.execute(
        "SELECT partition FROM (SELECT partition, contract FROM _ingest.fetches "
        "WHERE source = $1 AND endpoint = $2 AND loaded IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY partition ORDER BY _fetch DESC) = 1) WHERE contract = $3",
        [*name, source.endpoints[name[1]].contract.version],
    ).fetchall()
    partitions = {partition for partition, _ in places} - {partition for (partition,) in current}
    if None in partitions:
        return [Range((name,))]
    return in_ranges({name: [key for key in partitions if key is not None]}, source.endpoints[name[1]])
