"""Records that do not stand in one list."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.decoders import Json, pieces
from ingest_assets.http.selector import Selector

ITEMS = {"path": "data[].items[]"}
RATES = {"path": "rates{}", "key": "code"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=5).map("f{}".format), VALUES, max_size=3)


def read(body, selector):
    """The records and the envelope of a body."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    page = Json().decode(io.BytesIO(text), Selector.model_validate(selector))
    blocks = list(page)
    places = [block.first for block in blocks]
    assert places == [sum(block.count for block in blocks[:n]) for n in range(len(blocks))]
    found = [json.loads(bytes(record)) for block in blocks for record in block.records()]
    assert len(found) == page.records
    return found, page.envelope


@pytest.mark.parametrize(
    ("selector", "body", "records", "envelope"),
    [
        (ITEMS, {"data": [{"items": [{"a": 1}]}, {"items": []}, {"items": [{"a": 2}]}], "n": 3}, [1, 2], {"n": 3}),
        ("data[]", {"data": [{"a": 1}], "n": 1}, [1], {"n": 1}),
        ("[].items[]", [{"items": [{"a": 1}, {"a": 2}]}], [1, 2], None),
        ("a.b[].c.d[].e[]", {"a": {"b": [{"c": {"d": [{"e": [{"a": 1}]}, {"e": [{"a": 2}]}]}}]}}, [1, 2], {"a": {}}),
        ("edges[].node", {"edges": [{"node": {"a": 1}}, {"node": {"a": 2}}]}, [1, 2], {}),
        ({"path": "edges[].node", "absent": "empty"}, {"edges": [{"node": None}, {"node": {"a": 2}}, {}]}, [2], {}),
        ({**ITEMS, "absent": "empty"}, {"data": [{"items": None}, {}, {"items": [{"a": 1}]}]}, [1], {}),
        ({**ITEMS, "absent": "empty"}, {"n": 0}, [], {"n": 0}),
        ({**ITEMS, "single": "record"}, {"data": [{"items": {"a": 1}}, {"items": [{"a": 2}]}]}, [1, 2], {}),
        ({"path": "data", "single": "record"}, {"data": {"a": 1}, "n": 1}, [1], {"n": 1}),
        ({"path": "data", "single": "record"}, {"data": [{"a": 1}], "n": 1}, [1], {"n": 1}),
        ({"path": "rates{}.of[]", "key": "code"}, {"rates": {"x": {"of": [{"a": 1}]}}}, [1], {}),
        ({**RATES, "absent": "empty"}, {"rates": None}, [], {}),
    ],
)
def test_records_are_found_wherever_they_stand(selector, body, records, envelope):
    found, rest = read(body, selector)

    assert [record["a"] for record in found] == records
    assert rest == envelope


@pytest.mark.parametrize(
    ("selector", "body", "records"),
    [
        (RATES, {"rates": {"EUR": {"v": 1}, "USD": {}}}, [{"code": "EUR", "v": 1}, {"code": "USD"}]),
        (RATES, {"rates": {"EUR": 1.5, "": None}}, [{"code": "EUR", "value": 1.5}, {"code": "", "value": None}]),
        ({**RATES, "value": "rate"}, {"rates": {'é"': 1}}, [{"code": 'é"', "rate": 1}]),
        (
            {"path": "rates{}{}", "key": ["day", "code"]},
            {"rates": {"05": {"EUR": 1, "USD": 2}, "06": {"EUR": 3}}},
            [
                {"day": "05", "code": "EUR", "value": 1},
                {"day": "05", "code": "USD", "value": 2},
                {"day": "06", "code": "EUR", "value": 3},
            ],
        ),
        ({"path": "{}", "key": "id"}, {"a": {"n": 1}, "b": {"n": 2}}, [{"id": "a", "n": 1}, {"id": "b", "n": 2}]),
        (
            {**ITEMS, "keep": ["day", "gone"]},
            {"data": [{"day": "05", "items": [{"a": 1}, {}]}, {"items": [{"a": 2}]}]},
            [{"day": "05", "a": 1}, {"day": "05"}, {"a": 2}],
        ),
        (
            {"path": "data[].ids[]", "keep": "day"},
            {"data": [{"day": {"d": 5}, "ids": [7, "x"]}]},
            [{"day": {"d": 5}, "value": 7}, {"day": {"d": 5}, "value": "x"}],
        ),
    ],
)
def test_a_record_gets_the_key_or_fields_of_its_place(selector, body, records):
    assert read(body, selector)[0] == records


