"""An answer that is a web page where records were due: known by its begin, and named by its title."""

import html
import re

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.parsing import SPACE

LOOKED_AT_BYTES = 1 << 16
_TITLE = re.compile(rb"<title[^<>]{0,200}>([^<>]{0,1000})</title", re.IGNORECASE)
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_SHOWN = 80


def is_page(start: bytes) -> bool:
    """Whether a body that begins so is a web page.

    >>> is_page(b"  <!DOCTYPE html><html>"), is_page(b"<rss version='2.0'>"), is_page(b"<html")
    (True, False, True)
    """
    return _PAGE.match(start.lstrip(SPACE)) is not None


def not_records(start: bytes, expected: str) -> RequestFailed:
    """The error for a body of markup where something else was due; a web page is named by its title.

    >>> str(not_records(b"<html><title>Log in &amp;\\n go on</title>", "CSV"))
    "expected CSV, found HTML or XML, titled 'Log in & go on': is the path right, or is this a sign-in page?"
    """
    return RequestFailed(
        f"expected {expected}, found HTML or XML{_titled(start)}: is the path right, or is this a sign-in page?"
    )


def _titled(start: bytes) -> str:
    found = _TITLE.search(start[:LOOKED_AT_BYTES])
    if found is None:
        return ""
    text = " ".join(html.unescape(found[1].decode("utf-8", "replace")).split())
    shown = "".join(letter for letter in text if letter.isprintable())
    return f", titled {shown[:_SHOWN]!r}" if shown else ""
