"""From a page's bytes to its records, by both ways."""

import io
import json
import string
import subprocess
import sys
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.decoders import Json, json_places, pieces
from ingest_assets.http.decoders.json_lines import JsonLines
from ingest_assets.http.selector import Selector
from ingest_assets.http.structure import Located, is_whole, locate, split_array

LINES = JsonLines(type="jsonl")


def page(body, path="data", absent="refuse"):
    decoded = Json().decode(io.BytesIO(body), Selector(path=path, absent=absent))
    return decoded, [bytes(record) for block in decoded for record in block.records()]


def lines(body):
    decoded = LINES.decode(io.BytesIO(body), Selector())
    return decoded, [bytes(record) for block in decoded for record in block.records()]


class Dribble(io.BytesIO):
    """A body that comes in small pieces."""

    def __init__(self, body, step):
        super().__init__(body)
        self.step = step

    def read(self, size=-1):
        return super().read(min(size, self.step) if size >= 0 else self.step)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab"\\,[]{} é\u2028\n', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('da"\\', max_size=3), inner, max_size=4),
    max_leaves=12,
)


def by_structure(body, keys, step):
    located = Located()
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    blocks = list(locate(pieces, keys, located, 1 << 20))
    records = [record.strip() for text, _ in blocks for record in split_array(text)]
    return located, records


@given(
    records=st.lists(json_values, max_size=6),
    before=st.dictionaries(st.text(string.ascii_letters, min_size=5), json_values, max_size=3),
    after=st.dictionaries(st.text(string.digits, min_size=5), json_values, max_size=3),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    step=st.integers(1, 40),
)
def test_both_ways_find_the_same_records_however_the_body_is_cut_into_pieces(
    records, before, after, indent, ascii_only, step
):
    document = {**before, "data": {"x": [1], "rows": records, "y": 2}, **after}
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()

    decoded, small = page(body, "data.rows")
    located, large = by_structure(body, ("data", "rows"), step)

    assert small == large
    assert [json.loads(record) for record in small] == records
    assert located.unclosed is None
    assert decoded.envelope == json.loads(
        json.dumps({**before, "data": {"x": [1], "y": 2}, **after}), parse_float=Decimal
    )


@given(records=st.lists(json_values, min_size=1, max_size=6), step=st.integers(1, 20), data=st.data())
def test_every_cut_of_a_body_is_found(records, step, data):
    body = json.dumps({"data": records, "more": {"a": [1, "x"]}}).encode()
    cut = data.draw(st.integers(0, len(body) - 1))

    with pytest.raises(TransientFailure, match="cut body"):
        page(body[:cut])
    located, _ = by_structure(body[:cut], ("data",), step)

    assert cut == 0 or located.unclosed


@given(records=st.lists(json_values, max_size=6), step=st.integers(1, 20))
def test_a_list_at_the_root_is_split_by_both_ways(records, step):
    body = json.dumps(records).encode()

    decoded, small = page(body, "")
    _, large = by_structure(body, (), step)

    assert small == large
    assert decoded.records == len(records)
    assert decoded.envelope is None


def test_one_record_that_msgspec_refuses_does_not_fail_its_page():
    deep = b"[" * 5000 + b"]" * 5000
    body = b'{"data": [{"id": 1}, {"s": "\\ud800"}, ' + deep + b', {"id": nope}, {"id": 2}], "has_more": true}'

    decoded, records = page(body)

    assert records == [b'{"id": 1}', b'{"s": "\\ud800"}', deep, b'{"id": nope}', b'{"id": 2}']
    assert (decoded.records, decoded.last_record, decoded.envelope) == (5, {"id": 2}, {"has_more": True})


def test_an_empty_element_is_a_record_that_nothing_can_read():
    decoded, records = page(b'{"data": [1,,2,]}')

    assert records == [b"1", b"", b"2", b""]
    assert decoded.records == 4
    assert decoded.last_record is None


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"data": [ \n ]}'])
def test_an_empty_list_holds_no_records(body):
    decoded, records = page(body)

    assert (records, decoded.records, decoded.last_record, decoded.envelope) == ([], 0, None, {})