@given(st.lists(st.lists(RECORDS, max_size=4), max_size=5), st.text() | st.integers(), st.sampled_from([None, 2]))
def test_no_record_of_nested_lists_is_lost_or_comes_twice(lists, beside, indent):
    body = {"a": beside, "data": [{"day": n, "x": beside, "items": items} for n, items in enumerate(lists)], "z": 1}

    found, envelope = read(json.dumps(body, indent=indent).encode(), {**ITEMS, "keep": "day"})

    assert found == [{"day": n} | record for n, items in enumerate(lists) for record in items]
    assert envelope == {"a": beside, "z": 1}


@given(st.dictionaries(st.text(max_size=6), RECORDS | st.integers(), max_size=5), st.booleans())
def test_no_value_of_a_dictionary_is_lost_or_comes_twice(values, ascii_only):
    body = json.dumps({"rates": values, "n": 1}, ensure_ascii=ascii_only).encode()

    found, _ = read(body, RATES)

    expected = [{"code": k} | (v if isinstance(v, dict) else {"value": v}) for k, v in values.items()]
    assert found == expected


def test_a_large_page_of_nested_lists_is_read_in_blocks():
    lists = [{"items": [{"id": 100 * n + m, "text": "x" * 1000} for m in range(100)]} for n in range(200)]
    body = json.dumps({"data": lists, "more": True}).encode()

    page = Json().decode(io.BytesIO(body), Selector(path="data[].items[]"))
    blocks = list(page)

    assert len(body) > pieces.SMALL_BYTES
    assert len(blocks) > 1
    assert [json.loads(r)["id"] for block in blocks for r in map(bytes, block.records())] == list(range(20_000))
    assert (page.records, page.envelope) == (20_000, {"more": True})


def test_a_bad_record_in_a_nested_list_stops_none_of_the_others():
    body = b'{"data": [{"items": [{"a": 1}, {"a": "\\ud800"}]}, {"items": [{"a": 3}]}]}'

    page = Json().decode(io.BytesIO(body), Selector(path="data[].items[]"))
    found = [bytes(record) for block in page for record in block.records()]

    assert found == [b'{"a": 1}', b'{"a": "\\ud800"}', b'{"a": 3}']


UNREADABLE = {
    "not UTF-8": b'{"id":1,"v":"\xff"}',
    "a key that is not": b'{"id":1,"\xff":2}',
    "half of a pair": b'{"id":1,"v":"\\ud800"}',
    "too deep": b'{"id":1,"v":%s}' % (b"[" * 5000 + b"]" * 5000),
    "no JSON": b'{"id":1,"v":NaN}',
}
AMONG = {
    "a list": ("data", b'{"data":[%s,{"id":2}]}'),
    "a list of a list": (ITEMS, b'{"data":[{"items":[%s,{"id":2}]}]}'),
    "with what stands beside it": (ITEMS | {"keep": "day"}, b'{"data":[{"day":1,"items":[%s,{"id":2}]}]}'),
    "what stands beside it": (ITEMS | {"keep": "day"}, b'{"data":[{"day":%s,"items":[{"id":2}]}]}'),
    "what holds it": (ITEMS, b'{"data":[%s]}'),
    "three lists": ("data[].a[].b[]", b'{"data":[{"a":[{"b":[%s]}]}]}'),
    "values": (RATES, b'{"rates":{"a":%s,"b":{"id":2}}}'),
    "a dictionary": (RATES, b'{"rates":%s}'),
    "beside a dictionary": (RATES, b'{"rates":{"a":{"id":2}},"x":%s}'),
    "lists of a dictionary": ({"path": "rates{}[]", "key": "code"}, b'{"rates":{"a":[%s]}}'),
    "columns": ({"path": "h", "layout": "columns"}, b'{"h":{"a":[%s,2],"b":[3,4]}}'),
    "a field that is no column": ({"path": "h", "layout": "columns"}, b'{"h":%s}'),
    "beside columns": ({"path": "h", "layout": "columns"}, b'{"h":{"a":[1]},"x":%s}'),
    "the only record": ({"path": "data", "single": "record"}, b'{"data":%s}'),
}


