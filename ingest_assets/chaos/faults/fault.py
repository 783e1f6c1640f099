"""What a fault is: a frozen value that says what the API does wrong, to whom, and by what that can be seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.desk import Pages, Served
from ingest_assets.chaos.made import Record
from ingest_assets.chaos.server import Answer
from ingest_assets.source import Endpoint

Group = Literal["none", "paging", "status", "body", "redirect", "credential", "job"]
Means = Literal["running", "done", "failed", "expired", "unknown"]
Laid = tuple[list[Record], Pages]


@dataclass(frozen=True)
class Struck:
    """Which answer it is: the number of its page, how often that was asked for, of how many pages and which chain.

    `elsewhere` is another origin, `error_message` where the file lets errors be quoted. `expire` makes the credential
    another one, and gives the refusal of the one that was sent.
    """

    page: int
    times: int
    pages: int
    chain: int
    endpoint: Endpoint
    elsewhere: str
    error_message: tuple[str, ...] = ()
    expire: Callable[[Asked], Answer | None] = lambda _: None

    @property
    def aimed(self) -> bool:
        """Whether it is the page at which most faults strike: the second of the first chain, or its only one."""
        return self.chain == 0 and self.page == min(1, self.pages - 1)


@dataclass(frozen=True)
class Step:
    """Which answer about a job it is: to which request of the file's, and how many of these there were."""

    what: Literal["create", "status", "cancel", "find"]
    times: int
    endpoint: Endpoint
    error_message: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One thing that an API does wrong.

    `says` is that, in a few words. `fits` is whether it can happen to such an endpoint, of so many pages; `seen` is
    whether something in the file lets it be noticed where records are lost by it, and `advice` what would. Where it is
    `harmless`, or passes by itself, all records have to come.

    `needs_renewal` is whether it takes a credential that can be renewed. `check` is what is wrong with the requests
    that came, if so. `lay` parts an API's records into pages, `serve` changes what a page gives, `answer` what is sent.
    Of jobs, `state` says how far one is instead, and `about` changes what is sent.
    """

    name: str
    group: Group
    says: str
    harmless: bool = False
    advice: str = ""
    fits: Callable[[Endpoint, int], bool] = lambda _endpoint, _pages: True
    seen: Callable[[Endpoint], bool] = lambda _endpoint: True
    lay: Callable[[list[Record], Pages, int], Laid] = lambda records, pages, _size: (records, pages)
    serve: Callable[[Served, Struck], Served] = lambda served, _struck: served
    needs_renewal: bool = False
    check: Callable[[Sequence[Asked]], str] = lambda _: ""
    answer: Callable[[Answer, Struck, Asked], Answer] = lambda answer, _struck, _asked: answer
    state: Callable[[Means, Endpoint], Means] = lambda means, _endpoint: means
    about: Callable[[Answer, Step, Asked], Answer] = lambda answer, _step, _asked: answer


def no_fault() -> Fault:
    """An API that does what the file says."""
    return Fault("as_said", "none", "the API does what the file says", harmless=True)


NoFault = no_fault


def parted(records: Sequence[Record], size: int) -> list[list[Record]]:
    """Records in pages of one size."""
    return [list(records[at : at + size]) for at in range(0, len(records), size)] or [[]]