def test_numbers_of_the_envelope_and_of_the_last_record_are_exact():
    decoded, _ = page(b'{"data": [{"id": 9007199254740993.10}], "cursor": 123456789012345678901234567890}')

    assert decoded.envelope == {"cursor": 123456789012345678901234567890}
    assert decoded.last_record == {"id": Decimal("9007199254740993.10")}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"data": [1, 2', "not closed"),
        (b'{"data": [1, 2]', "not closed"),
        (b'{"data": [1, "a', "not closed"),
        (b'{"data": [1], "x": "a', "inside a text"),
        (b'{"data": [1]} {"data": [2]}', "more follows"),
        (b'{"data": [1]}}', "more follows"),
        (b'{"data": [1]}x', "more follows"),
    ],
)
def test_a_cut_body_is_a_failure_that_may_pass(body, told):
    with pytest.raises(TransientFailure, match=f"cut body: .*{told}"):
        page(body)


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        (b"<html></html>", "data", "HTML"),
        (b"\n <!doctype html>", "data", "HTML"),
        (b"not json", "data", "expected a JSON object or list"),
        (b'{"data": [1], "x": nope}', "data", "error outside the records"),
        (b'{"data": [1], "x": NaN}', "data", "outside the records"),
        (b'{"data": [1], "x": "\xff"}', "data", "outside the records"),
        (b'{"items": [1], "next": 2}', "data", "no 'data'; the keys there are: items, next"),
        (b'{"data": null}', "data", "found null.*absent: empty"),
        (b'{"data": {"rows": [1]}}', "data", "found an object with the keys rows"),
        (b'{"data": "x"}', "data", "found a text"),
        (b'{"data": [1]}', "data.rows", "expected an object at 'data', found a list"),
        (b"[1]", "data", "expected an object as the body, found a list"),
        (b'{"data": [1]}', "", "expected a list as the body, found an object with the keys data"),
        (b'{"data": [1], "data": [2]}', "data", "stands twice"),
        (b'{"data": [1], "d\\u0061ta": 2}', "data", "stands twice"),
        (b'{"a": {}, "a": {"data": [1]}}', "a.data", "'a' stands twice"),
    ],
)
def test_a_body_that_is_not_what_the_file_says_is_refused_for_good(body, path, told):
    with pytest.raises(RequestFailed, match=f"(?s){told}"):
        page(body, path)


@pytest.mark.parametrize("body", [b'{"a": {}}', b'{"a": {"rows": null}}', b'{"a": null}', b"{}"])
def test_an_absent_list_is_empty_where_the_file_says_so(body):
    decoded, records = page(body, "a.rows", "empty")

    assert (records, decoded.records) == ([], 0)


@pytest.mark.parametrize("body", [b'{"a": {"rows": 5}}', b'{"a": []}', b"[]"])
def test_absent_empty_excuses_no_other_value(body):
    with pytest.raises(RequestFailed):
        page(body, "a.rows", "empty")


def test_a_byte_order_mark_is_not_part_of_the_body():
    assert page(b'\xef\xbb\xbf{"data": [1]}')[1] == [b"1"]
    assert lines(b"\xef\xbb\xbf1\n2")[1] == [b"1", b"2"]
    assert next(iter(Json().decode(Dribble(b"\xef\xbb\xbf[1]", 1), Selector()))).text == b"[1]"


def test_a_large_body_comes_in_blocks_that_hold_each_record_once(monkeypatch):
    monkeypatch.setattr(pieces, "SMALL_BYTES", 1 << 20)
    rows = [{"id": n, "text": '"],{' * (n % 50)} for n in range(100_000)]
    body = json.dumps({"data": rows, "has_more": False}).encode()

    decoded = Json().decode(io.BytesIO(body), Selector(path="data"))
    blocks = list(decoded)

    assert len(blocks) > 2
    assert [block.first for block in blocks] == [sum(b.count for b in blocks[:n]) for n in range(len(blocks))]
    assert all(len(block.records()) == block.count for block in blocks)
    assert [json.loads(bytes(record)) for block in blocks for record in block.records()] == rows
    assert (decoded.records, decoded.last_record, decoded.envelope) == (100_000, rows[-1], {"has_more": False})


