"""What has to fit together between the columns of one table; each rule yields where it is broken, and what is wrong."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ingest_assets.column import Column
from ingest_assets.modes import CLOSED
from ingest_assets.source.model import Problem

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint


def column_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken between declared columns of an endpoint's table, and of each of its lists."""
    yield from _key_problems(endpoint)
    lists = [(("children", path, "columns"), table.columns) for path, table in endpoint.children.items()]
    for place, columns in [(("columns",), endpoint.columns), *lists]:
        yield from _money_problems(place, columns)
        yield from _moment_problems(place, columns, endpoint.time_zone)


def _key_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    spelled = {name.lower(): name for name in endpoint.columns}
    takers = {column.path: name for name, column in endpoint.columns.items() if column.path is not None}
    for name in endpoint.primary_key:
        other = spelled.get(name.lower(), name)
        if other != name:
            told = f"{name!r} and column {other!r} differ by case only, and a table knows no case: write both alike"
            yield ("primary_key",), told
        elif name not in endpoint.columns and (taker := takers.get(name)) is not None:
            told = f"primary_key {name!r} is where column {taker!r} has its value, so no column {name!r} comes of it: "
            yield ("primary_key",), told + f"put {taker!r} into the key, or declare {name!r}, too"
        if endpoint.modes.columns in CLOSED and name not in endpoint.columns:
            told = f"contract: {{columns: {endpoint.modes.columns}}} takes declared columns only: declare {name!r}"
            yield ("primary_key",), told


def _money_problems(place: tuple[str, ...], columns: Mapping[str, Column]) -> Iterator[Problem]:
    for name, column in columns.items():
        beside = column.money.currency_from if column.money is not None else None
        if beside is not None and (beside not in columns or columns[beside].type != "varchar"):
            told = f"{beside!r} is not a column of type varchar of the same table: declare it"
            yield (*place, name, "money", "currency_from"), told


def _moment_problems(place: tuple[str, ...], columns: Mapping[str, Column], time_zone: str) -> Iterator[Problem]:
    for name, column in columns.items():
        if column.type == "timestamptz" and (told := column.contradiction(time_zone)) is not None:
            yield (*place, name), told
