"""Where an endpoint can be asked whether it has changed: where one answer is all of a partition."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.source.model import Problem

if TYPE_CHECKING:  # an endpoint is checked by these rules as it is made
    from ingest_assets.source.endpoint import Endpoint


def unchanged_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """Why an unchanged answer would not mean that the partition is unchanged."""
    if not endpoint.only_if_changed:
        return
    window, place = endpoint.window, ("only_if_changed",)
    if endpoint.paginator.type != "none":
        yield place, "that a page has not changed says nothing of those after it: it is for one page a partition"
    if endpoint.method != "GET":
        yield place, f"it is for GET, and this is {endpoint.method}: nothing says what an unchanged answer to it means"
    if endpoint.parent is not None:
        yield place, "each parent has a page of its own here: it is for one page a partition"
    if window is not None and (window.pieces > 1 or window.cap is not None):
        yield place, "a window that is asked for in pieces has several pages: it is for one page a partition"
    if endpoint.job is not None:
        yield place, "a job makes its files anew each time: it is for one page a partition"
    if endpoint.feed is not None:
        yield place, "a feed asks for something else each time, so there is nothing to compare with"
    if endpoint.cut_lists:
        yield place, "lists that are read on (`cut_lists`) change by themselves: it is for one page a partition"
