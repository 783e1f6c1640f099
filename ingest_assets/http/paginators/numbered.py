"""Pages are asked for by their place in the list: by number, or by how many records lie before.

By which sign such a walk ends has to be said, one of:

    total, total_pages      the API counts: the surest; they are numbers or strings of digits, in the body or a header
    has_more, done          a boolean in the body
    until: short_page       a page is shorter than the fullest before it; a first page alone is never trusted
    until: empty_page       a page holds no records
    until: 404              there is no such page, which is never accepted of the first

While a walk rests, records move from page to page: it goes on with the last page once again (`by_place`).
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.paginators.paginator import PaginatorModel, asked, asking
from ingest_assets.http.paginators.signs import DONE, HAS_MORE, NO_MORE, count, flag, goes_on, is_short, where
from ingest_assets.http.place import Place, whole
from ingest_assets.http.target import Target

_NO_SUCH_PAGE = 404
_TOTAL = "where the answer says how many {} there are in all: a path in the body, or {{header: NAME}}"

_MOVED = "records were added or removed while they were read, and some may be missing. Run again"
_TAKES = "what takes the {}: a query parameter (in a POST, a path in the body), or {{query|body|header|path: NAME}}"
_SIZES = ("page_size", "per_page", "size", "limit", "page_size_param", "size_param", "limit_param")


def _status(value: Any) -> Any:
    return int(value) if value == str(_NO_SUCH_PAGE) else value


class _Counted(PaginatorModel):
    by_place: ClassVar[bool] = True

    total: Place | None = Field(None, description=_TOTAL.format("records"))
    has_more: Place | None = Field(None, description=HAS_MORE)
    done: Place | None = Field(None, description=DONE)
    absent: Literal["refuse", "end"] = Field("refuse", description=NO_MORE)
    until: Annotated[Literal["short_page", "empty_page", 404] | None, BeforeValidator(_status)] = Field(
        None, description="the sign of the end where the API tells none: prefer a total wherever there is one"
    )

    @model_validator(mode="before")
    @classmethod
    def _no_size(cls, given: Any) -> Any:
        if isinstance(given, dict) and (found := [name for name in _SIZES if name in given]):
            raise ValueError(f"{found[0]}: how many records a page holds is a parameter: write it under `params:`")
        return given

    @model_validator(mode="after")
    def _one_sign(self) -> "_Counted":
        names = [
            name for name in ("total", "total_pages", "has_more", "done", "until") if name in type(self).model_fields
        ]
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise ValueError(f"give one of {', '.join(names)}: the walk has to know its last page")
        if self.absent == "end" and self.has_more is None:
            raise ValueError("absent: end says that has_more is left out of the last page; say has_more, too")
        return self

    @property
    def _places(self) -> tuple[Place | None, ...]:
        return self.total, self.has_more, self.done

    @property
    def headers(self) -> tuple[str, ...]:
        """Those of its signs."""
        return tuple(name for place in self._places if place is not None for name in place.headers)

    @property
    def records_total(self) -> Place | None:
        """Its total."""
        return self.total

    def left(self, page: Page) -> int | None:
        """By the total of records, as many pages as hold the rest, if they are as full as the fullest so far."""
        total, fullest = None if self.total is None else whole(self.total.find(page)), max(page.fullest, page.records)
        return None if total is None or not fullest else -(-(total - page.before - page.records) // fullest)

    def ends_at(self, status: int | None) -> bool:
        """A page that is not there, where that is the sign."""
        return status == _NO_SUCH_PAGE == self.until

    def _sign(self, page: Page) -> str | None:
        if self.has_more is not None:
            return None if goes_on(page, self.has_more, self.absent) else "has_more_false"
        if self.done is not None:
            return "done_true" if flag(page, self.done) else None
        if self.total is not None:
            return self._total_reached(page, count(page, self.total))
        if self.until == "short_page" and is_short(page):
            return "short_page"
        return "empty_page" if self.until == "empty_page" and not page.records else None

    def _total_reached(self, page: Page, total: int) -> str | None:
        received = page.before + page.records
        if page.records > total:
            raise WalkIncomplete(
                f"{where(page)}: it holds {page.records:,} records, and the API says {total:,} in all: that number is "
                "of something else, or not known to the API. Name another sign of the end"
            )
        if received >= total:
            return "total_reached"
        if not page.records:
            raise WalkIncomplete(
                f"{where(page)}: it holds no records, and the API says {total:,} in all, of which {received:,} came"
            )
        return None


class PageNumber(_Counted):
    """Pages have numbers.

    >>> shop = PageNumber(type="page", param="page", total_pages={"header": "X-Total-Pages"})
    >>> asked = shop.begun(PageRequest("https://x.example", (("per_page", "50"),)))
    >>> asked.params
    (('per_page', '50'), ('page', '1'))
    >>> shop.next(Page(0, asked, 200, {"x-total-pages": "2"}, records=50)).params
    (('per_page', '50'), ('page', '2'))
    >>> shop.finished(Page(1, shop.next(Page(0, asked, 200, {"x-total-pages": "2"})), 200, {"x-total-pages": "2"}))
    'total_reached'
    """

    type: Literal["page"]
    param: Target = Field(Target(name="page"), description=_TAKES.format("page's number"))
    first: int = Field(1, ge=0, description="the first page's number: 1, or 0")
    total_pages: Place | None = Field(None, description=_TOTAL.format("pages"))

    @property
    def _places(self) -> tuple[Place | None, ...]:
        return *super()._places, self.total_pages

    @property
    def sets(self) -> tuple[Target, ...]:
        """The page's number."""
        return (self.param,)

    def begun(self, request: PageRequest) -> PageRequest:
        """With the first page's number: without one, some APIs give no pages but all, or another number of records."""
        return self.param.put(request, self.first)

    def left(self, page: Page) -> int | None:
        """By the total of pages, where there is one."""
        pages = None if self.total_pages is None else whole(self.total_pages.find(page))
        if pages is None:
            return super().left(page)
        return pages - (asked(page, self.param, self.first) - self.first + 1)

    def cut_short(self, first: Page, former: Page | None, last: Page) -> str | None:  # noqa: ARG002 -- the first suffices
        """By the total of pages of both: where it falls, records moved to pages that were read before."""
        if self.total_pages is None:
            return None
        pages, number = count(first, self.total_pages), asked(last, self.param, self.first) - self.first + 1
        return (
            f"the first page tells of {pages:,} pages, and the walk ended with page {number:,}"
            if number < pages
            else None
        )

    def _sign(self, page: Page) -> str | None:
        if self.total_pages is None:
            return super()._sign(page)
        number = asked(page, self.param, self.first) - self.first + 1
        return "total_reached" if number >= count(page, self.total_pages) else None

    def _following(self, page: Page) -> PageRequest:
        return asking(page, {self.param: asked(page, self.param, self.first) + 1})


