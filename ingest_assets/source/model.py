"""What all models of a source file are, and how they tell all broken rules at once."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")
BUILT_IN = {"from", "until", "partition"}
NO_NAME = "is not a name: small letters, digits and _, a letter first, 40 characters at most"
Problem = tuple[tuple[str | int, ...], str]
"""Where in the file, as keys from the model that tells it, and what is wrong there."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def refuse(problems: list[Problem]) -> None:
    """All broken rules at once; `ingest_assets.catalog` finds the line of each."""
    if problems:
        message = "; ".join(message for _, message in problems)
        raise PydanticCustomError("rules", "{message}", {"message": message, "problems": problems})


def one_or_more(value: Any) -> Any:
    """A list of one where one thing is given without its list."""
    return (value,) if isinstance(value, str | dict | BaseModel) else value
