"""Stored records against what the file says of them: key, columns, version, times, totals."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from ingest_assets.chaos.made import identity, path_of
from ingest_assets.chaos.recorded.stored import Finding, Stored, keys
from ingest_assets.errors import IngestError
from ingest_assets.http.decoders import Block
from ingest_assets.http.page import MISSING, Page, find
from ingest_assets.http.place import whole
from ingest_assets.http.total import Total
from ingest_assets.normalize.normalize import Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.source import Endpoint, Source

_CHANGES = ("updated_at", "updated", "modified_at", "modified", "last_modified", "updatedAt", "version")
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()


def findings(source: Source, name: str, walks: list[Stored]) -> Iterator[Finding]:
    """What the records lack, and where they are not what the file says."""
    endpoint, label = source.endpoints[name], f"{source.name}.{name}"
    if any(page.problem for walk in walks for page in walk.pages):
        return
    records = [record for walk in walks for record in walk.records if isinstance(record, Mapping)]
    if not records:
        yield from _no_records(label, walks)
        return
    absent = [*_absent(endpoint, label, records)]
    yield from absent
    if not any(one.field.startswith("primary_key") for one in absent):
        yield from _same_key(endpoint, label, walks)
        yield from _versions(endpoint, label, walks)
    yield from _misfits(endpoint, label, name, walks)
    yield from _times(endpoint, label, records, walks)
    yield from _totals(endpoint, label, walks)


def _no_records(label: str, walks: list[Stored]) -> Iterator[Finding]:
    envelope = next((page.page.envelope for walk in walks for page in walk.pages if page.page.envelope), None)
    lists = [path for path, value in _inside(envelope) if isinstance(value, list) and value]
    if lists:
        yield Finding(
            label, "records", f"no stored page holds a record there, and there are lists at {', '.join(lists)}"
        )


def _inside(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        yield f"{path}{key}", inner
        yield from _inside(inner, f"{path}{key}.")


def _absent(endpoint: Endpoint, label: str, records: list[Any]) -> Iterator[Finding]:
    """Columns and fields that the file names, and that no record has."""
    named = {("primary_key", column): path_of(endpoint, column) for column in endpoint.primary_key}
    named |= {("columns", name): path_of(endpoint, name) for name, one in endpoint.columns.items() if not one.given}
    if endpoint.newest_by:
        named["newest_by", endpoint.newest_by] = path_of(endpoint, endpoint.newest_by)
    if endpoint.feed and endpoint.feed.position:
        named["feed.position", endpoint.feed.position] = endpoint.feed.position
    if field := getattr(endpoint.paginator, "field", None):
        named["paginator.field", field] = field
    if endpoint.deleted:
        named["deleted", endpoint.deleted.path] = endpoint.deleted.path
    for (where, name), path in named.items():
        told = endpoint.columns.get(name)
        if (told is not None and told.given) or any(_has(record, path, name) for record in records):
            continue
        yield Finding(label, where, f"{name!r} is in none of {len(records):,} records; their keys are: {keys(records)}")


def _has(record: Any, path: str, name: str) -> bool:
    if find(record, path) is not MISSING:
        return True
    plain = name.replace("_", "").lower()
    return isinstance(record, Mapping) and any(key.replace("_", "").lower() == plain for key in record)


def _same_key(endpoint: Endpoint, label: str, walks: list[Stored]) -> Iterator[Finding]:
    """Records of one fetch that share a key, and differ."""
    for walk in walks if endpoint.primary_key and endpoint.newest_by is None else ():
        texts = {(identity(endpoint, one), json.dumps(one, sort_keys=True)) for one in walk.records}
        counted = Counter(key for key, _ in texts)
        shared = sum(count for count in counted.values() if count > 1)
        if shared:
            told = " and ".join(endpoint.primary_key)
            yield Finding(
                label,
                "primary_key",
                f"{shared:,} of {len(walk.records):,} records of one fetch share a {told}, and differ in other fields",
                "name the columns that tell records apart, or by `newest_by` the one that says which is newer",
            )
            return


def _versions(endpoint: Endpoint, label: str, walks: list[Stored]) -> Iterator[Finding]:
    """Records that came in several partitions with another content, and a field that says which is newer."""
    if endpoint.newest_by is not None or not endpoint.primary_key or endpoint.write != "merge":
        return
    seen: dict[tuple[str, ...], tuple[str | None, Any]] = {}
    for walk in walks:
        for record in walk.records:
            key = identity(endpoint, record)
            partition, former = seen.setdefault(key, (walk.partition, record))
            moved = [one for one in _CHANGES if isinstance(record, Mapping) and record.get(one) != former.get(one)]
            if partition != walk.partition and former != record and moved:
                yield Finding(
                    label,
                    "newest_by",
                    f"a record of {partition} came in {walk.partition} with another {moved[0]!r}",
                    f"say `newest_by: {moved[0]}`, so that the order of loads decides nothing",
                )
                return


def _misfits(endpoint: Endpoint, label: str, name: str, walks: list[Stored]) -> Iterator[Finding]:
    """Records that would be set aside, by the first reason."""
    reasons, total = Counter[str](), 0
    for walk in walks:
        text = msgspec.json.encode(walk.records)
        block = Block(text, lines=False, first=0, count=len(walk.records))
        registry = Registry.empty()
        while True:
            try:
                normalizer = Normalizer(name, endpoint.contract, registry, endpoint.told(walk.partition))
                normalizer.of_page(walk.pages[0].entry.note.get("parent", {}))
                reasons.update(one.reason for one in normalizer.batch(block, 0).quarantined)
                break
            except Widened as wider:
                registry = wider.registry
            except IngestError as error:
                yield Finding(label, "columns", str(error))
                return
        total += len(walk.records)
    for reason, count in reasons.most_common(5):
        yield Finding(label, "columns", f"{count:,} of {total:,} records would be set aside: {reason}")


def _times(endpoint: Endpoint, label: str, records: list[Any], walks: list[Stored]) -> Iterator[Finding]:
    """A feed's position that is no time, or not in the format that the file says; newest first that is not."""
    feed, window = endpoint.feed, endpoint.window
    if feed is not None and feed.position is not None:
        values = [value for one in records if (value := find(one, feed.position)) is not MISSING]
        wrong = [value for value in values if not _is_time(value)]
        if wrong:
            yield Finding(
                label, "feed.position", f"{feed.position!r} tells no time in {len(wrong):,} of {len(records):,} records"
            )
    if window is None or window.stop_at is None:
        return
    path = path_of(endpoint, window.stop_at)
    for walk in walks:
        newest = [max((str(find(one, path)) for one in page.records), default="") for page in walk.pages]
        if any(later > earlier for earlier, later in pairwise(newest) if later):
            yield Finding(label, "window.stop_at", f"pages do not come newest first by {window.stop_at!r}")
            return


def _is_time(value: Any) -> bool:
    """Whether a value is a time, as text or as seconds or milliseconds since 1970."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return False
        return True
    number = whole(value)
    return number is not None and number > _EARLIEST


def _totals(endpoint: Endpoint, label: str, walks: list[Stored]) -> Iterator[Finding]:
    """A total that is not there, or that is the count of its own page."""
    place = endpoint.total or (
        Total.model_validate(told.model_dump()) if (told := endpoint.paginator.records_total) is not None else None
    )
    if place is None:
        return
    for walk in walks:
        counts = [_count(place, page.page) for page in walk.pages]
        if counts[0] is None:
            yield Finding(label, "total", f"no number {place} of the first page")
            return
        own = [count == len(page.records) for count, page in zip(counts, walk.pages, strict=True)]
        if len(own) > 1 and all(own):
            yield Finding(label, "total", f"the number {place} is how many records its own page holds, not all")
            return


def _count(place: Total, page: Page) -> int | None:
    try:
        told = place.told(page)
    except IngestError:
        return None
    return None if told is None else told.records
