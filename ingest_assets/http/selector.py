"""Where in a body the records are: one list, a list in each of many, a dictionary, or parallel lists."""

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_MARK = re.compile(r"\[\]|\{\}")
_KEYS = re.compile(r"[^.\[\]{}]+(\.[^.\[\]{}]+)*")


def _also_text(schema: dict[str, Any]) -> None:
    written_out = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "description": "dotted path of the list of records"}, written_out]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]


class Selector(BaseModel):
    """Where in the body the records are: a path, or `{path: …, absent: empty}` and the like.

    >>> Selector(path="days[].hours.items[]").keys, Selector(path="days[].hours.items[]").steps
    (('days',), (('[]', ('hours', 'items')), ('[]', ())))
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, json_schema_extra=_also_text)

    path: str = Field(
        "",
        description="dotted path of the list of records; empty where the body itself is the list. [] stands for each "
        "element of a list on the way, {} for each value of a dictionary: days[].items[], rates{}, edges[].node",
    )
    absent: Literal["refuse", "empty"] = Field(
        "refuse", description="'empty' where the API leaves the list out, or null, when there are no records"
    )
    single: Literal["refuse", "record"] = Field(
        "refuse", description="'record' where the API gives an object instead of a list of one"
    )
    layout: Literal["list", "columns"] = Field(
        "list", description="'columns' where the path leads to an object of equally long lists, one a field"
    )
    key: Names = Field((), description="name of the column that takes the key of a dictionary; one for each {} in path")
    keep: Names = Field((), description="fields of the elements at the path's [] that their records get as well")
    value: str = Field("value", description="name of the column of what is no object itself, such as {EUR: 1.08}")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits(self) -> "Selector":
        if self.layout == "list" and not all(_KEYS.fullmatch(part.removeprefix(".")) for part in self._plain if part):
            raise ValueError(f"{self.path!r} is no path: expected keys with dots between, [] and {{}} behind them")
        if self.layout == "columns" and (self.key or self.keep or self.single == "record"):
            raise ValueError("key, keep and single are not for layout: columns")
        dictionaries = self.path.count("{}") if self.layout == "list" else 0
        if dictionaries != len(self.key):
            raise ValueError(f"the path holds {dictionaries} of {{}}, and key names {len(self.key)} columns for them")
        if self.keep and "[]" not in self.path.removesuffix("[]"):
            raise ValueError("keep is for fields beside a list in each element of a list, such as days[].items[]")
        return self

    @property
    def _plain(self) -> list[str]:
        return _MARK.split(self.path)

    @property
    def keys(self) -> tuple[str, ...]:
        """The path, key by key, up to its first mark."""
        return _split(self.path if self.layout == "columns" else _MARK.split(self.path, maxsplit=1)[0])

    @property
    def steps(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What follows: each mark, with the keys after it. Of `data[]`, which is what `data` is, nothing."""
        if self.layout == "columns" or self.path.count("[]") + self.path.count("{}") == 0:
            return ()
        steps = tuple(zip(_MARK.findall(self.path), map(_split, self._plain[1:]), strict=True))
        return () if steps == (("[]", ()),) else steps

    @property
    def makes(self) -> bool:
        """Whether records are made of several places of the body, and so stand nowhere in it as they are."""
        return self.layout == "columns" or bool(self.key) or bool(self.keep)


@lru_cache(maxsize=256)
def _split(path: str) -> tuple[str, ...]:
    return tuple(path.strip(".").split(".")) if path.strip(".") else ()
