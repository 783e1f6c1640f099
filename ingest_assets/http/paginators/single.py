"""All in one page."""

from typing import Literal

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest
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