def test_a_record_larger_than_the_maximum_is_refused():
    body = b'{"data": [1, "' + b"x" * 3_000_000 + b'"' + b", 1" * 6_000_000 + b"]}"

    with pytest.raises(RequestFailed, match="larger than 2 MB"):
        list(Json().decode(io.BytesIO(body), Selector(path="data"), max_record_bytes=2 << 20))
    with pytest.raises(RequestFailed, match="larger than 2 MB"):
        list(LINES.decode(io.BytesIO(body), Selector(), max_record_bytes=2 << 20))


def test_a_bad_line_in_the_middle_is_a_record_like_others():
    decoded, records = lines(b'{"a": 1}\r\n\n  oops \n{"s": "\\ud800"}\n{"a": 2}\n\n')

    assert records == [b'{"a": 1}', b"oops", b'{"s": "\\ud800"}', b'{"a": 2}']
    assert (decoded.records, decoded.last_record, decoded.envelope) == (4, {"a": 2}, None)


@pytest.mark.parametrize("last", [b"terminated early", b'{"a": 1', b'{"a": "x}', b'{"a": 1}}', b"nul", b"[1}]"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_line_that_is_not_complete_json_is_a_cut_body(last, end):
    with pytest.raises(TransientFailure, match="cut body: its last line"):
        lines(b'{"a": 1}\n' + last + end)


@pytest.mark.parametrize("last", [b'{"a": "\\ud800"}', b"[" * 5000 + b"]" * 5000, b'{"a": nope}', b"12"])
def test_a_last_line_whose_structure_is_closed_is_a_record(last):
    assert lines(b'{"a": 1}\n' + last)[1][-1] == last


def test_a_body_without_lines_is_a_page_without_records():
    assert lines(b"")[1] == lines(b"\n\n")[1] == []


def test_html_where_json_lines_were_due_is_refused():
    with pytest.raises(RequestFailed, match="HTML"):
        lines(b"<html>\n</html>")


def test_many_lines_come_in_blocks_that_hold_each_line_once():
    rows = [{"id": n, "text": "x" * (n % 200)} for n in range(100_000)]
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    blocks = list(LINES.decode(io.BytesIO(body), Selector()))

    assert len(blocks) > 2
    assert [block.first for block in blocks] == [sum(b.count for b in blocks[:n]) for n in range(len(blocks))]
    assert [json.loads(record) for block in blocks for record in block.records()] == rows


@given(st.binary(max_size=60) | st.text('{}[]",\\a ', max_size=60).map(str.encode), st.integers(1, 7))
def test_no_body_breaks_the_splitter(body, step):
    for piece in (step, 1000):
        located, records = by_structure(body, ("a",), piece)
        assert located.found or not records
    is_whole(body)


def test_a_selector_can_be_written_as_a_text_and_editors_know_it():
    given = [("a.b", Selector(path="a.b")), ({"path": "a", "absent": "empty"}, Selector(path="a", absent="empty"))]
    schema = Selector.model_json_schema()

    for written, selector in given:
        jsonschema.validate(written, schema)
        assert Selector.model_validate(written) == selector


BOUNDED = """
import io, resource, sys
from ingest_assets.http.decoders import Json
from ingest_assets.http.selector import Selector

class Body(io.RawIOBase):
    left, begun, record = 200, False, b'{"id": 1, "text": "' + b"x" * 1000 + b'"}'
    def read(self, size=-1):
        if not self.begun:
            self.begun = True
            return b'{"data": [' + self.record
        self.left -= 1
        return (b", " + self.record) * 1000 if self.left > 0 else b"]}" if self.left == 0 else b""

page = Json().decode(Body(), Selector(path="data"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert sum(len(block.records()) for block in page) == 199_001
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown // (1024 * 1024 if sys.platform == "darwin" else 1024))
"""


def test_memory_does_not_grow_with_the_body():
    """A body of 200 MB in a process of its own."""
    told = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True, check=True)

    assert int(told.stdout) < 100


COLUMNS = Selector(path="hourly", layout="columns")


def columns(body, selector=COLUMNS):
    decoded = Json().decode(io.BytesIO(body), selector)
    return decoded, [bytes(record) for block in decoded for record in block.records()]


@given(
    names=st.lists(st.text('ad"\\é', max_size=3), min_size=1, max_size=4, unique=True),
    count=st.integers(0, 6),
    data=st.data(),
)
def test_columns_become_records_value_for_value(names, count, data):
    given_lists = {name: data.draw(st.lists(json_values, min_size=count, max_size=count)) for name in names}
    body = json.dumps({"a": 1, "hourly": given_lists, "b": "x"}, indent=data.draw(st.sampled_from([None, 1]))).encode()

    decoded, records = columns(body)

    expected = [dict(zip(names, values, strict=True)) for values in zip(*given_lists.values(), strict=True)]
    assert [json.loads(record) for record in records] == expected
    assert decoded.records == count
    assert decoded.envelope == {"a": 1, "b": "x"}
    assert (decoded.last_record is None) == (count == 0)


def test_numbers_of_columns_keep_every_digit():
    _, records = columns(b'{"hourly": {"a": [12345678901234567890123, 1.10], "b": [null, "1.10"]}}')

    assert records == [b'{"a":12345678901234567890123,"b":null}', b'{"a":1.10,"b":"1.10"}']


def test_columns_may_be_the_body_itself():
    assert columns(b'{"a": [1], "b": [2]}', Selector(layout="columns"))[1] == [b'{"a":1,"b":2}']


def test_many_columns_come_in_blocks_that_hold_each_record_once(monkeypatch):
    monkeypatch.setattr(json_places, "BLOCK_BYTES", 1000)
    body = json.dumps({"hourly": {"a": list(range(100)), "b": list(range(100))}}).encode()

    blocks = list(Json().decode(io.BytesIO(body), COLUMNS))

    assert len(blocks) > 10
    assert [block.first for block in blocks] == [sum(b.count for b in blocks[:at]) for at in range(len(blocks))]
    assert [json.loads(bytes(r))["a"] for block in blocks for r in block.records()] == list(range(100))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"hourly": {"time": [1, 2], "rain": [0.1]}}', "differ in length, .*: time 2, rain 1"),
        (b'{"hourly": {"time": [1, 2], "rain": []}}', "differ in length"),
        (b'{"hourly": {"time": [1], "rain": [1], "time": [2]}}', "the key 'time' stands twice"),
        (b'{"hourly": {"time": [1], "unit": "mm"}}', "an object whose every field is a list"),
        (b'{"hourly": {"time": [1], "rain": null}}', "an object whose every field is a list"),
        (b'{"hourly": [1, 2]}', "an object whose every field is a list"),
        (b'{"hourly": 5}', "an object whose every field is a list"),
        (b'{"hourly": {}}', "found an empty object"),
        (b'{"hourly": null}', "found null. Where that means no records, write"),
        (b'{"houly": {"time": [1]}}', "there is no 'hourly'; the keys there are: houly"),
        (b'{"hourly": {"time": [1]}, "hourly": {"time": [2]}}', "the key 'hourly' stands twice"),
        (b"[1]", "expected an object as the body, found a list"),
        (b'{"hourly": {"time": [nope]}}', "expected JSON"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused_for_good(body, told):
    with pytest.raises(RequestFailed, match=told):
        columns(body)


@pytest.mark.parametrize("end", range(1, 40))
def test_every_cut_of_columns_is_found(end):
    body = b'{"hourly": {"time": [1, 2], "b": [3, 4]}}'
    assert len(columns(body)[1]) == 2

    with pytest.raises(TransientFailure, match="cut body"):
        columns(body[:end])


@pytest.mark.parametrize("body", [b'{"hourly": null}', b"{}"])
def test_absent_columns_are_empty_where_the_file_says_so(body):
    decoded, records = columns(body, Selector(path="hourly", layout="columns", absent="empty"))

    assert (records, decoded.records) == ([], 0)


def test_a_page_of_columns_that_is_too_large_says_what_to_do(monkeypatch):
    monkeypatch.setattr(pieces, "SMALL_BYTES", 100)

    with pytest.raises(RequestFailed, match="ask for less at once"):
        columns(b'{"hourly": {"time": [' + b"1," * 100 + b"1]}}")


def test_columns_and_json_lines_exclude_each_other():
    with pytest.raises(RequestFailed, match="leave `layout: columns` out"):
        LINES.decode(io.BytesIO(b"{}"), Selector(layout="columns"))
