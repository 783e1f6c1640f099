"""A source file against its API: one page an endpoint is asked for, and nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from ingest_assets import catalog
from ingest_assets.assets.plan import Name
from ingest_assets.commands.output import Output
from ingest_assets.commands.proposals import Proposal, proposals
from ingest_assets.commands.terminal import note, printable
from ingest_assets.commands.unseen import unseen
from ingest_assets.errors import ConfigError, IngestError, WalkIncomplete
from ingest_assets.extract.peek import Peek
from ingest_assets.line import Line, opened
from ingest_assets.load.due import combinations, last_closed
from ingest_assets.normalize.normalize import Batch, Normalizer, Widened
from ingest_assets.normalize.registry import Registry, is_hidden, sensitive_places
from ingest_assets.partitions import Listed
from ingest_assets.source import Source, listed
from ingest_assets.source.model_columns import left_out, model_of

_PATIENCE_SECONDS = 2.0
_LONGEST_WAIT = timedelta(seconds=30)
_TYPES = {
    "string": "varchar",
    "int64": "bigint",
    "bool": "boolean",
    "double": "double",
    "date32[day]": "date",
    "time64[us]": "time",
    "timestamp[us]": "timestamp",
    "timestamp[us, tz=UTC]": "timestamptz",
}
_LONGEST_NAME = 40


def named(text: str) -> Source:
    """The source that a name or the path of a file means; ConfigError where there is none."""
    if text.endswith((".yaml", ".yml")):
        return catalog.load(Path(text), [Path(text).parent, *catalog.folders()])
    files = catalog.files()
    if text not in files:
        raise ConfigError(f"{text!r} is no source; {catalog.hint(text, files)}")
    return catalog.load(files[text])


def check(source: Source, out: Output) -> bool:
    """Look at file, settings, secrets, and each endpoint's first page; print what is found. Whether all is well."""
    catalog.settled(source)
    out.console.print(f"{source.name}: the file is well-formed: {len(source.endpoints)} endpoints")
    secrets = sorted({name for auth in source.ways_in for name in auth.secret_names()})
    for secret in secrets:
        out.console.print(f"  secret {secret}")
    line = _line(source, "check")
    told = [_checked(line, source, name, out) for name in source.endpoints]
    good = all(one["error"] is None for one in told)
    out.document({"source": source.name, "secrets": secrets, "endpoints": told}, ok=good)
    return good


def _checked(line: Line, source: Source, name: str, out: Output) -> dict[str, Any]:
    """What is found of one endpoint, printed."""
    if source.endpoints[name].job is not None:
        told = f"not asked for: it would make a job. See its first page by `ingest preview {source.name}.{name}`"
        out.console.print(note("!", f"{name}: {told}"))
        return {"endpoint": f"{source.name}.{name}", "error": None, "problems": [told]}
    try:
        partition = _partition(line, name)
        peek = line.peek(name, partition)
        if peek.stops:
            raise WalkIncomplete(peek.stops)
        problems = [
            *_ahead(source, name),
            *_left_out(source, name),
            *peek.oddities,
            *_misfits(source, name, peek, partition),
        ]
        problems += unseen(source.endpoints[name], peek.first) if peek.first else []
    except IngestError as error:
        out.console.print(note("✗", f"{name}: {error}"))
        return {"endpoint": f"{source.name}.{name}", "error": str(error)}
    sign, left = "!" if problems else "✓", f", {peek.left.replace(' (', ' left (')}" if peek.left else ""
    out.console.print(
        f"{sign} {name}: {peek.records:,} records on the first page{_of(partition)} ({peek.bytes:,} bytes){left}"
    )
    for problem in problems:
        out.console.print(note("   ", problem))
    counts = {"records": peek.records, "bytes": peek.bytes, "left": peek.left}
    return {"endpoint": f"{source.name}.{name}", "error": None, **counts, "problems": problems}


