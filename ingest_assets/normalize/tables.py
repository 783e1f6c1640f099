"""The columns of many records as the Arrow tables of a batch: with ordinals, places and hashes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from ingest_assets.normalize.names import Path
from ingest_assets.normalize.pieces import Columns, Found, Rows
from ingest_assets.normalize.plain import numbers_array, numbers_of, repeated, uuid_array
from ingest_assets.normalize.rows import Plan, TablePlan, to_arrow


def fast_tables(
    columns: Columns, counts: dict[str, int], page: int | Rows, positions: Sequence[int] | Rows, texts: Sequence[Any]
) -> dict[str, pa.Table]:
    """The Arrow tables of columns, as `exact_tables` gives them of the same records; `page` may be the page of each."""
    roots: dict[Path, Rows] = {(): np.arange(len(columns))}
    by_name = {table.spec.name: table for table in columns.plan.tables}
    firsts = {table.spec.name: counts.get(table.spec.name, 0) for table in columns.plan.tables}
    tables = {}
    for table in columns.plan.tables:
        name, found = table.spec.name, columns.tables[table.spec.path]
        counts[name] = firsts[name] + found.rows
        system: dict[str, Any] = {"_row": np.arange(firsts[name], counts[name])}
        if table.spec.parent is None:
            system |= {"_page": np.full(found.rows, page), "_position": np.asarray(positions, np.int64)}
            system["_hash"] = uuid_array(list(map(xxhash.xxh3_128_digest, texts)))
            system |= {name: uuid_array(digests) for name, digests in table.list_hashes(texts).items()}
        else:
            above = by_name[table.spec.parent]
            roots[table.spec.path] = roots[above.spec.path][found.parents] if found.rows else found.parents
            system["_parent_row"] = found.parents + firsts[above.spec.name]
            system["_root_row"] = roots[table.spec.path] + firsts[columns.plan.root.spec.name]
            system["_position"] = found.places
        if found.rows:
            tables[name] = to_arrow(table, _complete(table, found, system))
    return tables


def _complete(table: TablePlan, found: Found, system: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of a table: those that had no value in any of the records are null, and none is a tombstone."""
    values = {column.spec.name: column.value(None) for column in table.columns if column.given_by is not None}
    complete: dict[str, Any] = {}
    for name, kind in table.schema.items():
        if name in system:
            complete[name] = system[name] if isinstance(system[name], pa.Array) else numbers_array(system[name])
        elif name in found.arrays:
            complete[name] = found.arrays[name]
        elif name in values:
            complete[name] = repeated(values[name], kind, found.rows)
        else:
            complete[name] = repeated(False, kind, found.rows) if name == "_deleted" else pa.nulls(found.rows, kind)
    return complete


def in_order(tables: Mapping[str, pa.Table], plan: Plan) -> dict[str, pa.Table]:
    """Tables of a batch with their rows in the order of their records' positions, and numbered so.

    They are of some records and then of others of the same block, whose rows were numbered one after the other.
    """
    root, ranks, found = tables[plan.root.spec.name], dict[str, Rows](), dict[str, pa.Table]()
    for table in plan.tables:
        name, parent = table.spec.name, table.spec.parent
        if (rows := tables.get(name)) is None:
            continue
        if parent is None:
            order = np.argsort(_numbers(rows, "_position"))
        else:
            above = _moved(tables[parent], rows, "_parent_row", ranks[parent])
            order = np.argsort(above, kind="stable")
        first = _numbers(rows, "_row")[0]
        ranks[name] = np.empty(len(order), np.int64)
        ranks[name][order] = np.arange(len(order))
        moved = rows.take(numbers_array(order))
        moved = _with(moved, "_row", np.arange(first, first + len(order)))
        if parent is not None:
            moved = _with(moved, "_parent_row", above[order])
            whose = _moved(root, rows, "_root_row", ranks[plan.root.spec.name])
            moved = _with(moved, "_root_row", whose[order])
        found[name] = moved
    return found


def _numbers(table: pa.Table, column: str) -> Rows:
    numbers: Rows = numbers_of(table[column].combine_chunks())
    return numbers


def _moved(above: pa.Table, rows: pa.Table, column: str, ranks: Rows) -> Rows:
    """Ordinals of rows above, as these are numbered now."""
    first = int(_numbers(above, "_row")[0])
    return ranks[_numbers(rows, column) - first] + first


def _with(table: pa.Table, column: str, numbers: Rows) -> pa.Table:
    return table.set_column(table.column_names.index(column), table.schema.field(column), numbers_array(numbers))
