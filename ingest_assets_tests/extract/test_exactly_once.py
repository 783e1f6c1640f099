"""Promise 2 over any API: all records of a walk are stored exactly once, or the fetch is not complete."""

import json
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import IngestError

LONG = "INGEST_LONG" in os.environ
PAGINATORS = {
    "cursor": {"type": "cursor", "path": "next", "param": "cursor"},
    "flagged": {"type": "cursor", "path": "next", "param": "cursor", "has_more": "more"},
    "done": {"type": "cursor", "path": "next", "param": "cursor", "done": "done"},
    "next_url": {"type": "next_url", "path": "url"},
    "last_record": {"type": "last_record", "param": "cursor", "field": "id", "has_more": "more"},
    "short_page": {"type": "last_record", "param": "cursor", "field": "id"},
    "session": {"type": "session", "path": "session", "param": "session", "page_param": "cursor", "page_size": "size"},
}
# Those that a walk must survive, and those after which it must not call itself complete.
PASSING = ("500", "503", "429", "cut", "half")
# A short page is these APIs' only sign: where they leave records out, only a total can tell.
TRUSTING = ("short_page", "session")
LYING = ("empty", "same_cursor", "first_again", "no_records", "no_sign", "refused")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


class Things:
    """An API of these records whose n-th request meets the n-th fault, if there is one."""

    def __init__(self, kind, records, size, faults, answer, *, total=False):
        self.total = total
        self.kind, self.size, self.faults, self.answer = kind, size, dict(faults), answer
        self.records = [{**record, "id": n} for n, record in enumerate(records)]
        self.asked = 0

    def __call__(self, query):
        fault = self.faults.pop(self.asked, None)
        self.asked += 1
        body = self._page(self._first(query))
        if fault in ("500", "503", "429"):
            return self.answer({}, status=int(fault), headers={"Retry-After": "0"})
        if fault == "refused":
            return self.answer({}, status=403)
        if fault == "half":
            return self.answer(self.text(body)[:-1])
        if fault in LYING:
            body = self._lie(fault, body)
        return self.answer(body, cut=fault == "cut")

    def _first(self, query):
        if "cursor" not in query:
            return 0
        told = int(query["cursor"])
        if self.kind in ("last_record", "short_page"):
            return told + 1
        return told * self.size if self.kind == "session" else told

    def _page(self, first):
        after = first + self.size
        more = after < len(self.records)
        return {
            "data": self.records[first:after],
            "next": str(after) if more else None,
            "url": f"/things?cursor={after}" if more else None,
            "more": more,
            "done": not more,
            "session": "s-1",
            "size": self.size,
            "total": len(self.records),
        }

    def _lie(self, fault, body):
        hidden = self.total or (body["more"] and self.kind not in TRUSTING)
        if fault == "empty":
            return {**body, "data": []} if hidden else body
        if fault == "same_cursor":
            return {**body, "next": "0", "url": "/things?cursor=0", "more": True, "done": False}
        if fault == "first_again":
            return {**body, "data": self.records[: self.size]}
        if fault == "no_records":
            return {name: value for name, value in body.items() if name != "data"}
        return {"data": body["data"]}

    @staticmethod
    def text(body):
        return json.dumps(body).encode()


@settings(max_examples=2000 if LONG else 60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(PAGINATORS)),
    records=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=12),
    size=st.integers(1, 5),
    faults=st.dictionaries(st.integers(0, 15), st.sampled_from(PASSING), max_size=8),
)
def test_faults_that_pass_lose_and_repeat_nothing(api, answer, lab_of, kind, records, size, faults):
    api.answer = things = Things(kind, records, size, faults, answer)

    with tempfile.TemporaryDirectory() as folder:
        snapshot, found = walked(lab_of(api, Path(folder)), kind, size)

    assert snapshot is not None
    assert snapshot.manifest.ended.verdict == "complete"
    assert found == things.records


@settings(max_examples=2000 if LONG else 60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(PAGINATORS)),
    records=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=12),
    size=st.integers(1, 5),
    faults=st.dictionaries(st.integers(0, 15), st.sampled_from(PASSING + LYING), max_size=8),
    total=st.booleans(),
)
def test_whatever_an_api_does_a_complete_walk_has_each_record_once(
    api, answer, lab_of, kind, records, size, faults, total
):
    api.answer = things = Things(kind, records, size, faults, answer, total=total)

    with tempfile.TemporaryDirectory() as folder:
        snapshot, found = walked(lab_of(api, Path(folder)), kind, size, total=total)

    assert snapshot is None or found == things.records


def walked(lab, kind, size, *, total=False):
    """The complete snapshot of a walk, made again while it may go on, and its records; None where it failed."""
    paginator = PAGINATORS[kind] | ({"page_size": size} if kind == "short_page" else {})
    walk = lab.walk({"paginator": paginator, "total": "total" if total else None})
    for _ in range(10):
        try:
            snapshot = lab.fetch(walk, attempts=2)
            return snapshot, lab.records(snapshot)
        except IngestError:
            if lab.verdicts()[-1] is not None:
                return None, []
    raise AssertionError("neither ended nor failed")
