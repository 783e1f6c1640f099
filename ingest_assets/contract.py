"""What a table promises: its columns, its key, how it is written.

A contract is the part of an endpoint that decides what its table holds. Its `version` is a hash of
just that part, so that Dagster shows a table as out of date exactly when its content would differ.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ingest_assets.column import Column, Columns
from ingest_assets.modes import Closed, Modes, ToldModes

__all__ = ["Children", "Column", "Columns", "Contract", "Names", "Tombstone", "Write"]

# What normalization does with the same contract and the same responses. Raise it when that changes.
NORMALIZATION = 3

# What a column may say since later.
_CAME_LATER = ("from_partition", "from_parent", "min", "max", "pattern", "default", "money", "unfit")


def _place(column: Column) -> tuple[Any, ...]:
    given = [column.from_partition] if column.from_partition else [{"parent": column.from_parent}]
    return (column.type, column.path, *(given if column.given else []))


class Children(BaseModel):
    """What is declared of the child table of one nested list."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    columns: Columns = Field(default_factory=dict)
    modes: ToldModes | None = Field(
        None, alias="contract", description="what is done about what is not foreseen here; as for the endpoint's table"
    )


class Tombstone(BaseModel):
    """Which records say that their key is gone."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: str = Field(description="where in the record to look, such as `status`")
    equals: str | bool | int = Field(description="the value that means deleted")


class Sweep(BaseModel):
    """That a complete fetch tells what is gone: what it does not bring any more."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    most: float = Field(
        0.2, ge=0, le=1, description="the share of the rows there that is deleted unasked; a fetch of more is refused"
    )


def _sweep(value: Any) -> Any:
    return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


Sweeping = Annotated[Sweep | None, BeforeValidator(_sweep, json_schema_input_type=Sweep | bool | None)]
Deletes = Literal["hard", "soft"]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Write = Literal["merge", "replace_partition", "replace", "append", "history"]
VALIDITY = ("valid_from", "valid_until", "current")
"""The columns that say when each version of a history held."""


def _said(told: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, less what says no more than the usual: so contracts without it keep the version they had."""
    return {name: value for name, value in told.items() if name not in usual or value != usual[name]}


class Contract(BaseModel):
    """What one table and its children promise; the same for all who normalize, load and show it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    columns: Columns = Field(default_factory=dict)
    children: Mapping[str, Children] = Field(default_factory=dict, description="by the list's path in the record")
    primary_key: Names = ()
    newest_by: str | None = None
    modes: Modes = Field(default_factory=Modes)
    write: Write = "merge"
    deleted: Tombstone | None = None
    sweep: Sweeping = None
    deletes: Deletes = "hard"
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
    def replaces(self) -> bool:
        """Whether the newest whole fetch of a partition takes the place of all before it."""
        return self.write in ("replace", "replace_partition")

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names that no column of a record can have in the endpoint's own table."""
        return VALIDITY if self.write == "history" else ()

    @property
    def version(self) -> str:
        """Sixteen hex digits that change exactly when the table's content may: descriptions do not count."""
        told = self.model_dump(mode="json")
        for table in (told, *told["children"].values()):
            for name, column in table["columns"].items():
                del column["description"], column["sensitive"], column["references"]
                table["columns"][name] = _said(column, dict.fromkeys(_CAME_LATER))
        told["children"] = {path: _said(table, {"modes": None}) for path, table in told["children"].items()}
        usual = {"modes": Modes().model_dump(), "texts": False, "deletes": "hard"}
        told = _said(told, usual | dict.fromkeys(("position", "within", "sweep")))
        text = json.dumps([NORMALIZATION, told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def fenced(self) -> bool:
        """Whether some table does not take all that comes."""
        return any(any(self.closed(path)) for path in ((), *(tuple(p.split(".")) for p in self.children)))

    def modes_of(self, table: tuple[str, ...]) -> Modes:
        """What is done about what is not foreseen in the table at this list path, () for the root."""
        children = self.children.get(".".join(table))
        return self.modes if children is None or children.modes is None else children.modes

    def closed(self, table: tuple[str, ...]) -> Closed:
        """Which of undeclared tables and columns a table does not take. One that is learned takes all."""
        declared = not table or ".".join(table) in self.children
        return self.modes_of(table).closed if declared else Closed()

    @property
    def layout(self) -> str:
        """What of the contract decides ids and columns: where it changes, a table is built anew."""
        told = self.model_dump(mode="json", include={"primary_key", "newest_by", "write", "deleted"})
        if self.deletes == "soft":
            told["deletes"] = "soft"
        tables = {"": self.columns, **{path: table.columns for path, table in self.children.items()}}
        told["columns"] = {t: {n: _place(c) for n, c in columns.items()} for t, columns in tables.items()}
        return json.dumps([NORMALIZATION, told], sort_keys=True)
