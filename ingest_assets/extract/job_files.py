"""The files that a job has made: each is a part of its fetch."""

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