def outcome(body, selector):
    """The texts of a page's records, and what is said where it is refused."""
    page = Json().decode(io.BytesIO(body), Selector.model_validate(selector))
    try:
        return [bytes(record) for block in page for record in block.records()], ""
    except RequestFailed as error:
        return [], str(error)


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("place", ["a list", "a list of a list"])
def test_in_a_list_what_cannot_be_read_is_a_record_like_any_other(place, unreadable):
    selector, body = AMONG[place]

    assert outcome(body % unreadable, selector) == ([unreadable, b'{"id":2}'], "")


@pytest.mark.parametrize(("path", "body"), [("", b"%s\n"), ("data", b'{"n":1,"data":%s,"m":[{}]}')])
def test_the_only_record_that_cannot_be_read_is_one_like_any_other(path, body):
    record = b'{"id":[1,2],"s":"\\ud83d","more":{"a":1}}'

    assert outcome(body % record, {"path": path, "single": "record"}) == ([record], "")


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("place", AMONG)
def test_elsewhere_it_is_one_too_or_a_failure_that_says_so(place, unreadable):
    selector, body = AMONG[place]

    found, told = outcome(body % unreadable, selector)

    assert found or told.startswith(("records: ", "expected JSON, "))


@pytest.mark.parametrize(
    ("selector", "body", "told"),
    [
        (ITEMS, {"data": [{"item": []}]}, "there is no 'items' in one of the elements; the keys there are: item"),
        (ITEMS, {"data": [{"items": None}]}, "found null in one of them.*say `absent: empty`"),
        (ITEMS, {"data": [{"items": {"a": 1}}]}, "found an object in one of them.*say `single: record`"),
        (ITEMS, {"data": [7]}, "expected an object, found a number"),
        (ITEMS, {"data": {"items": []}}, "expected a list, found an object"),
        (ITEMS, {}, "there is no 'data'"),
        (ITEMS, b'{"data": [{"items": [], "items": []}]}', "a key stands twice"),
        (RATES, b'{"rates": {"EUR": 1, "EUR": 2}}', "a key stands twice"),
        (RATES, {"rates": [1]}, "expected a dictionary, found a list"),
        (RATES, {}, "there is no 'rates'"),
        ("data", {"data": {"id": 1}}, "single: record.*a path with {}"),
    ],
)
def test_what_is_not_where_the_file_says_is_a_failure(selector, body, told):
    with pytest.raises(RequestFailed, match=f"records: .*{told}"):
        read(body, selector)


@pytest.mark.parametrize("selector", [ITEMS, RATES])
@pytest.mark.parametrize("cut", [1, 5])
def test_a_cut_body_is_asked_for_again(selector, cut):
    body = b'{"data": [{"items": [{"a": 1}]}], "rates": {"EUR": 1}}'

    with pytest.raises(TransientFailure, match="cut body"):
        read(body[:-cut], selector)


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ({"path": "rates{}"}, "the path holds 1 of {}, and key names 0 columns"),
        ({"path": "data", "key": "code"}, "the path holds 0 of {}, and key names 1 columns"),
        ({"path": "data[]", "keep": "day"}, "keep is for fields beside a list in each element"),
        ({"path": "data[0].items"}, "is no path"),
        ({"path": "data..items"}, "is no path"),
        ({"path": "hourly", "layout": "columns", "keep": "a"}, "not for layout: columns"),
    ],
)
def test_a_selector_that_cannot_work_is_refused(selector, told):
    with pytest.raises(ValidationError, match=told):
        Selector.model_validate(selector)
