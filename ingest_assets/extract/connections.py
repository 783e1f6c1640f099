"""GraphQL connections that go on, and that the walk does not read on: their rest would be lost quietly.

{"data": {"orders": {"nodes": [{"id": 1, "lines": {"nodes": […], "pageInfo": {"hasNextPage": true}}}], "pageInfo": …}}}
                                        └ of a record: it is read on by `cut_lists`            └ the paginator's own
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract.request import Walk
from ingest_assets.http.decoders.parsing import UNREADABLE

_MORE, _BEFORE = "hasNextPage", "hasPreviousPage"  # the latter of what is asked for by `last`
_HOLDER = "pageInfo"


class Connections:
    """Sees the records of one page; raises WalkIncomplete for a connection in one that goes on and is not read on."""

    def __init__(self, walk: Walk) -> None:
        self._walk, self._count = walk, 0
        self._read_on = {told.has_more for told in walk.endpoint.cut_lists.values()}
        for name, told in walk.endpoint.cut_lists.items():
            holder = f"{name.rpartition('.')[0]}.{_HOLDER}"
            self._read_on |= {f"{holder}.{_MORE}", *([f"{holder}.{_BEFORE}"] if told.total is not None else [])}

    def add_all(self, records: Iterable[bytes | memoryview]) -> None:
        """Some of them, in their order."""
        for text in records:
            if _HOLDER.encode() in bytes(text):
                self._look(text)
            self._count += 1

    def _look(self, text: bytes | memoryview) -> None:
        try:
            record = msgspec.json.decode(text)
        except UNREADABLE:
            return  # it goes to quarantine
        for path in _going_on(record):
            if path not in self._read_on:
                raise WalkIncomplete(
                    f"{self._walk.label}: record {self._count} of a page has more at {path!r}, and nothing reads it "
                    "on: name that list under `cut_lists` (docs/paging.md), or ask for more of it by `first:`. Where "
                    "a part of it is enough, leave its pageInfo out of the query"
                )


def connections(walk: Walk) -> Connections | None:
    """What sees the records of a page; None where no GraphQL is asked."""
    return Connections(walk) if walk.endpoint.asks_graphql and walk.endpoint.job is None else None


def refuse_others(walk: Walk, envelope: Any) -> None:
    """Raise WalkIncomplete for a connection beside the records that goes on, other than the paginator's own."""
    if not walk.endpoint.asks_graphql or walk.endpoint.job is not None:
        return
    from ingest_assets.http.paginators.cursors import GraphQL

    paginator = walk.endpoint.paginator
    own = paginator.path if isinstance(paginator, GraphQL) else None
    for path in _going_on(envelope):
        if path.rpartition(".")[0] != own and not _is_told_of(path, paginator.model_dump()):
            raise WalkIncomplete(
                f"{walk.label}: the answer has more at {path!r}, and nothing reads it on: name it by `paginator: "
                "{type: graphql, path: …}`, or give that connection an endpoint of its own. Where a part of it is "
                "enough, leave its pageInfo out of the query"
            )


def _is_told_of(path: str, paginator: Mapping[str, Any]) -> bool:
    """Whether a paginator of another kind goes by that very pageInfo."""
    holder = path.rpartition(".")[0]
    places = [one["path"] if isinstance(one, Mapping) else one for one in paginator.values()]
    return any(isinstance(one, str) and one.startswith(f"{holder}.") for one in places if one)


def _going_on(value: Any) -> Iterator[str]:
    """Where a pageInfo says that more follows, or lies before; of what is in lists, without the place in these."""
    left = [("", value)]  # no recursion: newer Pythons decode more levels than they may call
    while left:
        path, value = left.pop()
        if isinstance(value, list):
            left += [(f"{path}[]", one) for one in reversed(value) if isinstance(one, list | Mapping)]
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                here = f"{path}.{key}" if path else key
                if key == _HOLDER and isinstance(inner, Mapping):
                    yield from (f"{here}.{sign}" for sign in (_MORE, _BEFORE) if inner.get(sign) is True)
                elif isinstance(inner, list | Mapping):
                    left.append((here, inner))
