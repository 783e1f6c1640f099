"""Promise 2 over any API: all records of a walk are stored exactly once, or the fetch is not complete."""

import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import IngestError
from ingest_assets.extract.request import request_key

LONG = "INGEST_LONG" in os.environ
PAGINATORS = {
    "cursor": {"type": "cursor", "path": "next", "param": "cursor"},
    "flagged": {"type": "cursor", "path": "next", "param": "cursor", "has_more": "more"},
    "done": {"type": "cursor", "path": "next", "param": "cursor", "done": "done"},
    "header_cursor": {"type": "cursor", "header": "X-Next", "param": "cursor"},
    "next_url": {"type": "next_url", "path": "url"},
    "link": {"type": "link"},
    "last_record": {"type": "last_record", "param": "cursor", "field": "id", "has_more": "more"},
    "short_page": {"type": "last_record", "param": "cursor", "field": "id"},
    "session": {"type": "session", "path": "session", "param": "session", "page_param": "cursor", "page_size": "size"},
    "graphql": {"type": "graphql", "path": "pageInfo", "variable": "page.after"},
    "page_total": {"type": "page", "total": "total"},
    "page_total_header": {"type": "page", "total": {"header": "X-Total"}, "first": 0},
    "page_total_pages": {"type": "page", "total_pages": "pages", "first": 0},
    "page_total_pages_header": {"type": "page", "total_pages": {"header": "x-pages"}},
    "page_has_more": {"type": "page", "has_more": "more", "param": "p"},
    "page_done": {"type": "page", "done": "done", "first": 0},
    "page_short": {"type": "page", "until": "short_page"},
    "page_empty": {"type": "page", "until": "empty_page", "first": 0},
    "page_404": {"type": "page", "until": 404},
    "offset_total": {"type": "offset", "total": "total"},
    "offset_total_header": {"type": "offset", "total": {"header": "Content-Range"}, "first": 1},
    "offset_has_more": {"type": "offset", "has_more": "more", "param": "skip"},
    "offset_short": {"type": "offset", "until": "short_page"},
    "offset_empty": {"type": "offset", "until": "empty_page", "first": 1},
    "offset_404": {"type": "offset", "until": 404},
    "text_flag": {"type": "cursor", "path": "next", "param": "cursor", "has_more": "more_text"},
    "number_flag": {"type": "cursor", "path": "next", "param": "cursor", "has_more": {"header": "X-More"}},
    "to_header": {"type": "cursor", "path": "next", "param": {"header": "X-Cursor"}},
    "to_path": {"type": "cursor", "path": "next", "param": {"path": "cursor"}, "first": "0"},
    "to_next_path": {"type": "cursor", "path": "next", "param": {"path": "cursor"}, "next_path": "/things/{cursor}"},
    "end_text": {"type": "cursor", "header": "X-Locator", "param": "cursor", "end": ["null"]},
    "until_empty": {"type": "cursor", "path": "always", "param": "cursor", "until": "empty_page"},
    "until_same": {"type": "cursor", "path": "stays", "param": "cursor", "until": "same_cursor", "first": "0"},
    "url_in_header": {"type": "next_url", "header": "X-Url"},
    "url_elsewhere": {"type": "next_url", "path": "internal", "elsewhere": "here"},
    "url_in_list": {"type": "next_url", "path": "links[rel=next].href", "absent": "end"},
    "last_record_empty": {"type": "last_record", "param": "cursor", "field": "id", "until": "empty_page"},
    "page_in_path": {"type": "page", "param": {"path": "page"}, "total_pages": "pages", "first": 0},
    "offset_in_header": {"type": "offset", "param": {"header": "X-Cursor"}, "total": "total"},
}
# The endpoint's path, where it holds what a paginator fills.
PATHS = {"to_path": "/things/{cursor}", "page_in_path": "/things/{page}"}
# Those that a walk must survive, and those after which it must not call itself complete.
PASSING = ("500", "503", "429", "cut", "half")
# These APIs' only sign is what they hold: where they leave records out, only a total can tell.
TRUSTING = (
    "short_page",
    "session",
    "page_short",
    "page_empty",
    "page_404",
    "offset_short",
    "offset_empty",
    "offset_404",
    "until_empty",
    "last_record_empty",
)
# A page without a link is how these say that it is the last.
SILENT = ("link", "url_in_list")
LYING = ("empty", "same_cursor", "first_again", "no_records", "no_sign", "refused", "gone")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