def _line(source: Source, run: str) -> Line:
    """The line of a command that somebody waits for: it gives up soon where there is no connection, or a long wait."""
    line = opened(source, run)
    wait = min(line.pace.max_wait, _LONGEST_WAIT)
    return replace(line, pace=msgspec.structs.replace(line.pace, retry_seconds=_PATIENCE_SECONDS, max_wait=wait))


def _of(partition: str | None) -> str:
    return f" of {partition}" if partition else ""


def _ahead(source: Source, name: str) -> list[str]:
    """That no period is over yet, so that what was asked for is no sign of anything."""
    endpoint = source.endpoints[name]
    if endpoint.periods is None or last_closed(endpoint, datetime.now(UTC)) is not None:
        return []
    return [
        f"partitions: the first {endpoint.periods.every}, {endpoint.periods.first}, is not over yet: is `start` right?"
    ]


def _left_out(source: Source, name: str) -> list[str]:
    """What the model of a contract asks, and nobody looks at."""
    path = source.endpoints[name].modes.model
    if path is None or not (found := [*left_out(model_of(path))]):
        return []
    told = ", ".join(found)
    return [f"contract: {path} asks what columns cannot be asked for, and no record is set aside for it: {told}"]


def _partition(line: Line, name: str) -> str | None:
    """A partition to look at: the newest closed period, of the first account or the like."""
    endpoint = line.source.endpoints[name]
    told, members = endpoint.partitions, {key: [_member(line, one)] for key, one in listed(endpoint).items()}
    if told is None:
        return None
    period = last_closed(endpoint, datetime.now(UTC)) or (endpoint.periods.first if endpoint.periods else None)
    return told.key(period, combinations(endpoint, members)[0])


def _member(line: Line, told: Listed) -> str:
    """The first value that another endpoint's first page lists."""
    partition = _partition(line, told.endpoint)
    batch = _normalized(line.source, told.endpoint, line.peek(told.endpoint, partition), partition)
    rows = batch.tables.get(told.endpoint) if batch else None
    if rows is not None and told.field in rows.column_names:
        for value in rows.column(told.field).to_pylist():
            if value is not None:
                return str(value)
    raise ConfigError(
        f"{line.source.name}.{told.endpoint}: its first page lists no {told.field!r} to ask for{_why(batch, rows)}"
    )


def _why(batch: Batch | None, rows: pa.Table | None) -> str:
    """Why a page lists no value of a column."""
    if batch is not None and batch.quarantined:
        return f": {len(batch.quarantined)} of {batch.received} records would be quarantined"
    columns = [name for name in rows.column_names if not name.startswith("_")] if rows is not None else []
    return f"; its columns are {', '.join(columns)}" if columns else ": it holds no records"


def _misfits(source: Source, name: str, peek: Peek, partition: str | None) -> list[str]:
    """Why records of the page would go to quarantine, the most frequent reason first."""
    batch = _normalized(source, name, peek, partition)
    if batch is None or not batch.quarantined:
        return []
    first = batch.quarantined[0]
    return [f"{len(batch.quarantined)} of {batch.received} records would be quarantined, such as: {first.reason}"]


def _normalized(source: Source, name: str, peek: Peek, partition: str | None) -> Batch | None:
    found = _normalizing(source, name, peek, partition)
    return None if found is None else found[1]


def _normalizing(source: Source, name: str, peek: Peek, partition: str | None) -> tuple[Normalizer, Batch] | None:
    """The page's rows, and what knows their tables; None where there is no page."""
    if peek.first is None:
        return None
    endpoint, registry = source.endpoints[name], Registry.empty()
    while True:
        try:
            normalizer = Normalizer(name, endpoint.contract, registry, endpoint.told(partition))
            normalizer.of_page(peek.parent)
            return normalizer, normalizer.batch(peek.first, 0)
        except Widened as wider:
            registry = wider.registry


