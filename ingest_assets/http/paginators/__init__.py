"""Where the next page is: one frozen model a kind, without state, so that a walk goes on from any stored page.

    paginator       what all kinds are, and how one is made of a request
    signs           what an answer says of the pages after it
    single          none: there is one page
    numbered        page, offset                                    by place in the list
    cursors         cursor, session, graphql, last_record           by something that the answer held
    links           next_url, link (link_header: RFC 8288)          by a URL in the answer

Two questions are kept apart. `finished(page)` says whether the API told that this was the last page, and by
what sign; `next(page)` is the request for the one after it. That a page is empty answers neither.
"""

from typing import Annotated

from ingest_assets.http.one_of import OneOf
from ingest_assets.http.paginators.paginator import PaginatorModel
from ingest_assets.http.paginators.single import SinglePage

__all__ = ["Paginator", "SinglePage"]

Paginator = Annotated[
    PaginatorModel,
    OneOf(
        "ingest_assets.http.paginators",
        none="single.SinglePage",
        page="numbered.PageNumber",
        offset="numbered.Offset",
        link="links.Link",
        next_url="links.NextUrl",
        cursor="cursors.Cursor",
        last_record="cursors.LastRecord",
        session="cursors.Session",
        graphql="cursors.GraphQL",
    ),
]
