"""What is done about what a contract does not foresee: a new list, a new key, a value of another type.

evolve       the table takes it
freeze       the load fails, and says what changed; the fetch is kept, and loads once the file is changed
quarantine   its record is set aside
drop         the value is left out, counted, and kept in the column `_rest`
"""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Mode = Literal["evolve", "freeze", "quarantine", "drop"]
Unfitting = Literal["freeze", "quarantine", "drop"]


class Closed(NamedTuple):
    """Whether a table has what is declared, and no more."""

    tables: bool = False
    columns: bool = False


CLOSED = ("quarantine", "drop")
"""Modes under which a table has what is declared, and no more: a matter of the record and the contract alone."""


class Modes(BaseModel):
    """What is done about a list, a key or a value that the contract does not foresee."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tables: Mode = Field("evolve", description="about a list that is not declared: it would be a new table")
    columns: Mode = Field("evolve", description="about a key that is not declared: it would be a new column")
    types: Mode = Field(
        "evolve",
        description="about a value that a declared column does not take (evolve: its record is set aside), "
        "and, frozen, about one that would widen a learned column",
    )

    model: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="a pydantic model of the records, as package.module:Model: its fields are declared columns, beside "
        "those of the file; fields that it lacks are allowed",
    )

    @property
    def unfitting(self) -> Unfitting:
        """What becomes of a value that a declared column does not take: its type never changes."""
        return "quarantine" if self.types == "evolve" else self.types

    @property
    def closed(self) -> Closed:
        """What undeclared things are not taken, whatever was seen before."""
        columns = self.columns in CLOSED
        # A table without undeclared columns cannot take a list on trust.
        return Closed(self.tables in CLOSED or (columns and self.tables == "freeze"), columns)

    @model_validator(mode="after")
    def _lists_are_foreseen(self) -> "Modes":
        if self.columns in CLOSED and self.tables == "evolve":
            raise ValueError(
                f"columns: {self.columns} needs tables: freeze, quarantine or drop: a list would hold any keys"
            )
        return self


def _as_modes(told: Any) -> Any:
    """One word says all three, or names a model."""
    if isinstance(told, str) and ":" in told:
        return {"model": told}
    return dict.fromkeys(("tables", "columns", "types"), told) if isinstance(told, str) else told


ToldModes = Annotated[Modes, BeforeValidator(_as_modes, json_schema_input_type=Mode | str | Modes)]
