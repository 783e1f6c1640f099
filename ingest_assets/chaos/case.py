"""What is asked for in a trial: one partition of an endpoint, at a moment at which it is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest_assets.chaos.made import Record, Span, path_of, records
from ingest_assets.chaos.values import as_text
from ingest_assets.extract import children
from ingest_assets.extract.request import Walk
from ingest_assets.http.page import dig
from ingest_assets.partitions import Listed
from ingest_assets.source import Endpoint, Source

_ANY_DAY = datetime(2026, 1, 15, tzinfo=UTC)
_SOME_DAYS = timedelta(days=9)
_PARENTS = 2


@dataclass(frozen=True)
class Case:
    """One partition of an endpoint of a source that stands in: when it is asked for, and the time of its records."""

    source: Source
    name: str
    partition: str | None
    now: datetime
    span: Span
    seed: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """What the file says of it."""
        return self.source.endpoints[self.name]

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.source.name}.{self.name}"

    @property
    def walk(self) -> Walk:
        """What a fetch of it asks for."""
        parts = None
        if self.endpoint.parent is not None:
            found = [dict(one) for one in parents(self.source, self.name)]
            parts = tuple(children.parts(self.source, self.name, found, {}, None))
        return Walk(self.source, self.name, self.partition, parts=parts)

    @property
    def size(self) -> int:
        """How many records a full page holds."""
        return 3 + self.seed % 3

    def records(self, chain: int = 0, parent: Mapping[str, str] | None = None) -> list[Record]:
        """The records of one of its chains, of the partition or of one parent: two full pages, and one that is not."""
        count = 2 * self.size + 1 + self.seed % (self.size - 1)
        return records(self.source, self.name, count, self.span, 100 * chain, parent)


def case(source: Source, name: str, seed: int = 0) -> Case:
    """The first partition of an endpoint, of the first account or the like; `seed` decides how many records it has."""
    endpoint = source.endpoints[name]
    lower, upper, period = _ANY_DAY, _ANY_DAY + _SOME_DAYS, None
    if endpoint.periods is not None:
        period = endpoint.periods.first
        lower, upper = endpoint.periods.bounds(period)
    if endpoint.feed is not None:
        lower, upper = endpoint.feed.start, endpoint.feed.start + _SOME_DAYS
    by = {
        key: _member(source, values) for key, values in (endpoint.partitions.by if endpoint.partitions else {}).items()
    }
    partition = endpoint.partitions.key(period, by) if endpoint.partitions is not None else None
    now = upper.astimezone(UTC) + endpoint.settle + timedelta(days=1)
    return Case(source, name, partition, now, Span(lower.astimezone(UTC), upper.astimezone(UTC)), seed)


def parents(source: Source, name: str) -> list[Mapping[str, str]]:
    """What an endpoint needs of each of its parents, as texts; none where it has none."""
    endpoint = source.endpoints[name]
    if endpoint.parent is None:
        return []
    parent, above = source.endpoints[endpoint.parent], parents(source, endpoint.parent)
    span = case(source, endpoint.parent).span
    made = records(source, endpoint.parent, _PARENTS, span, 0, above[0] if above else None)
    return [{field: _column(source, parent, one, field, above) for field in endpoint.parent_fields} for one in made]


def _column(source: Source, endpoint: Endpoint, record: Record, name: str, above: list[Mapping[str, str]]) -> str:
    """A column of a parent's row, as text."""
    column = endpoint.columns.get(name)
    if column is not None and column.from_parent is not None:
        return above[0][column.from_parent]
    if column is not None and column.from_partition is not None and endpoint.partitions is not None:
        return _member(source, endpoint.partitions.by[column.from_partition])
    return as_text(dig(record.data, path_of(endpoint, name)))


def _member(source: Source, values: tuple[str, ...] | Listed) -> str:
    """The first value of a dimension: of a list, or of the records of the endpoint that lists them."""
    if isinstance(values, tuple):
        return values[0]
    first = records(source, values.endpoint, 1, case(source, values.endpoint).span)[0]
    return as_text(dig(first.data, path_of(source.endpoints[values.endpoint], values.field)))
