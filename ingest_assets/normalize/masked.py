"""A record as people may see it: what the contract calls sensitive is replaced.

Sensitive columns are looked for where they were found so far, and in this very record under each spelling that their
names allow: a record in quarantine may be the first that has them.
"""

from collections.abc import Collection
from typing import Any

from ingest_assets.contract import Contract
from ingest_assets.normalize.columns import items_at
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import Registry, bindings, declared_columns, declared_path
from ingest_assets.normalize.shape import Shape

MASK = "(sensitive)"


def masked(record: Any, contract: Contract, registry: Registry) -> Any:
    """The record with the mask in place of all that is below a sensitive column's path; null stays null.

    >>> from ingest_assets.contract import Column
    >>> contract = Contract(columns={"home_town": Column(type="varchar", sensitive=True)})
    >>> masked({"id": 1, "homeTown": "Delft"}, contract, Registry.empty())
    {'id': 1, 'homeTown': '(sensitive)'}
    """
    for path in _sensitive_paths(record, contract, registry):
        record = _without(record, path)
    return record


def sensitive(contract: Contract) -> bool:
    """Whether a contract calls any column sensitive."""
    tables = [contract.columns, *(children.columns for children in contract.children.values())]
    return any(column.sensitive for columns in tables for column in columns.values())


def _sensitive_paths(record: Any, contract: Contract, registry: Registry) -> Collection[Path]:
    """From the record on; a path crosses lists without a step."""
    tables: dict[Path, list[Any]] = {(): [record]}
    tables |= {
        path: list(items_at(record, path)) for path in (tuple(dotted.split(".")) for dotted in contract.children)
    }
    paths = set()
    for known in (registry, Registry.empty()):
        bound = known.learned(Shape(), bindings(known, contract, tables))
        for table in tables:
            for name, column in declared_columns(contract, table).items():
                if column.sensitive:
                    found = declared_path(bound, table, name, column)
                    paths.add((*table, *((name,) if found is None else found)))
    return paths


def _without(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    if not path:
        return value if value is None else MASK
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: _without(value[path[0]], path[1:])}
    return value
