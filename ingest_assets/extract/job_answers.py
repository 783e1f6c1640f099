"""What an API's answers about a job say: its number, how far it is, where its results are."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urldefrag, urljoin, urlsplit

from msgspec import Struct

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.naming import origin_of
from ingest_assets.http.page import MISSING, Page, PageRequest, dig, find
from ingest_assets.http.paginators.signs import as_param
from ingest_assets.http.place import Place, beside, kind
from ingest_assets.http.waits import moment
from ingest_assets.source.job import Job

_MOST_BYTES = 1 << 20
_QUOTED_CHARACTERS = 200
_LONGEST_URL = 8192
_QUERY = re.compile(r"\?\S+")
_MOST_SECONDS = 100_000_000_000  # since 1970: what is more are milliseconds

Means = Literal["done", "failed", "running", "expired"]


class State(Struct, frozen=True):
    """How far a job is: what that means, and how messages say it."""

    means: Means
    shown: str


def answered(client: Client, request: PageRequest, label: str, *, once: bool = False) -> Page:
    """The answer to a request about a job, 202 included; its body is read as JSON, and is None where it is none."""

    def receive(response: Response) -> Page:
        if response.rule is not None:
            told = f"is no status, but {response.rule.means}, as {response.rule}"
            raise RequestFailed(f"{label}: job: an answer about it {told}")
        body = bytearray()
        for chunk in response.chunks():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise RequestFailed(f"{label}: job: an answer about it is longer than {_MOST_BYTES:,} bytes")
        envelope = _parsed(bytes(body), response, label)
        response.learn(envelope)
        return Page(0, request, response.status, response.headers, envelope=envelope)

    return client.fetch(request, receive, accepts=(HTTPStatus.ACCEPTED,), once=once)


def _parsed(body: bytes, response: Response, label: str) -> Any:
    try:
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        if "json" in response.headers.get("content-type", "") and body.strip():
            raise TransientFailure(f"{label}: job: an answer about it is no whole JSON document") from None
        return None


def refuse_errors(job: Job, page: Page, label: str, about: str) -> None:
    """Raise RequestFailed where an answer of a good status tells an error."""
    for path in job.errors:
        if told := dig(page.envelope, path):
            raise RequestFailed(
                f"{label}: job: {about} is of status {page.status}, and tells an error at {path!r}{quoted(told)}"
            )


def text_at(place: Place, page: Page, label: str, about: str) -> str:
    """The text or number at a place of an answer; RequestFailed where there is none."""
    found = place.find(page)
    told = as_param(found)
    if told is None:
        raise RequestFailed(
            f"{label}: job: {about} holds {kind(found)} {place}, expected a text or number{beside(place, page)}"
        )
    return str(told)


def state(job: Job, page: Page, label: str) -> State:
    """How far a job is, by the answer to a look at it; RequestFailed where that cannot be told."""
    if job.state is None:
        running = page.status == HTTPStatus.ACCEPTED
        return State("running" if running else "done", f"HTTP {page.status}")
    found = job.state.find(page)
    if isinstance(found, Mapping | list) or found is None or found is MISSING:
        raise RequestFailed(
            f"{label}: job: its status holds {kind(found)} {job.state}, expected one of its states"
            f"{beside(job.state, page)}"
        )
    meanings: dict[Means, tuple[Any, ...]] = {
        "done": job.done,
        "failed": job.failed,
        "expired": job.expired,
        "running": job.running,
    }
    shown = repr(_written(found)[:_QUOTED_CHARACTERS])
    for means, values in meanings.items():
        if _written(found) in map(_written, values):
            return State(means, shown)
    if job.running:
        known = ", ".join(_written(value) for values in meanings.values() for value in values)
        raise RequestFailed(f"{label}: job: its state is {shown}, and the file knows {known}: say what it means")
    return State("running", shown)


def why(job: Job, page: Page) -> str:
    """What the status says of why a job failed, short; nothing where the file names no place of it."""
    return quoted(dig(page.envelope, job.message)) if job.message is not None else ""


def told(job: Job, page: Page, label: str) -> dict[str, str]:
    """The values that the file names, of the status of a job that is done."""
    about = "its status, now that it is done,"
    return {name: text_at(Place(path=path), page, label, about) for name, path in job.told.items()}


def files(job: Job, page: Page, base: str, label: str) -> tuple[str, ...] | None:
    """The URLs of a job's results; None where they are fetched by a request of the endpoint's own."""
    if job.files is None:
        return None
    found = [*_at(page.envelope, job.files.path)]
    if all(one is None or one is MISSING or one == "" for one in found):
        if job.files.absent == "empty":
            return ()
        raise RequestFailed(
            f"{label}: job: it is done, and its status names no file at {job.files.path!r}"
            f"{beside(Place(path=job.files.path), page)}. Where that means that there are no records, say "
            "`absent: empty` of `files`"
        )
    return tuple(_url(one, base, label) for one in found)


def _at(value: Any, path: str) -> Iterator[Any]:
    """All that stands at a path with `[]` on its way; the elements of a list at its end."""
    here, several, rest = path.partition("[]")
    found = find(value, here) if here else value
    if not several and not isinstance(found, list):
        yield found
        return
    for one in found if isinstance(found, list) else ():
        yield from _at(one, rest.removeprefix(".")) if rest else [one]


def _url(found: Any, base: str, label: str) -> str:
    if not isinstance(found, str):
        raise RequestFailed(f"{label}: job: expected the URL of each file, found {kind(found)}")
    try:
        url, _ = urldefrag(urljoin(f"{base}/", found))
        odd = "\\" in found or not found.isprintable() or "@" in urlsplit(url).netloc or len(url) > _LONGEST_URL
    except ValueError:
        url, odd = "", True
    if odd or origin_of(url) is None:
        raise RequestFailed(f"{label}: job: the URL of a file is not a plain http(s) URL. Not asked for")
    return url


def unsigned(value: Any) -> Any:
    """An answer without the queries of URLs, as it may be kept: a signature there lets anybody in for a while.

    Of a text that holds URLs, that is whatever follows a question mark up to the next space.

    >>> unsigned({"urls": ["https://files.example/7.csv?sig=abc", "8.csv?sig=def"], "rows": 3, "told": "Is it? Yes"})
    {'urls': ['https://files.example/7.csv', '8.csv'], 'rows': 3, 'told': 'Is it? Yes'}
    """
    if isinstance(value, Mapping):
        return {key: unsigned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unsigned(inner) for inner in value]
    if isinstance(value, str):
        is_url = value.startswith(("http://", "https://", "/")) or " " not in value
        return bare(value) if is_url else _QUERY.sub("", value)
    return str(value) if isinstance(value, Decimal) else value


def bare(url: str) -> str:
    """A URL without its query."""
    return url.partition("?")[0]


def ahead(page: Page, now: datetime) -> timedelta:
    """How far the API's clock is ahead of ours, as far as an answer tells it; it is behind where that is less than 0.

    >>> asked = PageRequest("https://x.example")
    >>> answer = Page(0, asked, 200, {"date": "Thu, 01 Jan 2026 00:00:00 GMT"})
    >>> ahead(answer, datetime(2026, 1, 1, 0, 5, tzinfo=UTC)).total_seconds()
    -300.0
    """
    there = moment(page.headers.get("date", ""))
    return timedelta(0) if there is None else there - now


def found(job: Job, where: Mapping[str, str], page: Page, since: datetime, label: str) -> str | None:
    """The number of the newest job in a list that was created since a time and looks so; None where there is none."""
    told = job.find
    if told is None:
        return None
    holder = find(page.envelope, told.jobs)
    if not isinstance(holder, list | Mapping) and holder is not None:
        raise RequestFailed(
            f"{label}: job: find: expected a list of jobs at {told.jobs!r}, found {kind(holder)}"
            f"{beside(Place(path=told.jobs), page) if told.jobs else ''}"
        )
    fitting = list[tuple[datetime, str]]()
    for one in holder if isinstance(holder, list) else [holder] if holder else ():
        created, number = _moment(dig(one, told.created)), as_param(dig(one, told.id))
        alike = all(_written(dig(one, path)) == value for path, value in where.items())
        if alike and created is not None and number is not None and created >= since.replace(microsecond=0):
            fitting.append((created, str(number)))
    return max(fitting)[1] if fitting else None


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str) and not value.isdecimal():
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        number = float(value)
        return datetime.fromtimestamp(number / 1000 if number > _MOST_SECONDS else number, UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _written(value: Any) -> str:
    """A value as files and APIs write it, so that true and 'true', 3 and '3' are the same.

    >>> [_written(value) for value in (True, "true", 3, "3")]
    ['true', 'true', '3', '3']
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(told: Any) -> str:
    """The text of an error in an answer, short; the answer was redacted when it arrived."""
    first = told[0] if isinstance(told, list) and told else told
    text = first.get("message") if isinstance(first, Mapping) else first
    shown = "".join(c for c in " ".join(text.split()) if c.isprintable()) if isinstance(text, str) else ""
    return f": {shown[:_QUOTED_CHARACTERS]!r}" if shown else ""
