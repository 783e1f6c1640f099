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
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def refuse(problems: list[Problem]) -> None:
    """All broken rules at once; `ingest_assets.catalog` finds the line of each."""
    if problems:
        message = "; ".join(message for _, message in problems)
        raise PydanticCustomError("rules", "{message}", {"message": message, "problems": problems})


def values_of(model: BaseModel, *fields: str) -> dict[str, Any]:
    """What fields of a model hold, where it has them, models in them as dictionaries.

    As `model_dump` tells it, whose serializers take milliseconds to be made in each process.

    >>> class Count(Model):
    ...     path: str = "/count"
    >>> class Listing(Model):
    ...     path: str
    ...     count: Count = Count()
    >>> values_of(Listing(path="/orders"), "path", "count")
    {'path': '/orders', 'count': {'path': '/count'}}
    """
    return {name: _plain(getattr(model, name)) for name in fields if name in type(model).model_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return values_of(value, *type(value).model_fields)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value


def one_or_more(value: Any) -> Any:
    """A list of one where one thing is given without its list."""
    return (value,) if isinstance(value, str | dict | BaseModel) else value
