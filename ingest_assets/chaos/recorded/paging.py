"""The paginator of a file, walked over stored pages again: does it lead from each page to the one after it?"""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from ingest_assets.chaos.recorded.stored import Finding, Stored, StoredPage
from ingest_assets.errors import IngestError
from ingest_assets.extract.more import more
from ingest_assets.http.page import PageRequest
from ingest_assets.http.place import whole
from ingest_assets.source import Endpoint, Source

_SIZES = ("limit", "per_page", "page_size", "pagesize", "page[size]", "size", "count", "first", "top", "$top")


def findings(source: Source, name: str, walks: list[Stored]) -> Iterator[Finding]:
    """Pages that the file cannot read, ends that are none, ways on that lead elsewhere, sizes that do not hold."""
    endpoint, label = source.endpoints[name], f"{source.name}.{name}"
    unread = next((page for walk in walks for page in walk.pages if page.problem), None)
    if unread is not None:
        field = "records" if unread.problem.startswith("records") else "decoder"
        yield Finding(label, field, f"page {unread.page.number} of the stored ones cannot be read: {unread.problem}")
        return
    for walk in walks:
        if (found := next(_on_the_way(endpoint, label, walk), None)) is not None:
            yield found
            break
    yield from _sizes(endpoint, label, walks)


def _on_the_way(endpoint: Endpoint, label: str, walk: Stored) -> Iterator[Finding]:
    for page, after in zip(walk.pages, walk.pages[1:], strict=False):
        yield from _between(endpoint, label, page, after, len(walk.pages))
    last = walk.pages[-1]
    try:
        ended = endpoint.paginator.finished(last.page)
    except IngestError as error:
        yield Finding(label, "paginator", f"the last page tells no end: {error}")
        return
    told = more(last.page) if ended else None
    if told and not _counted(last):
        yield Finding(
            label,
            "paginator",
            f"the walk would end after page {last.page.number + 1} ({ended}), and the answer tells of more by {told}",
            "look at docs/paging.md for the paginator that goes by it",
        )
    elif ended is None and walk.whole and len(walk.pages) > 1:
        yield Finding(label, "paginator", "the last page, after which there was none, is not the last for the file")


def _counted(last: StoredPage) -> bool:
    """Whether what tells of more is a count of all records, all of which came."""
    return any(whole(value) == last.page.before + last.page.records for value in _numbers(last.page.envelope))


def _numbers(envelope: object) -> Iterator[object]:
    if isinstance(envelope, dict):
        for inner in envelope.values():
            yield from _numbers(inner)
    else:
        yield envelope


def _between(endpoint: Endpoint, label: str, page: StoredPage, after: StoredPage, pages: int) -> Iterator[Finding]:
    number = page.page.number
    try:
        ended = endpoint.paginator.finished(page.page)
        following = None if ended else endpoint.paginator.next(page.page)
    except IngestError as error:
        yield Finding(label, "paginator", f"page {number} leads nowhere, and there was one after it: {error}")
        return
    if ended:
        yield Finding(
            label,
            "paginator",
            f"the walk would end after page {number + 1} of {pages} ({ended}), and there was one after it",
            "look at docs/paging.md for the sign by which this API tells its last page",
        )
    elif following is not None and (wrong := _differs(following, after.entry.request)):
        yield Finding(label, "paginator", f"page {number + 1} was asked for otherwise: {wrong}")


def _differs(one: PageRequest, other: PageRequest) -> str:
    """What of two requests is not the same."""
    here, there = _asked(one), _asked(other)
    only_here, only_there = sorted(here.keys() - there.keys()), sorted(there.keys() - here.keys())
    if only_here or only_there:
        return f"by {', '.join(only_there) or 'nothing more'}, and not by {', '.join(only_here) or 'anything else'}"
    changed = sorted(name for name, value in here.items() if there[name] != value)
    return f"with another {', '.join(changed)}" if changed else ""


def _asked(request: PageRequest) -> dict[str, str]:
    parts = urlsplit(request.url)
    told = {"the path": parts.path, **dict(parse_qsl(parts.query, keep_blank_values=True)), **dict(request.params)}
    told |= {f"{name} in the body": str(value) for name, value in (request.body or {}).items()}
    return told | {f"{name} in the path": value for name, value in request.path}


def _sizes(endpoint: Endpoint, label: str, walks: list[Stored]) -> Iterator[Finding]:
    """A size that is asked for, and that no page but the last bears out."""
    full = [len(page.records) for walk in walks for page in walk.pages[:-1]]
    if not full:
        return
    sizes = {f"params.{name}": whole(value) for name, value in endpoint.params.items() if name.lower() in _SIZES}
    sizes["paginator.page_size"] = (
        size if isinstance(size := getattr(endpoint.paginator, "page_size", None), int) else None
    )
    for field, told in sizes.items():
        if told is not None and max(full) < told:
            yield Finding(
                label,
                field,
                f"{told:,} records a page are asked for, and pages that are not the last hold {max(full):,} at most",
                f"write {max(full)}, which is what the API gives",
            )
