"""Pages that are read at once where nothing is to be learned of them, small ones many together; others one by one.

Reading a block of ten records by columns takes nearly as long as one of ten thousand. What comes out is the same: the
rows of each page, with its number and their positions, in the same order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.normalize.arrays import Misfit
from ingest_assets.normalize.collecting import uncollected
from ingest_assets.normalize.normalize import Batch, Normalizer
from ingest_assets.normalize.plain import numbers_array, plain_array
from ingest_assets.normalize.reading import Records
from ingest_assets.normalize.rows import Plan
from ingest_assets.normalize.tables import fast_tables
from ingest_assets.normalize.values import Unfit, arrow_type

_MOST_BYTES = 6_000_000
_STEP_BYTES = 500_000
_MOST_IN_VAIN = 64
_LIST = tuple(b"[]")


class Placed(Struct, frozen=True):
    """A block of a page, the page's number, and what its columns hold of the page's parent."""

    block: Records
    page: int
    parent: Mapping[str, str] = field(default_factory=dict)


def batches(normalizer: Normalizer, blocks: Iterable[Placed]) -> Iterator[Batch]:
    """The batches of these blocks in their order, as `Normalizer.batch` gives them: one for many small ones.

    More and more are tried together while that goes well; after they did not fit, a while passes until it is tried
    again. Raises Widened where `batch` does.
    """
    held, size, most, pause, wait = list[Placed](), 0, 0, 0, 1
    for placed in blocks:
        if held and size + placed.block.size > most:
            batch = None if pause else _at_once(normalizer, held)
            if batch is not None:
                most, wait = min(2 * max(most, size), _MOST_BYTES), 1
            elif pause:
                pause -= 1
            elif normalizer.fast is not None:
                most, pause, wait = 0, wait, min(2 * wait, _MOST_IN_VAIN)
            yield from _one_by_one(normalizer, held) if batch is None else (batch,)
            held, size = [], 0
        held.append(placed)
        size += placed.block.size
    batch = None if pause else _at_once(normalizer, held)
    yield from _one_by_one(normalizer, held) if batch is None else (batch,)


def _one_by_one(normalizer: Normalizer, held: Sequence[Placed]) -> Iterator[Batch]:
    for placed in held:
        normalizer.of_page(placed.parent)
        yield normalizer.batch(placed.block, placed.page)


def _at_once(normalizer: Normalizer, held: Sequence[Placed]) -> Batch | None:
    """All of these as one batch; None where one has to be looked at, or something is new."""
    fast = normalizer.fast
    lines = {placed.block.lines for placed in held}
    if len(lines) != 1 or fast is None or any(placed.block.flaws for placed in held):
        return None
    with uncollected():
        texts = [text for placed in held for text in placed.block.records()]
        try:
            given = _given(normalizer, fast.plan, held)
            if (left := fast.left(texts)) is not None and left.apart:
                return None
            steps = _pages(held) if left is None else None
            steps = steps or _steps(texts if left is None else left.texts, held)
            columns = fast.columns_of(steps, left, lines=held[0].block.lines)
        except (Misfit, Unfit):
            return None
        if len(columns) != len(texts):
            return None
        fast.tighten(columns, texts)
        if columns.numbers.kinds and (len(held) > 1 or not normalizer.learn(columns.numbers)):
            return None  # several pages are learned from one by one, so that the registry counts the same versions
        columns.tables[()].arrays.update(given)
        counts = [placed.block.count for placed in held]
        pages = np.repeat([placed.page for placed in held], counts)
        positions = np.concatenate([np.arange(p.block.first, p.block.first + p.block.count) for p in held])
        tables = fast_tables(columns, normalizer.counts, pages, positions, texts)
        return Batch(tables, [], len(texts), columns.dropped)


def _steps(texts: Sequence[Any], held: Sequence[Placed]) -> list[bytes]:
    """The records as texts of so many that a processor's cache holds what becomes of one: lines, or a list."""
    bytes_held = sum(placed.block.size for placed in held)
    size = max(1, len(texts) * _STEP_BYTES // (bytes_held + 1))
    steps = [texts[first : first + size] for first in range(0, len(texts), size)]
    if held[0].block.lines:
        return [b"\n".join(step) for step in steps]
    return [b"[%s]" % b",".join(step) for step in steps]


def _pages(held: Sequence[Placed]) -> list[bytes] | None:
    """The same of pages that are small lists, put together as they came; None where any is large, or no list."""
    views = [memoryview(placed.block.view) for placed in held if placed.block.count]
    are_lists = not held[0].block.lines and all((view[0], view[-1]) == _LIST for view in views)
    if not are_lists or max(map(len, views), default=0) > _STEP_BYTES:
        return None
    steps, parts, size = list[bytes](), list[memoryview](), 0
    for view in views:
        if parts and size + len(view) > _STEP_BYTES:
            steps.append(b"[%s]" % b",".join(parts))
            parts, size = [], 0
        parts.append(view[1:-1])
        size += len(view)
    return [*steps, b"[%s]" % b",".join(parts)]


def _given(normalizer: Normalizer, plan: Plan, held: Sequence[Placed]) -> dict[str, pa.Array]:
    """The columns that are the same in all rows of a page; Misfit where others depend on them, Unfit as they do."""
    given = [column for column in plan.root.columns if column.given_by is not None]
    if any(column.currency is not None and column.currency.given_by is not None for column in plan.root.columns):
        raise Misfit("money in a currency that is the page's")
    values: dict[str, list[object]] = {column.spec.name: [] for column in given}
    for placed in held if given else ():
        normalizer.of_page(placed.parent)
        for column in given:
            values[column.spec.name].append(column.value(None))
    of_page = numbers_array(np.repeat(np.arange(len(held)), [placed.block.count for placed in held]))
    return {
        column.spec.name: plain_array(values[column.spec.name], arrow_type(column.spec.type)).take(of_page)
        for column in given
    }
