"""One walk without a fault, loaded: does the table hold each record once, and no secret?"""

import time
from dataclasses import replace

from ingest_assets.chaos.trial import Bench, Tried
from ingest_assets.errors import IngestError
from ingest_assets.line import Line, Pace
from ingest_assets.load.warehouse import quoted
from ingest_assets.source import listed

NAME = "loaded"
SAYS = "the API does what the file says, and what came is loaded"
_TODO = "look at `columns` and `primary_key`; where the file is right, this is a mistake of ingest_assets"


def loads(bench: Bench) -> bool:
    """Whether an endpoint can be loaded by itself: no other endpoint's table says what is asked for."""
    endpoint = bench.api.case.endpoint
    return endpoint.parent is None and not listed(endpoint)


def loaded(bench: Bench, pace: Pace) -> Tried:
    """Fetch and load the case's partition by the whole line."""
    began, case = time.monotonic(), bench.api.case
    bench.begin()
    line = Line(
        case.source,
        bench.folder / NAME,
        run="test",
        pace=pace,
        secrets=bench.secrets,
        now=lambda: case.now + bench.api.passed,
    )
    try:
        with line.partition(case.name, case.partition):
            line.fetch(case.name, case.partition)
            (load,) = line.load(case.name, case.partition)
    except IngestError as error:
        tried = Tried(case.label, NAME, SAYS, "broken", str(error), _TODO)
    else:
        told, expected = load.account, {record.identity for record in bench.api.expected}
        counts = f"{told.inserted} rows, {told.quarantined} set aside of {told.received} records"
        whole = told.adds_up and told.received == len(expected) and told.inserted + told.quarantined == told.received
        tried = Tried(case.label, NAME, SAYS, "kept" if whole else "broken", counts, "" if whole else _TODO)
    tables = {f"a table: {name}": text.encode() for name, text in _rows(line)}
    if leaks := bench.leaks(line.snapshots, tried.happened, tables):
        tried = replace(tried, verdict="broken", happened=f"a secret stands in {', '.join(leaks)}", todo=_TODO)
    return replace(tried, requests=len(bench.api.asked), seconds=time.monotonic() - began)


def _rows(line: Line) -> list[tuple[str, str]]:
    """All rows of all tables of the warehouse, as text."""
    with line.warehouse.session("looking for secrets") as connection:
        names = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'w'"
        ).fetchall()
        found = []
        for schema, table in names:
            rows = connection.execute(f"SELECT * FROM w.{quoted(schema)}.{quoted(table)}").fetchall()  # noqa: S608 -- quoted
            found.append((f"{schema}.{table}", str(rows)))
    return found
