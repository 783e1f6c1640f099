"""The files that a job has made: each is a part of its fetch."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

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


def marks(url: str) -> tuple[str, ...]:
    """A hash of each parameter of a URL, by which it is known again; what is a signature among them is not told.

    >>> marks("https://x.example/a?part=1&sig=abc")
    ('e7c657c114e7800b', '6f62c728bf0e5de3')
    """
    query = url.partition("?")[2]
    return tuple(hashlib.sha256(one.encode()).hexdigest()[:16] for one in query.split("&") if one)


def in_order(names: Sequence[str], noted: Sequence[Sequence[str]], files: Sequence[str]) -> tuple[str, ...] | None:
    """The URLs of files that a later look gives, in the order of the first one's; None where they are other files.

    They are known by what is before their queries, and those that share that by the parameters that are the same in
    both looks, which `noted` are the marks of: signatures differ. Where these do not tell them apart, the first remains
    the first. A single file is the only one that it can be.

    >>> before = ["https://x.example/a?part=1&sig=b", "https://x.example/a?part=2&sig=c"]
    >>> later = ["https://x.example/a?part=2&sig=d", "https://x.example/a?part=1&sig=e"]
    >>> in_order(list(map(bare, before)), list(map(marks, before)), later)
    ('https://x.example/a?part=1&sig=e', 'https://x.example/a?part=2&sig=d')
    """
    if len(names) == len(files) == 1:
        return tuple(files)
    names = list(map(bare, names))
    if sorted(names) != sorted(map(bare, files)):
        return None
    known = defaultdict[str, list[str]](list)
    for url in files:
        known[bare(url)].append(url)
    wanted = defaultdict[str, list[Sequence[str]]](list)
    for name, told in zip(names, noted, strict=True):
        wanted[name].append(told)
    found = {name: iter(_matched(wanted[name], urls)) for name, urls in known.items()}
    return tuple(next(found[name]) for name in names)


def _matched(wanted: Sequence[Sequence[str]], urls: Sequence[str]) -> Sequence[str]:
    """The URLs of files that share a name in the order of those that are wanted."""
    before, now = Counter(chain.from_iterable(wanted)), Counter(chain.from_iterable(map(marks, urls)))
    steady = {mark for mark, count in before.items() if now[mark] == count}
    by_key = {frozenset(steady.intersection(marks(url))): url for url in urls}
    keys = [frozenset(steady.intersection(told)) for told in wanted]
    return [by_key[key] for key in keys] if len(set(keys)) == len(urls) and set(keys) == by_key.keys() else urls
