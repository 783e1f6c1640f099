"""The words for an answer that is no page: what to do about it, and what the API says, where that may be told."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from ingest_assets.http.page import dig

_QUOTED_CHARACTERS = 200
_PARAMS = "check the endpoint's params, and how its window writes its bounds"
_HINTS = {
    206: "it was not asked for some bytes only, so this is no page: ask the API's people, or who runs a cache before "
    "it",
    304: "it was not asked whether the page has changed, so this is no answer: ask the API's people, or who runs a "
    "cache before it",
    400: _PARAMS,
    402: "the account's plan does not include this",
    403: "the credential may lack a permission",
    404: "check base_url and the endpoint's path",
    422: _PARAMS,
}
NOT_SENT_THERE = (
    "This is another origin than that of base_url, so no credential was sent there. Where the API has moved, or wants "
    "https, write that as base_url"
)
_QUOTING = ". To see what the API says, name where its errors hold text: `error_message: error.message`"


def phrase(status: int) -> str:
    """The name of a status.

    >>> phrase(404), phrase(599)
    ('Not Found', '(not a standard status)')
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not a standard status)"


def hint(status: int, *, quotes: bool) -> str:
    """What to do about a status; `quotes` where the source file names what of an error may be quoted."""
    found = _HINTS.get(status, "")
    return found + _QUOTING if found == _PARAMS and not quotes else found


def quoted(body: Any, paths: Iterable[str]) -> str:
    """The first text that an error's body holds at one of the paths, in quotes and cut; empty where there is none.

    >>> quoted({"error": {"message": "bad key"}}, ["title", "error.message"])
    ": 'bad key'"
    """
    found = (dig(body, path) for path in paths)
    message = next((text for text in found if isinstance(text, str) and text), "")
    shown = "".join(character for character in " ".join(message.split()) if character.isprintable())
    return f": {shown[:_QUOTED_CHARACTERS]!r}" if shown else ""
