"""A request that asks how many records there are, where the pages themselves do not say it."""

from typing import Any, Literal

from pydantic import Field

from ingest_assets.http.total import Total
from ingest_assets.source.model import Model


class Count(Model):
    """Asked before the first page: of the same part, by the window's bounds and the same placeholders.

    Where it names a parent, such as {customers.id}, it is asked for each of them, and of each piece of its window.
    What is added while the walk goes on makes more come than were counted, which is fine; counted afterwards, it
    would make a good walk fail.
    """

    path: str = Field(description="added to the endpoint's base_url, such as /orders/count")
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="those that choose records, such as a status; the window's own are added, and others of the "
        "endpoint are not",
    )
    headers: dict[str, str] = Field(default_factory=dict, description="beside those of the source and the endpoint")
    body: dict[str, Any] | None = Field(None, description="sent with a POST; placeholders in its texts are replaced")
    body_as: Literal["json", "form"] = "json"
    value: Total | None = Field(
        None, description="where the answer holds the number; left out where the whole body is the number"
    )

    @property
    def asks(self) -> tuple[Any, ...]:
        """What may hold placeholders."""
        return self.path, self.params, self.headers, self.body
