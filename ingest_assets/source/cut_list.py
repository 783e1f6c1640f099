"""A list inside of records that an API cuts, and where all of it is to be had."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from ingest_assets.http.paginators import Paginator
from ingest_assets.http.selector import Selector
from ingest_assets.source.model import Model, Problem, refuse


class CutList(Model):
    """A nested list that comes cut, such as Stripe's `lines`: it is read by itself, from its start."""

    has_more: str | None = Field(
        None, min_length=1, description="path in the record of the truth value that says that the list was cut"
    )
    total: str | None = Field(
        None, min_length=1, description="instead of has_more: path in the record of how many the list should hold"
    )
    url: str | None = Field(None, min_length=1, description="path in the record of the URL at which all of the list is")
    path: str | None = Field(
        None, description="instead of url: added to base_url; {id} and the like are paths in the record"
    )
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    body: dict[str, Any] | None = Field(None, description="sent with a POST; {id} and the like are paths in the record")
    body_as: Literal["json", "form"] = "json"
    records: Selector = Field(
        default_factory=lambda: Selector(path=""), description="where in an answer the list's elements are"
    )
    paginator: Paginator

    @model_validator(mode="after")
    def _rules_hold(self) -> "CutList":
        refuse([*self._problems()])
        return self

    def _problems(self) -> Iterator[Problem]:
        if (self.has_more is None) == (self.total is None):
            yield (), "give one of has_more and total: by one of them a record says that its list was cut"
        if (self.url is None) == (self.path is None):
            yield (), "give one of url (a path in the record) and path: all of the list has to be found somewhere"
        if self.body is not None and self.method == "GET":
            yield ("body",), "a body is sent with method: POST, and this is GET"
