"""Where the next page is: one frozen model a kind, without state, so that a walk goes on from any stored page.

    paginator       what all kinds are, and how one is made of a request
    signs           what an answer says of the pages after it
    numbered        page, offset                                    by place in the list
    cursors         cursor, session, graphql, last_record           by something that the answer held
    links           next_url, link (link_header: RFC 8288)          by a URL in the answer

Two questions are kept apart. `finished(page)` says whether the API told that this was the last page, and by
what sign; `next(page)` is the request for the one after it. That a page is empty answers neither.
"""

from typing import Annotated, Literal

from pydantic import Field

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.paginators.cursors import Cursor, GraphQL, LastRecord, Session
from ingest_assets.http.paginators.links import Link, NextUrl
from ingest_assets.http.paginators.numbered import Offset, PageNumber
from ingest_assets.http.paginators.paginator import PaginatorModel
from ingest_assets.http.paginators.signs import where


class SinglePage(PaginatorModel):
    """There is one page.

    >>> SinglePage().finished(Page(0, PageRequest("https://x.example"), 200))
    'single_page'
    """

    type: Literal["none"] = "none"

    def _sign(self, page: Page) -> str | None:  # noqa: ARG002 -- the same for all kinds
        return "single_page"

    def _following(self, page: Page) -> PageRequest:
        raise WalkIncomplete(f"{where(page)}: the source file says that there is one page")


Paginator = Annotated[
    SinglePage | PageNumber | Offset | Link | NextUrl | Cursor | LastRecord | Session | GraphQL,
    Field(discriminator="type"),
]
