"""What every paginator is: a frozen model that tells the last page from the others, and what asks for the next."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.paginators.signs import refuse_graphql_errors, where
from ingest_assets.http.place import Place
from ingest_assets.http.target import Target, without


class PaginatorModel(BaseModel):
    """The shape of a paginator. Without state: a walk goes on from any stored page."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    if TYPE_CHECKING:
        type: str

    by_place: ClassVar[bool] = False
    """Whether a page is asked for by its place in the list: then records move from page to page while a walk rests."""

    drop: tuple[str, ...] = Field(
        (), description="parameters (in a POST, paths in the body too) that only the first request may carry"
    )

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the response headers that it reads, in small letters: they are stored with each page."""
        return ()

    @property
    def sets(self) -> tuple[Target, ...]:
        """What it puts into the first request."""
        return ()

    @property
    def segments(self) -> frozenset[str]:
        """The `{names}` in the endpoint's path that it fills."""
        return frozenset(target.path for target in self.sets if target.path is not None)

    @property
    def records_total(self) -> Place | None:
        """Where an answer says how many records there are in all."""
        return None

    @property
    def overlaps_by(self) -> str | None:
        """The path in a record of the value by which it is known, where a page asks for the one before it again."""
        return None

    def overlapped(self, former: Page, page: Page) -> int:  # noqa: ARG002 -- most pages do not
        """How many records a page has in common with the one before it; WalkIncomplete where they are not the same."""
        return 0

    def begun(self, request: PageRequest) -> PageRequest:
        """The request for the first page, made of the endpoint's own."""
        return request

    def next(self, page: Page) -> PageRequest | None:
        """The request for the page after this one, or None where this one is `finished`.

        Raises WalkIncomplete where more pages follow and the way to them is missing, and RequestFailed where
        the answer is a refusal.
        """
        return None if self.finished(page) else without(self._following(page), self.drop)

    def left(self, page: Page) -> int | None:  # noqa: ARG002 -- most kinds cannot tell
        """How many pages follow this one, where that is told or follows from a total; None where it cannot be told."""
        return None

    def foreseen(self, page: Page) -> PageRequest | None:
        """The request for the page after this one, where it does not take the answer: a page's place tells the next's.

        Where a page has not come yet, `records` is how many it is thought to hold.
        """
        return without(self._following(page), self.drop) if self.by_place and page.records else None

    def finished(self, page: Page) -> str | None:
        """By what sign this page is the last one, such as 'has_more_false'; None where more follow.

        Raises WalkIncomplete where the sign is missing, and RequestFailed where the answer is a refusal.
        """
        refuse_graphql_errors(page)
        return self._sign(page)

    def ends_at(self, status: int | None) -> bool:  # noqa: ARG002 -- so it is for most kinds
        """Whether a refusal of this status, of any page but the first, says that the page before was the last."""
        return False

    def cut_short(self, first: Page, former: Page | None, last: Page) -> str | None:  # noqa: ARG002 -- most tell nothing
        """What is missing where the pages before the last one told of more than came, else None.

        `former` is the page before the last, where there is one.
        """
        return None

    @abstractmethod
    def _sign(self, page: Page) -> str | None: ...

    @abstractmethod
    def _following(self, page: Page) -> PageRequest: ...


def asking(page: Page, values: Mapping[Target, Any]) -> PageRequest:
    """The page's request with these values in place of its own; WalkIncomplete where one of them cannot be sent."""
    request = page.request
    for target, value in values.items():
        try:
            request = target.put(request, value)
        except ValueError as error:
            raise WalkIncomplete(f"{where(page)}: {target}: {error}") from None
    return request


def asked(page: Page, param: Target, first: int) -> int:
    """The number that a page was asked for with, or `first` where it was asked for without."""
    found = param.find(page.request)
    if found is None:
        return first
    if not (str(found).isascii() and str(found).isdecimal()):
        raise WalkIncomplete(f"{where(page)}: the request's {param} is no number")
    return int(found)
