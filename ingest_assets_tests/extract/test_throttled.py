"""A page that says inside 200 that too much was asked: waited for, and never stored."""

import pytest

from ingest_assets.line import Line

GRAPHQL = {
    "method": "POST",
    "body": {"query": "query($page: String) { … }"},
    "records": "data.orders.nodes",
    "paginator": {"type": "graphql", "path": "data.orders.pageInfo", "variable": "page"},
    "responses": [{"path": "errors.extensions.code", "equals": "THROTTLED", "means": "throttled", "wait": "PT0.05S"}],
}


def page(ids, after):
    info = {"hasNextPage": after is not None, "endCursor": after}
    return {"data": {"orders": {"nodes": [{"id": one} for one in ids], "pageInfo": info}}}


THROTTLED = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
SLOW = {"ok": False, "error": "ratelimited"}


@pytest.fixture
def line(lab, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    return lambda endpoint, **more: Line(lab.source(endpoint, **more), lab.folder)


def test_a_throttled_page_in_the_middle_is_asked_for_again_and_not_stored(api, lab, line):
    api.in_turn(page([1, 2], "b"), THROTTLED, THROTTLED, page([3], None))

    snapshot = line(GRAPHQL).fetch("things", None)

    assert [len(snapshot.pages), lab.verdicts()] == [2, ["complete"]]
    assert snapshot.manifest.ended.traffic["retries"] == 2


def test_a_rule_of_the_source_is_for_all_its_endpoints(api, lab, line):
    api.in_turn(SLOW, {"data": [{"id": 1}], "next": None})
    responses = [{"path": "error", "equals": "ratelimited", "means": "throttled", "wait": "PT0.05S"}]

    snapshot = line({}, responses=responses).fetch("things", None)

    assert lab.records(snapshot) == [{"id": 1}]


def test_an_endpoints_rule_goes_before_the_sources(api, lab, line):
    api.in_turn(SLOW, {"data": [{"id": 1}], "next": None})
    rule = {"path": "error", "equals": "ratelimited", "means": "throttled"}

    line({"responses": [rule | {"wait": "PT0.05S"}]}, responses=[rule | {"wait": "PT8H"}]).fetch("things", None)

    assert lab.verdicts() == ["complete"]
