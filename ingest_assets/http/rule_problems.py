"""What is wrong with a rule on responses: what it leaves open, says twice, or says of answers that it cannot mean."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.http.conditions import wrong

if TYPE_CHECKING:  # a rule is checked by this as it is made
    from ingest_assets.http.responses import ResponseRule

_SUCCESS = range(200, 300)
_NO_PAGES = (202, 204)  # RFC 9110 §15.3: what is still being made, and no content
_WAIT = ("throttled", "retry")

OF_RECORDS = ("skip_parent", "end", "empty")
"""What a rule says of the records themselves: a mistake there would lose some without a word."""
SILENT = (202, 304, 401, 407, 429)
"""Statuses that say nothing of records: still being made, not changed, who asks, too much was asked."""
# What says enough by its status alone. A 404 or 410 names what is not there; any other may be a mistake of the file's.
_ALONE = {
    "skip_parent": (400, 403, 404, 405, 409, 410, 422, 423, 451),
    "end": (204, 400, 404, 410, 416, 422),
    "empty": (204, 404, 410),
}


def problems(rule: "ResponseRule") -> Iterator[str]:
    """All that is wrong with a rule."""
    yield from _place_problems(rule)
    yield from _meaning_problems(rule)


def _place_problems(rule: "ResponseRule") -> Iterator[str]:
    has_place = rule.header is not None or rule.path is not None
    if rule.header is not None and rule.path is not None:
        yield "a rule looks at a header or at a path: make two rules of it"
    if rule.equals and rule.text is not None:
        yield "equals and text both say what stands there: leave one of them out"
    if rule.jmespath is not None and (has_place or rule.equals or rule.text is not None):
        yield "jmespath is a condition of its own: leave header, path, equals and text out, or make two rules of it"
    if rule.jmespath is not None and (told := wrong(rule.jmespath)):
        yield f"jmespath: {told}"
    if rule.equals and not has_place:
        yield "equals needs path or header beside it: where is what it is compared with?"
    if rule.text is not None and not has_place and not rule.status:
        yield "text of a whole body needs status beside it: in a page, a record may hold the same words"
    if not rule.status and not has_place and rule.jmespath is None:
        yield "expected status, path, header or jmespath: which answers are meant?"
    yield from _record_problems(rule)
    no_pages = (204,) if rule.means in OF_RECORDS else () if rule.means == "throttled" else _NO_PAGES
    pages = [status for status in rule.status if status in _SUCCESS and status not in no_pages]
    if pages and rule.by_status_alone:
        yield "every page has such a status: say by path, header, text or jmespath which answers are meant"


def _record_problems(rule: "ResponseRule") -> Iterator[str]:
    if rule.means not in OF_RECORDS:
        return
    for status in rule.status:
        if status in SILENT:
            yield f"a {status} says nothing of records, so it cannot mean {rule.means}"
        elif rule.by_status_alone and status not in _ALONE[rule.means] and status not in _SUCCESS:
            told = "say by path, header, text or jmespath which answers are meant"
            yield f"a {status} may also mean that something is wrong, and not {rule.means}: {told}"


def _meaning_problems(rule: "ResponseRule") -> Iterator[str]:
    if rule.means == "fail" and rule.message is None:
        yield "means: fail needs `message`: what is wrong and what to do, in your own words"
    if rule.means != "fail" and rule.message is not None:
        yield f"message is what a failure says, and this means {rule.means}"
    if rule.wait and rule.means not in _WAIT:
        yield f"wait is for means: throttled and retry, and this means {rule.means}"
