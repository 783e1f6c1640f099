"""Endpoints that are asked for once for each record of another: its children, such as the invoices of each customer."""

from typing import Any

from pydantic import Field, field_validator

from ingest_assets.source.model import PLACEHOLDER, Model

Scalar = str | int | bool


class Above(Model):
    """Values above this number."""

    above: int = Field(description="a whole number; null is not above it")


class Parents(Model):
    """Which parents are asked for, and what a refusal of one of them means."""

    where: dict[str, Scalar | tuple[Scalar, ...] | Above] = Field(
        default_factory=dict,
        description="only parents whose columns hold this: a value, one of a list of values, or {above: 0}",
    )
    batch: int = Field(
        1,
        ge=1,
        le=1000,
        description="how many parents one request asks for: their values joined by `separator`; in a body, the element "
        "of a list that names the field stands there once for each",
    )
    separator: str = Field(",", min_length=1, description="with batch: what is between the values in path and params")
    answers: str | None = Field(
        None,
        description="with batch: where a record tells its parent's value: parents without one are a failure then",
    )
    gone: tuple[int, ...] = Field(
        (), description="statuses that say of a parent's first page that it has no children, such as 404"
    )

    @field_validator("gone")
    @classmethod
    def _are_refusals(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [status for status in value if status not in (400, 403, 404, 405, 409, 410, 422, 451)]:
            raise ValueError(f"{wrong[0]} is no refusal of one parent: expected such as 404, 403 or 410")
        return value


def named_fields(*parts: Any) -> dict[str, set[str]]:
    """The fields of other endpoints that stand as {endpoint.field} in these texts, or in what holds texts.

    >>> named_fields("/customers/{customers.id}/invoices", {"q": "{day}"})
    {'customers': {'id'}}
    """
    found: dict[str, set[str]] = {}
    for name in PLACEHOLDER.findall(str(parts)):
        endpoint, dot, field = name.partition(".")
        if dot:
            found.setdefault(endpoint, set()).add(field)
    return found
