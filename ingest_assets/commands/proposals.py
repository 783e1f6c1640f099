"""Types to declare: what the texts of a first page could all be."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ingest_assets.column import Column
from ingest_assets.normalize.values import declared_fit
from ingest_assets.source import Endpoint

# What a text has to look like, too, to be meant as one: a number of a house fits a decimal.
_KINDS = {
    "uuid": re.compile(r".*"),
    "date": re.compile(r".*"),
    "timestamptz": re.compile(r".{11,}"),
    "decimal(18,6)": re.compile(r"-?\d+\.\d+"),
}
_WRITTEN = {  # where all values are texts
    "bigint": re.compile(r"-?(0|[1-9]\d*)"),
    "boolean": re.compile(r"true|false", re.IGNORECASE),
}

Kinds = Mapping[str, re.Pattern[str]]


@dataclass(frozen=True)
class Proposal:
    """A column whose values would all fit a type that JSON cannot say."""

    column: str
    type: str
    example: str


def proposals(arrow: pa.Table, endpoint: Endpoint) -> list[Proposal]:
    """Types that all of an undeclared text column's values would fit."""
    declared, kinds = endpoint.columns, _KINDS | (_WRITTEN if endpoint.decoder.texts else {})
    found = []
    for column in arrow.column_names:
        if column.startswith("_") or column in declared or not pa.types.is_string(arrow.schema.field(column).type):
            continue
        values = [value for value in arrow.column(column).to_pylist() if value is not None]
        if kind := _kind(values, kinds, endpoint):
            found.append(Proposal(column, kind, values[0]))
    return found


def _kind(values: Sequence[str], kinds: Kinds, endpoint: Endpoint) -> str | None:
    told = (kind for kind, form in kinds.items() if values and all(map(form.fullmatch, values)))
    return next((kind for kind in told if _all_fit(values, kind, endpoint)), None)


def _all_fit(values: Sequence[str], kind: str, endpoint: Endpoint) -> bool:
    fit = declared_fit(Column(type=kind), endpoint.time_zone, texts=endpoint.decoder.texts)
    try:
        for value in values:
            fit(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
