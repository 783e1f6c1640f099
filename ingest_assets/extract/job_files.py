"""The files that a job has made: each is a part of its fetch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ingest_assets.extract.job_answers import bare
from ingest_assets.extract.request import File, Part, Walk
from ingest_assets.http.page import PageRequest


def parts(walk: Walk, files: Sequence[str]) -> Iterator[Part]:
    """A part for each file; what is stored of its URL has no query, which is a signature."""
    part = walk.part or Part("")
    for number, url in enumerate(files):
        key = f"{part.key} file {number + 1} of {len(files)}".strip()
        yield replace(part, key=key, request=PageRequest(bare(url)), file=File(part.key, number))


def in_order(names: Sequence[str], files: Sequence[str]) -> tuple[str, ...] | None:
    """The URLs of files that a later look gives, in the order of the first one's; None where they are other files.

    They are known by what is before their queries: of those that share that, the first remains the first. A single file
    is the only one that it can be.

    >>> in_order(["https://x.example/a", "https://x.example/b"], ["https://x.example/b?s=2", "https://x.example/a?s=2"])
    ('https://x.example/a?s=2', 'https://x.example/b?s=2')
    """
    if len(names) == len(files) == 1:
        return tuple(files)
    known = defaultdict[str, list[str]](list)
    for url in reversed(files):
        known[bare(url)].append(url)
    if sorted(map(bare, names)) != sorted(map(bare, files)):
        return None
    return tuple(known[bare(name)].pop() for name in names)
