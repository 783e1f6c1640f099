"""A table's columns as Dagster shows them: names, types, what is asked of them, and where each comes from."""

from collections.abc import Iterable, Iterator

import dagster as dg

from ingest_assets.column import Column
from ingest_assets.normalize.registry import ColumnSpec
from ingest_assets.source import Endpoint


def declared_schema(endpoint: Endpoint) -> dg.TableSchema:
    """The columns that the file declares, before anything is loaded."""
    return dg.TableSchema(
        [
            _column(name, column.type, column.description, endpoint, sensitive=column.sensitive)
            for name, column in endpoint.columns.items()
        ]
    )


def schema(columns: Iterable[ColumnSpec], endpoint: Endpoint) -> dg.TableSchema:
    """The columns that the table has."""
    return dg.TableSchema([_column(c.name, c.type, c.description, endpoint, sensitive=c.sensitive) for c in columns])


def _column(name: str, kind: str, description: str | None, endpoint: Endpoint, *, sensitive: bool) -> dg.TableColumn:
    declared = endpoint.columns.get(name)
    needed = name in endpoint.primary_key or (declared is not None and declared.required)
    rules = list(_rules(declared)) if declared is not None else []
    # Others may hold a key several times: once a version, a fetch or a partition.
    once = endpoint.write in ("merge", "replace") and endpoint.primary_key == (name,)
    return dg.TableColumn(
        name,
        kind,
        description,
        dg.TableColumnConstraints(nullable=not needed, unique=once, other=rules),
        tags={"sensitive": ""} if sensitive else {},
    )


def _rules(column: Column) -> Iterator[str]:
    for word, told in (("at least", column.min), ("at most", column.max), ("matches", column.pattern)):
        if told is not None:
            yield f"{word} {told}"
    if column.values is not None:
        yield f"one of {', '.join(column.values)}"
    if column.money is not None:
        yield f"money in {column.money.currency or f'the currency of {column.money.currency_from}'}"
    if column.references is not None:
        yield f"a value of {column.references}"


def column_lineage(
    columns: Iterable[ColumnSpec], endpoint: Endpoint, raw: dg.AssetKey, parent: dg.AssetKey | None
) -> dg.TableColumnLineage:
    """Where each column's value comes from: a path in the records of the raw asset, or a column of the parent's."""
    return dg.TableColumnLineage(
        {column.name: deps for column in columns if (deps := list(_deps(column, endpoint, raw, parent)))}
    )


def _deps(
    column: ColumnSpec, endpoint: Endpoint, raw: dg.AssetKey, parent: dg.AssetKey | None
) -> Iterator[dg.TableColumnDep]:
    declared = endpoint.columns.get(column.name)
    if declared is not None and declared.from_parent is not None and parent is not None:
        yield dg.TableColumnDep(parent, declared.from_parent)
    if column.rest or (declared is not None and declared.given):
        return
    yield dg.TableColumnDep(raw, ".".join(column.path))
    if declared is not None and declared.money is not None and (beside := declared.money.currency_from) is not None:
        yield dg.TableColumnDep(raw, endpoint.columns[beside].path or beside)
