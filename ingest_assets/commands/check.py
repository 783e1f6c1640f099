"""A source file against its API: one page an endpoint is asked for, and nothing is written."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

import pyarrow as pa
from rich.console import Console

from ingest_assets import catalog
from ingest_assets.assets.plan import Name
from ingest_assets.assets.resources import Api
from ingest_assets.contract import Contract
from ingest_assets.errors import IngestError
from ingest_assets.extract.peek import Peek
from ingest_assets.line import Line
from ingest_assets.load.due import last_closed_day
from ingest_assets.normalize import Batch, Normalizer, Registry, Widened
from ingest_assets.source import Source

_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,6}")


def check(source: Source, console: Console) -> bool:
    """Look at file, settings, secrets, and each endpoint's first page; print what is found. Whether all is well."""
    catalog.settled(source)
    console.print(f"{source.name}: the file is well-formed: {len(source.endpoints)} endpoints")
    line, good = Api().line(source, "check"), True
    for secret in sorted(source.auth.secret_names()):
        console.print(f"  secret {secret}")
    for name in source.endpoints:
        try:
            peek = line.peek(name, _partition(source, name))
            problems = [*peek.oddities, *_misfits(source, name, peek)]
        except IngestError as error:
            good = False
            console.print(f"✗ {name}: {error}", soft_wrap=True, markup=False, highlight=False)
            continue
        sign = "!" if problems else "✓"
        console.print(
            f"{sign} {name}: {peek.records:,} records on the first page ({peek.bytes:,} bytes)", highlight=False
        )
        for problem in problems:
            console.print(f"    {problem}", soft_wrap=True, markup=False, highlight=False)
    return good


def _partition(source: Source, name: str) -> str | None:
    endpoint = source.endpoints[name]
    return last_closed_day(endpoint, datetime.now(UTC)).isoformat() if endpoint.partitions else None


def _misfits(source: Source, name: str, peek: Peek) -> list[str]:
    """Why records of the page would go to quarantine, the most frequent reason first."""
    batch = _normalized(name, source.endpoints[name].contract, peek)
    if batch is None or not batch.quarantined:
        return []
    first = batch.quarantined[0]
    return [f"{len(batch.quarantined)} of {batch.received} records would be quarantined, such as: {first.reason}"]


def _normalized(name: str, contract: Contract, peek: Peek) -> Batch | None:
    if peek.first is None:
        return None
    registry = Registry.empty()
    while True:
        try:
            return Normalizer(name, contract, registry).batch(peek.first, 0)
        except Widened as wider:
            registry = wider.registry


@dataclass(frozen=True)
class Proposal:
    """A column whose values would all fit a type that JSON cannot say."""

    column: str
    type: str
    example: str


def preview(source: Source, name: Name, rows: int, console: Console, partition: str | None = None) -> None:
    """Print the first records as rows, the child tables, and types to declare."""
    line: Line = Api().line(source, "preview")
    endpoint = source.endpoints[name[1]]
    peek = line.peek(name[1], partition or _partition(source, name[1]))
    batch = _normalized(name[1], endpoint.contract, peek)
    console.print(f"{'.'.join(name)}: {peek.records:,} records on the first page", highlight=False)
    if batch is None:
        return
    for table_name, arrow in batch.tables.items():
        console.print(f"\n{source.name}.{table_name}", style="bold", highlight=False)
        _print_rows(arrow, rows, {n for n, c in endpoint.columns.items() if c.sensitive}, console)
    for record in batch.quarantined[:rows]:
        console.print(f"quarantined: record {record.position}: {record.reason}", markup=False)
    told = [p for n, arrow in batch.tables.items() if n == name[1] for p in proposals(arrow, endpoint.columns)]
    if told:
        console.print("\nTypes to declare, where these hold for all records:", highlight=False)
        console.print("    columns:", highlight=False)
        for proposal in told:
            text = f"      {proposal.column}: {{type: {proposal.type}}}  # {proposal.example}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_rows(arrow: pa.Table, rows: int, sensitive: set[str], console: Console) -> None:
    """A column a line: wide tables are read downwards."""
    shown = arrow.slice(0, rows)
    for column in (c for c in shown.column_names if not c.startswith("_")):
        values = ["(sensitive)"] if column in sensitive else [_short(v) for v in shown.column(column).to_pylist()]
        text = f"  {column:<40} {_type(shown.schema.field(column).type):<12} {' | '.join(values)}"
        console.print(text, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")


def _short(value: object) -> str:
    return "" if value is None else str(value)[:40].replace("\n", " ")


def _type(kind: pa.DataType) -> str:
    return {"string": "varchar", "int64": "bigint", "bool": "boolean", "timestamp[us, tz=UTC]": "timestamptz"}.get(
        str(kind), str(kind)
    )


def proposals(arrow: pa.Table, declared: Mapping[str, object]) -> list[Proposal]:
    """Types that all of an undeclared text column's values would fit."""
    found = []
    for column in arrow.column_names:
        if column.startswith("_") or column in declared or not pa.types.is_string(arrow.schema.field(column).type):
            continue
        values = [value for value in arrow.column(column).to_pylist() if value is not None]
        if kind := _kind(values):
            found.append(Proposal(column, kind, values[0]))
    return found


def _kind(values: Sequence[str]) -> str | None:
    for kind, fits in (
        ("uuid", _is_uuid),
        ("date", _is_date),
        ("timestamptz", _is_time),
        ("decimal(18,6)", _is_decimal),
    ):
        if values and all(fits(value) for value in values):
            return kind
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2026-01-31") and datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) is not None
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return len(text) > len("2026-01-31") and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_decimal(text: str) -> bool:
    try:
        return _DECIMAL.fullmatch(text) is not None and Decimal(text).is_finite()
    except InvalidOperation:
        return False
