"""The next page's URL stands in the answer: in its body, or in its Link header."""

from typing import Literal
from urllib.parse import unquote_plus, urldefrag, urljoin, urlsplit

from msgspec.structs import replace
from pydantic import Field, model_validator

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, origin
from ingest_assets.http.paginators.link_end import missing, place_of_last
from ingest_assets.http.paginators.link_header import LinkValue, links
from ingest_assets.http.paginators.paginator import PaginatorModel
from ingest_assets.http.paginators.signs import ABSENT, DONE, END, HAS_MORE, ended, lost, where
from ingest_assets.http.place import Place, at

_KEEP = "parameters of the first request that the API leaves out of its URLs"
_ELSEWHERE = (
    "'here' where the API writes another scheme, host or port into its URLs, such as that behind its gateway: their "
    "path and query are asked for at the endpoint's own origin"
)


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
    path: str | None = Field(
        None, min_length=1, description="path in the body of the next page's URL, absolute or relative to this page's"
    )
    header: str | None = Field(None, min_length=1, description="instead of path: the response header with the URL")
    has_more: Place | None = Field(None, description=HAS_MORE)
    done: Place | None = Field(None, description=DONE)
    keep: tuple[str, ...] = Field((), description=_KEEP)
    elsewhere: Literal["refuse", "here"] = Field("refuse", description=_ELSEWHERE)
    end: tuple[str, ...] = Field((), description=END)
    absent: Literal["refuse", "end"] = Field("refuse", description=ABSENT)

    @model_validator(mode="after")
    def _one_place(self) -> "NextUrl":
        if (self.path is None) == (self.header is None):
            raise ValueError("give one of path (in the body) and header: the URL is in one place")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """It may read headers."""
        places = (self._place, self.has_more, self.done)
        return tuple(name for place in places if place is not None for name in place.headers)

    @property
    def _place(self) -> Place:
        return at(self.path, self.header)

    def _sign(self, page: Page) -> str | None:
        return ended(page, self._place, self)

    def _following(self, page: Page) -> PageRequest:
        found = self._place.find(page)
        if not isinstance(found, str) or not found:
            raise lost(page, self._place, "a URL", found)
        return _followed(page, found, self.keep, self.elsewhere)


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
    elsewhere: Literal["refuse", "here"] = Field("refuse", description=_ELSEWHERE)
    absent: Literal["refuse", "end"] = Field(
        "refuse",
        description="'end' where the API sends its last page, and no other one, without a Link header: by default that "
        "is a failure where it looks as if the header had been lost",
    )

    @property
    def headers(self) -> tuple[str, ...]:
        """It reads the Link header."""
        return ("link",)

    def _sign(self, page: Page) -> str | None:
        return "no_next" if self._target(page) is None else None

    def _following(self, page: Page) -> PageRequest:
        return _followed(page, self._target(page) or "", self.keep, self.elsewhere)

    def cut_short(self, first: Page, former: Page | None, last: Page) -> str | None:
        """By the last page that the first one names, else by a Link header that is gone, as pages before it show."""
        if former is None or self._target(last) is not None:
            return None
        if (place := place_of_last(self._links(first), last, self.rel)) is not None:
            name, here, final = place
            ends = f"the first page names {name}={final} as 'last', and the walk ended with {name}={here}"
            return ends if here < final else None
        if self.absent == "end" or "link" in last.headers:
            return None
        if names := missing(self._links(former), self.rel):
            told = (
                f"the page before it names {', '.join(map(repr, names))} too, so the last one would have links as well"
            )
        elif last.records and last.records >= last.fullest:
            told = f"it is as full as those before it, of {last.records:,} records"
        else:
            return None
        return (
            f"{where(last)}: it has no Link header, and {told}: that was lost on the way, and pages may be missing. If "
            "the API leaves the header out of its last page, write `absent: end` in the paginator"
        )

    def _links(self, page: Page) -> list[LinkValue]:
        text = page.headers.get("link", "")
        try:
            return [link for link in links(text) if link.is_of(page.base)]
        except ValueError as error:
            raise WalkIncomplete(
                f"{where(page)}: the Link header cannot be read to its end: {error}; whether more pages follow cannot "
                "be told"
            ) from None

    def _target(self, page: Page) -> str | None:
        targets = {link.target for link in self._links(page) if self.rel.lower() in link.relations}
        if len(targets) > 1:
            raise WalkIncomplete(
                f"{where(page)}: the Link header names {len(targets)} pages as {self.rel!r}; expected one"
            )
        return targets.pop() if targets else None


def _followed(page: Page, found: str, keep: tuple[str, ...], elsewhere: str) -> PageRequest:
    request, url = page.request, next_url(page.base, found, elsewhere)
    present = {unquote_plus(part.split("=", 1)[0]) for part in urlsplit(url).query.split("&")}
    kept = tuple(pair for pair in request.params if pair[0] in keep and pair[0] not in present)
    return replace(request, url=url, params=kept)


def next_url(base: str, found: str, elsewhere: str = "refuse") -> str:
    """A URL from an answer, made absolute (RFC 3986 §5), its percent-encoding kept and its fragment cut.

    Raises RequestFailed where it leads to another origin, or is written so that two readers could take it for
    two hosts: what follows it would carry our credentials there. Where `elsewhere` is 'here', the same is asked of the
    own origin instead.

    >>> next_url("https://x.example/v2/users?page=1", "?page=a%2Fb")
    'https://x.example/v2/users?page=a%2Fb'
    """
    try:
        url, _ = urldefrag(urljoin(base, found))
        if elsewhere == "here" and urlsplit(url).scheme in ("http", "https"):
            own = urlsplit(base)
            url = urlsplit(url)._replace(scheme=own.scheme, netloc=own.netloc).geturl()
        here, there = origin(base), origin(url)
        odd = "\\" in found or not found.isprintable() or "@" in urlsplit(url).netloc
    except ValueError:
        raise RequestFailed("the next page's URL is not a URL") from None  # the error would show it
    if here != there:
        raise RequestFailed(
            f"the next page's URL leads to another origin: expected {here}, found {there}. Not followed. Where that is "
            "how the API names itself behind its gateway, say `elsewhere: here` in the paginator"
        )
    if odd:
        raise RequestFailed("the next page's URL holds a backslash, a control character or a user name. Not followed")
    return url
