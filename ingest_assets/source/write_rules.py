"""What has to fit together in how an endpoint's table is written: key, versions, and what a fetch means for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.column import TIME_TYPES
from ingest_assets.contract import VALIDITY
from ingest_assets.source.model import Problem

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint


def write_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken in how an endpoint's table is to be written."""
    yield from _key_problems(endpoint)
    yield from _mode_problems(endpoint)
    yield from _deletion_problems(endpoint)


def _key_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    merged = endpoint.write in ("merge", "history")
    if merged and not endpoint.primary_key:
        yield (), f"write: {endpoint.write} needs a primary_key; without one use append, replace or replace_partition"
    if merged and endpoint.primary_key and endpoint.newest_by is None:
        for name in endpoint.loose_dimensions:
            told = (
                f"two of {name!r} may have records of the same key: put it into the key (columns: {{{name}: {{type: "
                f"varchar, from_partition: {name}}}}}, primary_key: [{', '.join((name, *endpoint.primary_key))}]), "
                "or let newest_by say which version is newer"
            )
            yield ("partitions", "by", name), told
    if endpoint.changes == "window" and endpoint.newest_by is None:
        yield (
            ("changes",),
            "changes: window lets a key come in several partitions: newest_by must say which version is newer",
        )
    if endpoint.newest_by is None:
        return
    column = endpoint.columns.get(endpoint.newest_by)
    if column is None:
        yield ("newest_by",), f"newest_by {endpoint.newest_by!r} is not a column: declare it with its type"
    elif column.type not in (*TIME_TYPES, "bigint", "double"):
        yield ("newest_by",), f"newest_by {endpoint.newest_by!r} has to be a time or a number, not {column.type}"


def _mode_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    write = endpoint.write
    if write not in ("merge", "history"):
        for field in ("newest_by", "deleted"):
            if getattr(endpoint, field) is not None:
                yield (field,), f"{field} is for write: merge and history, and this is write: {write}"
        if endpoint.incomplete == "warn":
            does = "add again what the next walk brings" if write == "append" else "delete what the walk did not reach"
            yield ("incomplete",), f"incomplete: warn with write: {write} would {does}: use fail"
    if write == "append":
        yield from _append_problems(endpoint)
    if write == "history":
        yield from _history_problems(endpoint)
    yield from _replace_problems(endpoint)


def _replace_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    write = endpoint.write
    if write == "replace_partition" and not endpoint.partitions:
        yield ("write",), "write: replace_partition needs partitions; without them use replace"
    if write == "replace_partition" and endpoint.changes == "window":
        yield ("write",), "a window by update time moves records between partitions: use write: merge"
    if write == "replace" and endpoint.partitions:
        yield ("write",), "write: replace would keep one partition only: use replace_partition"
    if write == "replace" and endpoint.feed:
        yield ("write",), "a feed tells changes only: use write: merge"


def _deletion_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    if endpoint.sweep is not None:
        yield from _sweep_problems(endpoint)
    if endpoint.deletes == "hard":
        return
    if endpoint.write != "merge" or (endpoint.deleted is None and endpoint.sweep is None):
        yield ("deletes",), "deletes: soft is for write: merge with `deleted` or `sweep`: nothing is deleted here else"
    if endpoint.newest_by is not None:
        yield ("deletes",), "deletes: soft goes by the order of fetches: leave newest_by out, or keep a history"


def _sweep_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    if endpoint.write not in ("merge", "history"):
        told = f"sweep is for write: merge and history, and this is write: {endpoint.write}"
        yield ("sweep",), told
    if endpoint.feed is not None:
        yield ("sweep",), "a feed tells changes only: what it does not bring is there all the same"
    if endpoint.newest_by is not None:
        yield ("sweep",), "what is listed is as new as its fetch: with sweep leave newest_by out"
    if endpoint.parent is not None:
        yield ("sweep",), "of children, not every fetch asks all parents: use write: replace"


def _append_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """What is fetched again would be there again."""
    if endpoint.window is not None:
        told = "a window is fetched again, and write: append would add its records each time: use replace_partition, "
        yield ("write",), told + "which keeps those of the newest fetch, or history"
    if endpoint.feed is not None and endpoint.feed.overlap:
        yield ("feed", "overlap"), "write: append would add again what the overlap brings again: leave it out"


def _history_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    for name in (name for name in endpoint.columns if name.lower() in VALIDITY):
        yield ("columns", name), f"{name!r} is a column of every history: name this one otherwise, with path:"
    column = endpoint.columns.get(endpoint.newest_by or "")
    if column is None:
        return
    if column.type != "timestamptz" or not column.required or column.given:
        told = f"newest_by {endpoint.newest_by!r} of a history says from when a version holds: its column has to be of "
        yield ("newest_by",), told + "type timestamptz, required: true, from the record"
