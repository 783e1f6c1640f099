"""Partitions beside each other: do their bounds let the right records through?"""

from collections.abc import Iterator

from ingest_assets.chaos.made import identity
from ingest_assets.chaos.recorded.stored import Finding, Stored
from ingest_assets.source import Source

_FEWEST = 2


def findings(source: Source, name: str, walks: list[Stored]) -> Iterator[Finding]:
    """The same records in two periods: the API does not know the bounds, or counts the upper one in."""
    endpoint, label = source.endpoints[name], f"{source.name}.{name}"
    if endpoint.window is None or endpoint.periods is None or not endpoint.primary_key or endpoint.window.stop_at:
        return
    if any(page.problem for walk in walks for page in walk.pages):
        return
    newest = {walk.partition: walk for walk in walks}
    told = [(walk, {identity(endpoint, one) for one in walk.records}) for walk in newest.values()]
    names = " and ".join(repr(one) for one in (endpoint.window.from_, endpoint.window.until) if one) or "the bounds"
    for number, (one, here) in enumerate(told):
        for other, there in told[number + 1 :]:
            shared = here & there
            if here == there and len(here) >= _FEWEST:
                yield Finding(
                    label,
                    "window",
                    f"{one.partition} and {other.partition} hold the same {len(here):,} records",
                    f"find out what the API calls its bounds: it does not seem to know {names}",
                )
                return
            if shared and not endpoint.window.inclusive and endpoint.changes != "window":
                yield Finding(
                    label,
                    "window.inclusive",
                    f"{len(shared):,} records are in {one.partition} and in {other.partition}",
                    "where the upper bound is part of the answer, say `inclusive: true`",
                )
                return
