"""Small pages gathered: many are read at once where nothing is to be learned of them, all others one by one.

Reading a block of ten records by columns takes nearly as long as one of ten thousand. What comes out is the same: the
rows of each page, with its number and their positions, in the same order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.normalize.arrays import Misfit
from ingest_assets.normalize.collecting import uncollected
from ingest_assets.normalize.fast import Columns, Fast
from ingest_assets.normalize.normalize import Batch, Normalizer
from ingest_assets.normalize.plain import numbers_array, plain_array
from ingest_assets.normalize.reading import Records
from ingest_assets.normalize.rows import Plan
from ingest_assets.normalize.tables import fast_tables
from ingest_assets.normalize.values import Unfit, arrow_type

_MOST_BYTES = 3_000_000
_MOST_IN_VAIN = 64


@dataclass(frozen=True)
class Placed:
    """A block of a page, the page's number, and what its columns hold of the page's parent."""

    block: Records
    page: int
    parent: Mapping[str, str] = field(default_factory=dict)


def batches(normalizer: Normalizer, blocks: Iterable[Placed]) -> Iterator[Batch]:
    """The batches of these blocks in their order, as `Normalizer.batch` gives them: one for many small ones.

    More and more are tried together while that goes well; after they did not fit, a while passes until it is tried
    again. Raises Widened where `batch` does.
    """
    held, most, pause, wait = list[Placed](), 0, 0, 1
    for placed in blocks:
        if held and _bytes(held) + len(placed.block.text) > most:
            batch = _at_once(normalizer, held)
            if batch is not None:
                most, wait = min(2 * most, _MOST_BYTES), 1
            elif len(held) > 1:
                most, pause, wait = 0, wait, min(2 * wait, _MOST_IN_VAIN)
            elif pause:
                pause -= 1
            else:
                most = min(max(most, 2 * _bytes(held)), _MOST_BYTES)
            yield from _one_by_one(normalizer, held) if batch is None else (batch,)
            held = []
        held.append(placed)
    batch = _at_once(normalizer, held)
    yield from _one_by_one(normalizer, held) if batch is None else (batch,)


def _bytes(held: Sequence[Placed]) -> int:
    return sum(len(placed.block.text) for placed in held)


def _one_by_one(normalizer: Normalizer, held: Sequence[Placed]) -> Iterator[Batch]:
    for placed in held:
        normalizer.of_page(placed.parent)
        yield normalizer.batch(placed.block, placed.page)


def _at_once(normalizer: Normalizer, held: Sequence[Placed]) -> Batch | None:
    """All of these as one batch; None where there are not several, one has to be looked at, or something is new."""
    fast = normalizer.fast
    if len(held) < 2 or fast is None or any(placed.block.flaws for placed in held):
        return None
    with uncollected():
        texts = [text for placed in held for text in placed.block.records()]
        try:
            given = _given(normalizer, fast.plan, held)
            columns = _columns(fast, held, len(texts))
        except (Misfit, Unfit):
            return None
        if columns.numbers.kinds:
            return None
        columns.tables[()].arrays.update(given)
        fast.tighten(columns, texts)
        counts = [placed.block.count for placed in held]
        pages = np.repeat([placed.page for placed in held], counts)
        positions = np.concatenate([np.arange(p.block.first, p.block.first + p.block.count) for p in held])
        return Batch(fast_tables(columns, normalizer.counts, pages, positions, texts), [], len(texts))


def _columns(fast: Fast, held: Sequence[Placed], count: int) -> Columns:
    """The columns of so many records that all fit; raises Misfit."""
    structs: list[Any] = []
    for block in (placed.block for placed in held):
        try:
            structs += fast.decoded(block.text, lines=block.lines)
        except UNREADABLE as error:
            raise Misfit("a record that does not fit") from error
    if len(structs) != count:
        raise Misfit("other records than were counted")
    return fast.columns(structs, [placed.block.text for placed in held])


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
