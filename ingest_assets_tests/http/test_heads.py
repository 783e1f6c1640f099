"""Heads of answers as servers write them: no header is lost by a line beside it, and no answer by one before it."""

from collections.abc import Callable, Iterator

import pytest

from ingest_assets.errors import RequestFailed
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets_tests.loopback import Replying, serving

Heard = tuple[dict[str, str], bytes]
Ask = Callable[..., Heard]


class Handler(Replying):
    """Sends what it is told, and the path that was asked for as the body."""

    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        body = self.path.encode()
        before, lines = self.server.told
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self.wfile.write(before + b"HTTP/1.1 200 OK\r\n" + lines + length + body)


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Asks for a path; gives headers and body of the answer, whose status line comes between these bytes."""
    with serving(Handler, told=()) as server, Client(server.url) as client:

        def asked(path: str, before: bytes = b"", lines: bytes = b"") -> Heard:
            server.told = before, lines
            return client.fetch(PageRequest(server.url + path), heard)

        yield asked


def heard(response: Response) -> Heard:
    return dict(response.headers), b"".join(response.chunks())


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", EARLY, EARLY * 3]
)
def test_an_answer_before_the_answer_is_passed_over(ask: Ask, before: bytes) -> None:
    first, second = ask("/1", before), ask("/2", before)

    assert first == ({"content-length": "2"}, b"/1")
    assert second == ({"content-length": "2"}, b"/2")


@pytest.mark.parametrize(
    "odd",
    [
        b"no colon\r\n",
        b"Served by: 7\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"From here\r\n",
        b": no name\r\n",
        "Größe: 7\r\n".encode(),
        b"no colon\r\n that goes on\r\n",
    ],
)
def test_a_line_that_is_no_header_hides_none_that_follows(ask: Ask, odd: bytes) -> None:
    headers, body = ask("/", lines=b"X-First: 1\r\n" + odd + b'Link: </2>; rel="next"\r\n')

    assert headers == {"x-first": "1", "link": '</2>; rel="next"', "content-length": "1"}
    assert body == b"/"


def test_a_space_before_the_colon_is_no_part_of_the_name(ask: Ask) -> None:
    headers, _ = ask("/", lines=b"X-Total : 7\r\nX-Pages\t: 3\r\n")

    assert headers == {"x-total": "7", "x-pages": "3", "content-length": "1"}


def test_a_carriage_return_inside_of_a_header_ends_nothing(ask: Ask) -> None:
    headers, _ = ask("/", lines=b"X-Told: a\rb\r\n")

    assert headers == {"x-told": "a b", "content-length": "1"}


def test_a_header_that_goes_on_in_the_next_line_is_one(ask: Ask) -> None:
    headers, _ = ask("/", lines=b"X-Told: a\r\n b\r\nX-Last: c\r\n")

    assert " ".join(headers.pop("x-told").split()) == "a b"
    assert headers == {"x-last": "c", "content-length": "1"}


@pytest.mark.parametrize(("before", "lines"), [(EARLY * 1000, b""), (b"", b"no colon\r\n" * 2000)])
def test_what_is_passed_over_is_bounded(ask: Ask, before: bytes, lines: bytes) -> None:
    with pytest.raises(RequestFailed, match="its headers are larger than what is read of them"):
        ask("/", before, lines)