def preview(source: Source, name: Name, rows: int, out: Output, partition: str | None = None) -> None:
    """Print the first records as rows, the child tables, and types to declare."""
    endpoint, line = source.endpoints[name[1]], _line(source, "preview")
    if endpoint.partitions is None and partition is not None:
        raise ConfigError(f"{'.'.join(name)}: it has no partitions, so --partition names none of them")
    partition = _partition(line, name[1]) if partition is None else partition
    try:
        endpoint.bounds(partition)
    except ValueError as error:
        raise ConfigError(f"{'.'.join(name)}: --partition {error}") from None
    peek = line.peek(name[1], partition)
    found = _normalizing(source, name[1], peek, partition)
    batch, hidden = (found[1], _hidden(found[0])) if found else (None, {})
    tables = batch.tables if batch else {}
    proposed = [p for table, arrow in tables.items() if table == name[1] for p in proposals(arrow, endpoint)]
    shown = [_table(f"{source.name}.{table}", arrow, rows, hidden[table]) for table, arrow in tables.items()]
    aside = [{"position": r.position, "reason": r.reason} for r in (batch.quarantined[:rows] if batch else ())]
    told = {
        "endpoint": ".".join(name),
        "partition": partition,
        "stops": peek.stops,
        "records": peek.records,
        "tables": shown,
        "quarantined": aside,
    }
    _print_preview(told, proposed, out)
    out.document({**told, "types": [asdict(proposal) for proposal in proposed]})


def _hidden(normalizer: Normalizer) -> dict[str, set[str]]:
    """The columns of each table that are sensitive, or are json around what is."""
    places = sensitive_places(normalizer.registry, normalizer.contract)
    return {
        spec.name: {c.name for c in spec.columns if c.sensitive or is_hidden((*spec.path, *c.path), places)}
        for spec in normalizer.specs
    }


def _print_preview(told: Mapping[str, Any], proposed: Sequence[Proposal], out: Output) -> None:
    out.console.print(f"{told['endpoint']}: {told['records']:,} records on the first page{_of(told['partition'])}")
    if told["stops"]:
        out.console.print(note("✗", told["stops"]))
    for table in told["tables"]:
        out.console.print(f"\n{table['table']}", style="bold")
        _print_rows(table, out)
    for record in told["quarantined"]:
        out.console.print(f"quarantined: record {record['position']}: {record['reason']}")
    if proposed:
        out.console.print("\nTypes to declare, where these hold for all records:")
        out.console.print("    columns:")
    for one in proposed:
        text = f"      {one.column}: {{type: {one.type}}}  # {one.example}"
        out.console.print(text)


def _table(name: str, arrow: pa.Table, rows: int, sensitive: set[str]) -> dict[str, Any]:
    """The first rows of a table by column, without the values of sensitive ones."""
    shown, columns = arrow.slice(0, rows), list[dict[str, Any]]()
    for column in (c for c in shown.column_names if not c.startswith("_")):
        values = None if column in sensitive else shown.column(column).to_pylist()
        columns.append({"column": column, "type": _type(shown.schema.field(column).type), "values": values})
    return {"table": name, "columns": columns}


def _print_rows(table: Mapping[str, Any], out: Output) -> None:
    """A column a line: wide tables are read downwards."""
    width = min(_LONGEST_NAME, max((len(column["column"]) for column in table["columns"]), default=0))
    for column in table["columns"]:
        values = ["(sensitive)"] if column["values"] is None else [_short(v) for v in column["values"]]
        text = f"  {column['column']:<{width}} {column['type']:<11} {' | '.join(values)}"
        out.console.print(text, no_wrap=True, overflow="ellipsis")


def _short(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return printable(text[:40].replace("\n", " "))


def _type(kind: pa.DataType) -> str:
    """As `columns:` calls it.

    >>> [_type(kind) for kind in (pa.decimal128(12, 2), pa.date32(), pa.float64(), pa.timestamp("us"))]
    ['decimal(12,2)', 'date', 'double', 'timestamp']
    """
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return _TYPES.get(str(kind), str(kind))