class Offset(_Counted):
    """A page begins after so many records. It goes on by what came, so that pages may be smaller than asked for.

    >>> shop = Offset(type="offset", total="meta.count")
    >>> asked = shop.begun(PageRequest("https://x.example", (("limit", "500"),)))
    >>> shop.next(Page(0, asked, 200, envelope={"meta": {"count": 250}}, records=100)).params
    (('limit', '500'), ('offset', '100'))
    """

    type: Literal["offset"]
    param: Target = Field(Target(name="offset"), description=_TAKES.format("offset"))
    first: int = Field(0, ge=0, description="the first record's offset: 0, or 1 as in SCIM")
    overlap: str | None = Field(
        None,
        min_length=1,
        description="path in a record of what it is known by, such as id: each page asks for the last record of the "
        "one before it again, and where another one comes, records have moved while they were read",
    )

    @property
    def sets(self) -> tuple[Target, ...]:
        """The offset."""
        return (self.param,)

    def begun(self, request: PageRequest) -> PageRequest:
        """With the first record's offset."""
        return self.param.put(request, self.first)

    @property
    def overlaps_by(self) -> str | None:
        """By what the record is known that is asked for again."""
        return self.overlap

    def overlapped(self, former: Page, page: Page) -> int:
        """One, where the last record of the page before is the first one of this."""
        if self.overlap is None:
            return 0
        common = self._place(former) + former.records - self._place(page)
        if not common and page.records:
            told = f"{where(page)}: overlap: the page before it held one record, so that none could be asked for again"
            raise WalkIncomplete(f"{told}: ask for more a page")
        known = dig(former.last_record, self.overlap)
        if common and (known is None or page.began != known):
            found = "another one" if page.records else "no record"
            told = "has to tell, which it does not hold" if known is None else f"tells, found {found}: {_MOVED}"
            again = "expected the last record of the page before it once again"
            raise WalkIncomplete(f"{where(page)}: overlap: {again}, as its {self.overlap!r} {told}")
        return common

    def left(self, page: Page) -> int | None:
        """As many as hold the rest; of one that overlaps, all but one record are new."""
        left, fullest = super().left(page), max(page.fullest, page.records)
        return left if left is None or self.overlap is None or fullest == 1 else left + -(-left // (fullest - 1))

    def _place(self, page: Page) -> int:
        return asked(page, self.param, self.first)

    def _sign(self, page: Page) -> str | None:
        nothing = not page.records and not page.before
        again = self.overlap is not None and page.number > 0 and page.records == 1
        if (nothing and self.until == _NO_SUCH_PAGE) or (again and self.until in ("empty_page", _NO_SUCH_PAGE)):
            return "empty_page"
        return super()._sign(page)

    def _following(self, page: Page) -> PageRequest:
        again = self.overlap is not None and (page.number > 0 or page.records > 1)
        if page.records <= again:  # the same request would be asked again
            more = "" if not again else " but the one that was asked for again"
            raise WalkIncomplete(f"{where(page)}: it holds no records{more} and is not the last, so no offset leads on")
        return asking(page, {self.param: self._place(page) + page.records - again})
