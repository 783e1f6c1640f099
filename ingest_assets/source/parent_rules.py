"""What has to fit together where an endpoint is asked for once for each record of another."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.source.model import Problem
from ingest_assets.source.parents import named_fields

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint


def parent_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken in what an endpoint says of its parents."""
    named = endpoint.named_parents
    if len(named) > 1:
        first, other = list(named)[:2]
        told = (
            f"it names fields of {first} and of {other}, and an endpoint has one parent: take what it needs of one "
            "into the table of the other, by a column with from_parent"
        )
        yield ("path",), told
    if not named and "parents" in endpoint.model_fields_set:
        yield ("parents",), "it has no parents: its request names no field of another endpoint, such as {customers.id}"
    counted = named_fields(*endpoint.count.asks) if endpoint.count is not None else {}
    if unknown := [
        f"{{{name}.{field}}}" for name, fields in counted.items() for field in fields - named.get(name, set())
    ]:
        there = ", ".join(f"{{{name}.{field}}}" for name, fields in named.items() for field in fields) or "none"
        yield (
            ("count",),
            f"it names {unknown[0]}, and the endpoint's own request names {there}: it can name the same only",
        )
    yield from _from_parent_problems(endpoint)
    yield from _batch_problems(endpoint)


def _batch_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    told = endpoint.parents
    if told.batch == 1:
        if told.answers is not None:
            yield ("parents", "answers"), "answers is for batches: one parent a request needs nothing to tell it by"
        return
    place = ("parents", "batch")
    if len(endpoint.parent_key) > 1:
        yield place, f"a batch is of one field, and the request names {', '.join(endpoint.parent_key)}"
    if endpoint.cut_lists or (endpoint.window is not None and (endpoint.window.pieces > 1 or endpoint.window.cap)):
        yield place, "a batch goes with neither pieces, cap nor cut_lists: ask for one parent a request"
    if endpoint.feed is not None:
        yield place, "a feed goes on parent by parent, so one request cannot ask for several"
    for name, column in endpoint.columns.items():
        if column.from_parent is not None:
            yield ("columns", name, "from_parent"), "a page of a batch is of several parents: take it from the record"


def _from_parent_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    for name, column in endpoint.columns.items():
        if column.from_parent is None:
            continue
        if endpoint.parent is None:
            told = "it has no parent: its request names no field of another endpoint, such as {customers.id}"
            yield ("columns", name, "from_parent"), told
        elif column.type != "varchar":
            yield ("columns", name, "type"), "a column of the parent is varchar"
    for path, table in endpoint.children.items():
        for name, column in table.columns.items():
            if column.from_parent is not None:
                yield ("children", path, "columns", name), "from_parent is for columns of the endpoint's own table"