class Things:
    """An API of these records whose n-th request meets the n-th fault, if there is one.

    `size` is what a page holds, whatever is asked for. Totals are numbers or, where `spelled`, strings of digits.
    """

    def __init__(self, kind, records, size, faults, answer, *, total=False, spelled=False):
        self.kind, self.size, self.faults, self.answer = kind, size, dict(faults), answer
        self.total, self.told = total, str if spelled else int
        self.records = [{**record, "id": n} for n, record in enumerate(records)]
        self.asked = 0

    def __call__(self, query):
        fault = self.faults.pop(self.asked, None)
        self.asked += 1
        first = self._first(query)
        body, headers = self._page(first), self._headers(first)
        if fault in ("500", "503", "429"):
            return self.answer({}, status=int(fault), headers={"Retry-After": "0"})
        if fault in ("refused", "gone"):
            return self.answer({}, status=403 if fault == "refused" else 410)
        if fault == "half":
            return self.answer(self.text(body)[:-1], headers=headers)
        if self.kind.endswith("404") and first and first >= len(self.records):
            return self.answer({}, status=404)
        if fault in LYING:
            body, headers = self._lie(fault, body, headers)
        return self.answer(body, headers=headers, cut=fault == "cut")

    def _first(self, query):
        """The place of the first record that is asked for."""
        paginator = PAGINATORS[self.kind]
        if self.by_place:
            by_page, param = paginator["type"] == "page", paginator.get("param", paginator["type"])
            told = next(query[name] for name in (str(param), "/", "X-Cursor") if name in query)
            place = int(told) - paginator.get("first", 1 if by_page else 0)
            return place * self.size if by_page else place
        if self.kind == "graphql":
            return int(query["variables"].get("page", {}).get("after", 0))
        told = query.get("cursor", query.get("/", query.get("X-Cursor")))
        if told is None:
            return 0
        if self.kind in ("last_record", "short_page", "last_record_empty"):
            return int(told) + 1
        return int(told) * self.size if self.kind == "session" else int(told)

    @property
    def by_place(self):
        return PAGINATORS[self.kind]["type"] in ("page", "offset")

    def _page(self, first):
        after = first + self.size
        more = after < len(self.records)
        return {
            "data": self.records[first:after],
            "next": str(after) if more else None,
            "url": f"/things?cursor={after}" if more else None,
            "more": more,
            "more_text": "Y" if more else "n",
            "always": str(after),
            "stays": str(after if more else first),
            "internal": f"http://inside:8080/things?cursor={after}" if more else None,
            "links": [{"rel": "self"}, *([{"rel": "next", "href": f"/things?cursor={after}"}] if more else [])],
            "pageInfo": {"hasNextPage": more, "endCursor": str(after) if more else None},
            "done": not more,
            "session": "s-1",
            "size": self.size,
            "total": self.told(len(self.records)),
            "pages": self.told(-(-len(self.records) // self.size)),
        }

    def _headers(self, first):
        after = first + self.size
        more = after < len(self.records)
        link = f'</things?cursor={after}>; title="a, \\"b\\"; c"; rel="last NEXT", ' if more else ""
        return {
            "X-Next": str(after) if more else "",
            "X-More": str(max(len(self.records) - after, 0)),
            "X-Locator": str(after) if more else "null",
            "X-Url": f"?cursor={after}" if more else "",
            "X-Total": str(len(self.records)),
            "X-Pages": str(-(-len(self.records) // self.size)),
            "Content-Range": f"things {first}-{after}/{len(self.records)}",
            "Link": f"{link}</things>; rel=first",
        }

    def _lie(self, fault, body, headers):
        hidden = self.total or (body["more"] and self.kind not in TRUSTING)
        if fault == "empty":
            return ({**body, "data": []} if hidden else body), headers
        if fault == "same_cursor":
            again = {"X-Next": "0", "Link": "</things?cursor=0>; rel=next", "X-Locator": "0", "X-Url": "?cursor=0"}
            info = {"hasNextPage": True, "endCursor": "0"}
            told = {"next": "0", "url": "/things?cursor=0", "more": True, "done": False, "pageInfo": info}
            told |= {"more_text": "yes", "always": "0", "internal": "http://inside/things?cursor=0"}
            told |= {"links": [{"rel": "next", "href": "/things?cursor=0"}]}
            return body | told, headers | again | {"X-More": "1"}
        if fault == "first_again":
            return {**body, "data": self.records[: self.size]}, headers
        if fault == "no_records":
            return {name: value for name, value in body.items() if name != "data"}, headers
        return {"data": body["data"]} | ({"links": body["links"]} if self.kind in SILENT else {}), (
            headers if self.kind in SILENT else {}
        )

    @staticmethod
    def text(body):
        return json.dumps(body).encode()


@pytest.mark.parametrize("kind", sorted(PAGINATORS))
@settings(max_examples=100 if LONG else 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=12),
    size=st.integers(1, 5),
    more=st.integers(0, 3),
    faults=st.dictionaries(st.integers(0, 15), st.sampled_from(PASSING), max_size=8),
    spelled=st.booleans(),
    at_once=st.sampled_from([1, 4]),
)
def test_faults_that_pass_lose_and_repeat_nothing(
    api, answer, lab_of, kind, records, size, more, faults, spelled, at_once
):
    api.answer = things = Things(kind, records, size, faults, answer, spelled=spelled)

    with tempfile.TemporaryDirectory() as folder:
        snapshot, found = walked(lab_of(api, Path(folder)), kind, size + more, at_once=at_once)

    assert snapshot is not None
    assert snapshot.manifest.ended.verdict == "complete"
    assert found == things.records


@pytest.mark.parametrize("kind", sorted(PAGINATORS))
@settings(max_examples=100 if LONG else 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=12),
    size=st.integers(1, 5),
    more=st.integers(0, 3),
    faults=st.dictionaries(st.integers(0, 15), st.sampled_from(PASSING + LYING), max_size=8),
    total=st.booleans(),
    at_once=st.sampled_from([1, 4]),
)
@example(records=[{}], size=1, more=0, faults={0: "empty", 1: "500", 2: "500"}, total=True, at_once=1)
def test_whatever_an_api_does_a_complete_walk_has_each_record_once(
    api, answer, lab_of, kind, records, size, more, faults, total, at_once
):
    api.answer = things = Things(kind, records, size, faults, answer, total=total)

    with tempfile.TemporaryDirectory() as folder:
        snapshot, found = walked(lab_of(api, Path(folder)), kind, size + more, total=total, at_once=at_once)

    assert snapshot is None or found == things.records


def walked(lab, kind, size, *, total=False, at_once=1):
    """The complete snapshot of a walk, made again while it may go on, and its records; None where it failed.

    `size` is what the walk believes a page to hold. A page that was asked for again after a rest counts once.
    """
    paginator = PAGINATORS[kind] | ({"page_size": size} if kind == "short_page" else {})
    asked = {"method": "POST", "body": {"query": "…", "variables": {"first": size}}} if kind == "graphql" else {}
    asked |= {"path": PATHS[kind]} if kind in PATHS else {}
    walk = lab.walk({"paginator": paginator, "total": "total" if total else None, "at_once": at_once, **asked})
    for _ in range(10):
        try:
            snapshot = lab.fetch(walk, attempts=2)
        except IngestError:
            if lab.verdicts()[-1] is not None:
                return None, []
        else:
            return snapshot, once(snapshot, lab.records(snapshot), by_place=walk.endpoint.paginator.by_place)
    raise AssertionError("neither ended nor failed")


def once(snapshot, records, *, by_place):
    """The records without those of pages that were asked for again."""
    again, most = 0, Counter[str]()
    for entry in snapshot.pages:
        key = request_key(entry.request)
        again += min(entry.records, most[key])
        most[key] = max(entry.records, most[key])
    unique = list({record["id"]: record for record in records}.values()) if by_place else records
    assert len(unique) == len(records) - again
    return unique
