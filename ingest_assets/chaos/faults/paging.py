"""Faults of paging: pages that come twice, not at all or short, signs that are missing or wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ingest_assets.chaos.desk import Pages, Served
from ingest_assets.chaos.faults.fault import Fault, Laid, Struck, parted
from ingest_assets.chaos.made import Record
from ingest_assets.http.paginators.cursors import Cursor, GraphQL, LastRecord, Session
from ingest_assets.http.paginators.links import Link, NextUrl
from ingest_assets.http.paginators.numbered import Offset, PageNumber
from ingest_assets.source import Endpoint

_BY_CURSOR = (Cursor, GraphQL, Link, NextUrl)
_BY_PLACE = (PageNumber, Offset)
_COUNT = "name where the API counts its records: `total:` or `count:`"


def _paged(_: Endpoint, pages: int) -> bool:
    return pages > 1


def _three(_: Endpoint, pages: int) -> bool:
    return pages > 2


def _is(*kinds: type) -> Callable[[Endpoint, int], bool]:
    return lambda endpoint, pages: pages > 1 and isinstance(endpoint.paginator, kinds)


def _counted(endpoint: Endpoint) -> bool:
    """Whether the file names a count of all records that is meant exactly, or as a lower bound."""
    told = endpoint.total
    if told is not None:
        return told.tells != "about"
    return endpoint.count is not None or endpoint.paginator.records_total is not None


def _counts(endpoint: Endpoint, _: int) -> bool:
    return _counted(endpoint) or getattr(endpoint.paginator, "total_pages", None) is not None


def _has_flag(endpoint: Endpoint, pages: int) -> bool:
    paginator = endpoint.paginator
    flagged = any(getattr(paginator, name, None) is not None for name in ("has_more", "done"))
    return pages > 1 and (flagged or isinstance(paginator, GraphQL | Session))


def _flag_is_needed(endpoint: Endpoint) -> bool:
    return getattr(endpoint.paginator, "absent", "refuse") == "refuse" or _counted(endpoint)


def _way_is_needed(endpoint: Endpoint) -> bool:
    """Whether a way on that is missing shows: where it has to be there, or a flag or a count says that more follow."""
    paginator = endpoint.paginator
    flagged = any(getattr(paginator, name, None) is not None for name in ("has_more", "done"))
    refused = not isinstance(paginator, Link) and getattr(paginator, "absent", "refuse") == "refuse"
    return refused or flagged or _counted(endpoint)


def _ends_by_empty(endpoint: Endpoint) -> bool:
    return getattr(endpoint.paginator, "until", None) in ("empty_page", 404)


def _ends_by_short(endpoint: Endpoint) -> bool:
    paginator = endpoint.paginator
    return (
        getattr(paginator, "until", None) == "short_page"
        or isinstance(paginator, Session)
        or (isinstance(paginator, LastRecord) and paginator.page_size is not None)
    )


def _again(records: list[Record], pages: Pages, _: int) -> Laid:
    return records, [pages[0], *pages]


def _lost(records: list[Record], pages: Pages, _: int) -> Laid:
    return records, [pages[0], *pages[2:]]


def _hole(records: list[Record], pages: Pages, _: int) -> Laid:
    return records, [pages[0], [], *pages[1:]]


def _short(records: list[Record], pages: Pages, size: int) -> Laid:
    return records, [pages[0], pages[1][:-1], *parted([pages[1][-1], *(r for page in pages[2:] for r in page)], size)]


def _clamped(records: list[Record], pages: Pages, size: int) -> Laid:
    return records, parted(records, size - 1) if len(pages) > 1 else pages


def _full(_: list[Record], pages: Pages, __: int) -> Laid:
    kept = [page for page in pages if len(page) == len(pages[0])]
    return [record for page in kept for record in page], kept


def _one_page(_: list[Record], pages: Pages, __: int) -> Laid:
    return list(pages[0]), [pages[0]]


def _none(_records: list[Record], _pages: Pages, _size: int) -> Laid:
    return [], [[]]


def _moved_back(records: list[Record], pages: Pages, size: int) -> Laid:
    """The first record goes while the second page is asked for: all others move to the place before theirs."""
    return records, [pages[0], *parted(records[1:], size)[1:]]


def _moved_on(records: list[Record], pages: Pages, size: int) -> Laid:
    """A record comes in at the front: all others move to the place behind theirs, and one comes twice."""
    return records, [pages[0], *parted([records[0], *records], size)[1:]]


def _told(**change: Any) -> Callable[[Served, Struck], Served]:
    """Something else is told on the first page."""
    return lambda served, struck: replace(served, **change) if struck.page == 0 and struck.chain == 0 else served


def _untold(sign: str) -> Callable[[Served, Struck], Served]:
    """A sign is missing on the first page."""
    return lambda served, struck: (
        replace(served, signs=served.signs - {sign}) if struck.page == 0 and struck.chain == 0 else served
    )


def _total(change: Callable[[Any], Any]) -> Callable[[Served, Struck], Served]:
    return lambda served, _: replace(served, total=change(served.total))


def _elsewhere(served: Served, struck: Struck) -> Served:
    return replace(served, elsewhere=struck.elsewhere)


def _endless(served: Served, struck: Struck) -> Served:
    return served if served.following is not None else replace(served, following=struck.page + 1)


PAGING = (
    Fault("no_records", "paging", "the collection is empty", lay=_none),
    Fault("one_page", "paging", "all records fit on one page", harmless=True, fits=_paged, lay=_one_page),
    Fault("full_last_page", "paging", "the last page is as full as the others", harmless=True, fits=_three, lay=_full),
    Fault("repeated_page", "paging", "the first page comes twice", fits=_three, lay=_again),
    Fault(
        "same_cursor",
        "paging",
        "the way on leads to the page itself",
        fits=_is(*_BY_CURSOR),
        serve=lambda served, struck: replace(served, following=1) if struck.page == 1 else served,
        seen=lambda endpoint: getattr(endpoint.paginator, "until", None) != "same_cursor" or _counted(endpoint),
        advice=_COUNT,
    ),
    Fault(
        "cycle",
        "paging",
        "the way on leads back to the first page",
        fits=_is(*_BY_CURSOR),
        serve=lambda served, struck: replace(served, following=0) if struck.page == 1 else served,
    ),
    Fault("lost_page", "paging", "a page is left out", fits=_three, lay=_lost, seen=_counted, advice=_COUNT),
    Fault(
        "empty_page",
        "paging",
        "a page in the middle holds no records",
        fits=_paged,
        lay=_hole,
        seen=lambda endpoint: not (_ends_by_empty(endpoint) or _ends_by_short(endpoint)) or _counted(endpoint),
        advice=_COUNT,
    ),
    Fault(
        "short_page",
        "paging",
        "a page in the middle holds fewer records",
        fits=_three,
        lay=_short,
        seen=lambda endpoint: not _ends_by_short(endpoint) or _counted(endpoint),
        advice=_COUNT,
    ),
    Fault(
        "clamped_size",
        "paging",
        "pages hold fewer records than were asked for",
        harmless=True,
        fits=_paged,
        lay=_clamped,
    ),
    Fault(
        "moved_on",
        "paging",
        "a record comes in at the front, and all others move on",
        fits=_is(*_BY_PLACE),
        lay=_moved_on,
    ),
    Fault(
        "moved_back",
        "paging",
        "a record leaves, and all others move back",
        fits=_is(*_BY_PLACE),
        lay=_moved_back,
        seen=_counted,
        advice=_COUNT,
    ),
    Fault(
        "no_way_on",
        "paging",
        "cursor, token or link of the next page are missing",
        fits=_is(*_BY_CURSOR, Session),
        serve=_untold("cursor"),
        seen=_way_is_needed,
        advice=f"say `absent: refuse`, or {_COUNT}",
    ),
    Fault(
        "no_flag",
        "paging",
        "the sign is missing that tells whether more follow",
        fits=_has_flag,
        serve=_untold("flag"),
        seen=_flag_is_needed,
        advice=_COUNT,
    ),
    Fault("no_total", "paging", "the total is missing", fits=_counts, serve=_untold("total")),
    Fault(
        "total_too_large", "paging", "the total is larger than what comes", fits=_counts, serve=_total(lambda n: n + 4)
    ),
    Fault(
        "total_too_small",
        "paging",
        "the total is smaller than what comes",
        fits=_counts,
        serve=_total(lambda n: n - 2),
        seen=lambda endpoint: endpoint.paginator.records_total is None,
        advice="name another sign of the end",
    ),
    Fault("no_number", "paging", "the total is a word", fits=_counts, serve=_total(lambda _: "many")),
    Fault(
        "next_elsewhere",
        "paging",
        "the next page's URL is of another origin",
        fits=_is(Link, NextUrl),
        serve=_elsewhere,
    ),
    Fault("endless", "paging", "behind the last page there is always one more", fits=_paged, serve=_endless),
)
