"""What a table promises: its columns, its key, how it is written.

A contract is the part of an endpoint that decides what its table holds. Its `version` is a hash of
just that part, so that Dagster shows a table as out of date exactly when its content would differ.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# What normalization does with the same contract and the same responses. Raise it when that changes.
NORMALIZATION = 1

_ALIASES = {
    "bool": "boolean",
    "text": "varchar",
    "string": "varchar",
    "int": "bigint",
    "integer": "bigint",
    "float": "double",
    "timestamp with time zone": "timestamptz",
}
_PLAIN = (
    "boolean",
    "bigint",
    "hugeint",
    "double",
    "varchar",
    "json",
    "timestamptz",
    "timestamp",
    "date",
    "time",
    "uuid",
)
_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_FORMATS = ("iso", "date", "unix", "unix_ms")
_ANY_MOMENT = datetime(2026, 1, 31, 23, 59, 58, 123456, UTC)
TIME_TYPES = ("timestamptz", "timestamp", "date", "time")


def column_type(text: str) -> str:
    """A declared type in its one spelling: DuckDB's name in small letters.

    >>> column_type("TEXT"), column_type("decimal(18, 2)")
    ('varchar', 'decimal(18,2)')
    """
    name = _ALIASES.get(text.strip().lower(), text.strip().lower())
    if name in _PLAIN:
        return name
    if found := _DECIMAL.fullmatch(name):
        precision, scale = int(found[1]), int(found[2])
        if 1 <= precision <= 38 and scale <= precision:
            return f"decimal({precision},{scale})"
        raise ValueError(f"{text!r}: a decimal has 1 to 38 digits, and no more decimals than digits")
    if name.startswith("decimal(") and ")" not in name:
        raise ValueError(f'{text!r} is cut at its comma: in braces write it in quotes, such as "decimal(12,2)"')
    raise ValueError(f"{text!r} is not a type; one of {', '.join(_PLAIN)}, decimal(p,s)")


def column_format(text: str) -> str:
    """How a column's times are written, or a ValueError where nobody could read times written so.

    >>> column_format("%d.%m.%Y %H:%M")
    '%d.%m.%Y %H:%M'
    """
    if text in _FORMATS:
        return text
    if "%" not in text:
        raise ValueError(f"expected {', '.join(_FORMATS)} or a strptime pattern such as %d.%m.%Y")
    try:
        datetime.strptime(_ANY_MOMENT.strftime(text), text)  # noqa: DTZ007 -- only whether it can be read
    except (ValueError, re.error):
        raise ValueError("is no strptime pattern; expected such as %d.%m.%Y, or %Y-%m-%dT%H:%M:%S%z") from None
    return text


ColumnFormat = Annotated[str, AfterValidator(column_format)]
ColumnType = Annotated[str, AfterValidator(column_type)]


class Column(BaseModel):
    """A declared column: a value that does not fit quarantines its record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ColumnType = Field(description="DuckDB's name of the type; 'enum' is given by `values`")
    path: str | None = Field(None, description="where in the record its value is; by default found by name")
    required: bool = Field(False, description="a record without a value here is quarantined")
    format: ColumnFormat | None = Field(
        None,
        description="how a time is written: iso (default), date, unix, unix_ms, or a strptime pattern such as %d.%m.%Y",
    )
    from_partition: str | None = Field(
        None, description="a dimension of the partitions, such as account: its value for this row, in place of a path"
    )
    from_parent: str | None = Field(
        None, description="a column of the parent's table, such as id: its value for this row, in place of a path"
    )
    values: tuple[str, ...] | None = Field(None, description="the only values allowed in a varchar column")
    sensitive: bool = Field(False, description="kept out of previews, logs and metadata")
    description: str | None = Field(None, description="shown in Dagster's column schema")

    @property
    def given(self) -> bool:
        """Whether its value is that of the fetch or of the page, and no matter of the record."""
        return self.from_partition is not None or self.from_parent is not None

    @model_validator(mode="after")
    def _format_is_for_times(self) -> "Column":
        if self.format is not None and self.type not in TIME_TYPES:
            raise ValueError(f"format is always a time's format, and {self.type} is no time")
        if self.format == "date" and self.type == "time":
            raise ValueError("a time of day is in no date: leave format out, or give a strptime pattern such as %H:%M")
        if sum(origin is not None for origin in (self.from_partition, self.from_parent, self.path)) > 1:
            raise ValueError("a value comes by path from the record, from the partition, or from the parent: say one")
        if self.values is not None and self.type != "varchar":
            raise ValueError(f"values are for varchar columns, and this is {self.type}")
        return self


def _column_name(name: str) -> str:
    if name.startswith("_"):
        raise ValueError(f"column {name!r}: names that begin with _ are the project's own; choose another, with path:")
    return name


def _one_spelling(columns: Mapping[str, Column]) -> Mapping[str, Column]:
    spelled: dict[str, str] = {}
    for name in columns:
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"columns {other!r} and {name!r} differ by case only, and a table knows no case: rename one"
            )
    return columns


ColumnName = Annotated[str, AfterValidator(_column_name)]
Columns = Annotated[dict[ColumnName, Column], AfterValidator(_one_spelling)]


def _place(column: Column) -> tuple[Any, ...]:
    given = [column.from_partition] if column.from_partition else [{"parent": column.from_parent}]
    return (column.type, column.path, *(given if column.given else []))


class Children(BaseModel):
    """What is declared of the child table of one nested list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Columns = Field(default_factory=dict)


class Tombstone(BaseModel):
    """Which records say that their key is gone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="where in the record to look, such as `status`")
    equals: str | bool | int = Field(description="the value that means deleted")


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Write = Literal["merge", "replace_partition", "replace"]


class Contract(BaseModel):
    """What one table and its children promise; the same for all who normalize, load and show it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Columns = Field(default_factory=dict)
    children: Mapping[str, Children] = Field(default_factory=dict, description="by the list's path in the record")
    primary_key: Names = ()
    newest_by: str | None = None
    write: Write = "merge"
    deleted: Tombstone | None = None
    time_zone: str = "UTC"
    position: str | None = Field(
        None,
        description="the records' own time, by which what an inclusive bound brought of the next partition is known",
    )

    within: str | None = Field(
        None, description="the records' own time, by which all that is outside of a fetch's partition is left out"
    )
    texts: bool = Field(
        False, description="whether all values arrive as texts, which declared numbers and booleans are read from"
    )

    @property
    def version(self) -> str:
        """Sixteen hex digits that change exactly when the table's content may: descriptions do not count."""
        told = self.model_dump(mode="json")
        for column in [
            *told["columns"].values(),
            *(c for t in told["children"].values() for c in t["columns"].values()),
        ]:
            del column["description"], column["sensitive"]
            if column["from_partition"] is None:  # so that contracts without it keep the version they had
                del column["from_partition"]
            if column["from_parent"] is None:
                del column["from_parent"]
        for name in ("position", "within"):
            if told[name] is None:  # so that contracts without it keep the version they had
                del told[name]
        if not told["texts"]:
            del told["texts"]
        text = json.dumps([NORMALIZATION, told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def layout(self) -> str:
        """What of the contract decides ids and columns: where it changes, a table is built anew."""
        told = self.model_dump(mode="json", include={"primary_key", "newest_by", "write", "deleted"})
        tables = {"": self.columns, **{path: table.columns for path, table in self.children.items()}}
        told["columns"] = {t: {n: _place(c) for n, c in columns.items()} for t, columns in tables.items()}
        return json.dumps([NORMALIZATION, told], sort_keys=True)
