"""The next page's URL stands in the answer: in its body, or in its Link header."""

from dataclasses import replace
from typing import Literal
from urllib.parse import unquote_plus, urldefrag, urljoin, urlsplit

from pydantic import Field

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, origin
from ingest_assets.http.paginators.link_header import links
from ingest_assets.http.paginators.paginator import PaginatorModel
from ingest_assets.http.paginators.signs import ABSENT, ended, lost, where
from ingest_assets.http.place import Place

_KEEP = "parameters of the first request that the API leaves out of its URLs"


class NextUrl(PaginatorModel):
    """The body holds the URL of the next page, which is followed as it is.

    >>> links = NextUrl(type="next_url", path="links.next")
    >>> asked = PageRequest("https://x.example/v2/users", (("page[size]", "100"),))
    >>> links.next(Page(0, asked, 200, envelope={"links": {"next": "/v2/users?page%5Bafter%5D=b%3D"}}))
    ... # doctest: +ELLIPSIS
    PageRequest(url='https://x.example/v2/users?page%5Bafter%5D=b%3D', params=(), ...)
    >>> links.finished(Page(1, asked, 200, envelope={"links": {"next": None}}))
    'no_next'
    """

    type: Literal["next_url"]
    path: str = Field(description="path in the body of the next page's URL, absolute or relative to this page's")
    has_more: str | None = Field(None, description="path of the boolean that is false on the last page")
    done: str | None = Field(None, description="path of the boolean that is true on the last page")
    keep: tuple[str, ...] = Field((), description=_KEEP)
    absent: Literal["refuse", "end"] = Field("refuse", description=ABSENT)

    def _sign(self, page: Page) -> str | None:
        return ended(page, Place(path=self.path), self.has_more, self.done, self.absent)

    def _following(self, page: Page) -> PageRequest:
        place = Place(path=self.path)
        found = place.find(page)
        if not isinstance(found, str) or not found:
            raise lost(page, place, "a URL", found)
        return _followed(page.request, found, self.keep)


class Link(PaginatorModel):
    """The header `Link: <URL>; rel="next"` names the next page, which is followed as it is (RFC 8288).

    >>> github = Link(type="link")
    >>> asked = PageRequest("https://x.example/issues", (("per_page", "100"),))
    >>> github.next(Page(0, asked, 200, {"link": '<?per_page=100&page=2>; rel="next"'})).url
    'https://x.example/issues?per_page=100&page=2'
    >>> github.finished(Page(1, asked, 200, {"link": '<?per_page=100&page=1>; rel="prev"'}))
    'no_next'
    """

    type: Literal["link"]
    rel: str = Field("next", min_length=1, description="relation of the link to the next page")
    keep: tuple[str, ...] = Field((), description=_KEEP)

    @property
    def headers(self) -> tuple[str, ...]:
        """It reads the Link header."""
        return ("link",)

    def _sign(self, page: Page) -> str | None:
        return "no_next" if self._target(page) is None else None

    def _following(self, page: Page) -> PageRequest:
        return _followed(page.request, self._target(page) or "", self.keep)

    def _target(self, page: Page) -> str | None:
        text = page.headers.get("link", "")
        try:
            told = links(_as_sent(text))
        except ValueError as error:
            raise WalkIncomplete(
                f"{where(page)}: the Link header cannot be read to its end: {error}; whether more pages follow cannot "
                "be told"
            ) from None
        of_this = (link for link in told if link.is_of(page.request.url))
        targets = {link.target for link in of_this if self.rel.lower() in link.relations}
        if len(targets) > 1:
            raise WalkIncomplete(
                f"{where(page)}: the Link header names {len(targets)} pages as {self.rel!r}; expected one"
            )
        return targets.pop() if targets else None


def _as_sent(text: str) -> str:
    """A header's text, which arrives as Latin-1, as the UTF-8 that it often is."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _followed(request: PageRequest, found: str, keep: tuple[str, ...]) -> PageRequest:
    url = next_url(request.url, found)
    present = {unquote_plus(part.split("=", 1)[0]) for part in urlsplit(url).query.split("&")}
    kept = tuple(pair for pair in request.params if pair[0] in keep and pair[0] not in present)
    return replace(request, url=url, params=kept)


def next_url(base: str, found: str) -> str:
    """A URL from an answer, made absolute (RFC 3986 §5), its percent-encoding kept and its fragment cut.

    Raises RequestFailed where it leads to another origin, or is written so that two readers could take it for
    two hosts: what follows it would carry our credentials there.

    >>> next_url("https://x.example/v2/users?page=1", "?page=a%2Fb")
    'https://x.example/v2/users?page=a%2Fb'
    """
    try:
        url, _ = urldefrag(urljoin(base, found))
        here, there = origin(base), origin(url)
        odd = "\\" in found or not found.isprintable() or "@" in urlsplit(url).netloc
    except ValueError:
        raise RequestFailed("the next page's URL is not a URL") from None  # the error would show it
    if here != there:
        raise RequestFailed(
            f"the next page's URL leads to another origin: expected {here}, found {there}. Not followed"
        )
    if odd:
        raise RequestFailed("the next page's URL holds a backslash, a control character or a user name. Not followed")
    return url
