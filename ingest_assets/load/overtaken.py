"""Rows staged with a registry that is not the newest any more, shown as what they are under that of both.

Names and shapes of two loads are joined, whatever their order. So rows need not be made again where another load only
brought names, columns or tables, or values that make types wider.
"""

from collections.abc import Sequence

import duckdb
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.load.staged import RANKED, Staged, compared, held, list_hash, listed
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.widened import widened
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import ColumnSpec, Registry, TableSpec
from ingest_assets.normalize.shape import loses


class NotTold(Exception):
    """What is staged does not tell what it is under another registry."""


def overtaken(
    connection: duckdb.DuckDBPyConnection, work: Work, staged: Sequence[Staged], before: Registry, now: Registry
) -> list[Staged]:
    """What was staged under a registry as it is under a wider one: in temporary views, no row is looked at.

    Raises NotTold where a name went to another path, where an object or a list is the text of one column by now, and
    where the key has another type, since rows' ids are made of it.
    """
    kept = before.names.items() <= now.names.items() and before.columns.items() <= now.columns.items()
    if not kept or loses(before.shape, now.shape):
        raise NotTold
    specs = held(now.tables(work.endpoint, work.contract))
    return [_shown(connection, one, specs, work.contract) for one in staged]


def _shown(
    connection: duckdb.DuckDBPyConnection, staged: Staged, specs: tuple[TableSpec, ...], contract: Contract
) -> Staged:
    known, wider = {spec.name for spec in staged.specs}, {spec.name: spec for spec in specs}
    lists = [spec for spec in specs if spec.parent == staged.root.name and spec.name not in known]
    queries = {spec.name: _query(spec, wider[spec.name], contract) for spec in staged.specs}
    queries[staged.root.name] += "".join(f", NULL::UUID AS {list_hash(spec)}" for spec in lists)
    ranked = "".join(listed(spec, contract, came=False) for spec in lists)
    ranked += _compared(staged, replace(staged, specs=specs), contract)
    if ranked:
        queries[RANKED] = f"*{ranked}"
    views = {}
    for name, columns in queries.items():
        views[name] = quoted(f"{name} of fetch {staged.fetch}")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {views[name]} AS SELECT {columns} FROM {staged.table(name)}")
    return replace(staged, specs=specs, views=views)


def _compared(before: Staged, now: Staged, contract: Contract) -> str:
    """SQL: columns of a ranked fetch of what no row of it has."""
    known, types = compared(before, contract), {column.name: column.type for column in now.root.columns}
    new = {as_: types[name] for as_, name in compared(now, contract).items() if as_ not in known}
    return "".join(f", CAST(NULL AS {kind}) AS {quoted(as_)}" for as_, kind in new.items())


def _query(before: TableSpec, now: TableSpec, contract: Contract) -> str:
    """SQL: all columns of a staged table, as they are now."""
    key = contract.primary_key if before.parent is None else ()
    types = {column.name: column.type for column in before.columns}
    new = [column for column in now.columns if column.name not in types]
    changed = [column for column in now.columns if types.get(column.name, column.type) != column.type]
    wider = ", ".join(_wider(column, types[column.name], key) for column in changed)
    nulls = "".join(f", CAST(NULL AS {column.type}) AS {quoted(column.name)}" for column in new)
    return f"* {f'REPLACE ({wider})' if wider else ''}{nulls}"


def _wider(column: ColumnSpec, former: str, key: Sequence[str]) -> str:
    values = widened(quoted(column.name), former.upper(), column.type.upper())
    if values is None or column.name in key:
        raise NotTold
    return f"{values} AS {quoted(column.name)}"
