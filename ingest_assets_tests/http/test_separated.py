"""CSV and TSV: every value arrives as the text that was written, in its own column, or its line is set aside."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.decoders import separated
from ingest_assets.http.decoders.separated import Separated
from ingest_assets.http.selector import Selector

ANY = Selector()


def decoder(**told: Any) -> Separated:
    return Separated.model_validate({"type": "csv"} | told)


def rows(body: bytes, **told: Any) -> list[Any]:
    """What a body holds, parsed."""
    blocks = [*decoder(**told).decode(io.BytesIO(body), ANY)]
    return [json.loads(bytes(record)) for block in blocks for record in block.records()]


def flaws(body: bytes, **told: Any) -> dict[int, str]:
    blocks = [*decoder(**told).decode(io.BytesIO(body), ANY)]
    return {block.first + place: flaw for block in blocks for place, flaw in block.flaws.items()}


def test_a_value_stays_the_text_that_was_written():
    found = rows(b'id,a,b,c\n01,NA,,"1,5"\n')

    assert found == [{"id": "01", "a": "NA", "b": "", "c": "1,5"}]


def test_only_the_texts_that_the_file_names_are_null():
    found = rows(b"id,a,b,c\nNA,,null,n/a\n", null_values=["", "NA"])

    assert found == [{"id": None, "a": None, "b": "null", "c": "n/a"}]


def test_a_quoted_value_holds_line_ends_delimiters_and_quotes():
    found = rows(b'id,text\r\n1,"a\r\nb, ""c"""\r\n2,"\n"\r\n')

    assert found == [{"id": "1", "text": 'a\r\nb, "c"'}, {"id": "2", "text": "\n"}]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"id\tname\n1\tx,y\n", {"type": "tsv"}),
        (b"id;name\n1;x,y\n", {"delimiter": ";"}),
        (b"1;x,y\n", {"delimiter": ";", "names": ["id", "name"]}),
        (b"Report of today\n\nid|name\n1|x,y\n", {"delimiter": "|", "skip_lines": 1}),
        (b"id,name\r1,'x,y'\r", {"quote": "'"}),
        (b"id,name\n1,x\\,y", {"escape": "\\"}),
        (b'id, name\n1, "x,y"\n', {"skip_space": True}),
        ("\ufeffid,name\n1,'x,y'\n".encode(), {"quote": "'"}),
        ("\ufeffid;name\n1;x,y\n".encode("utf-16-le"), {"delimiter": ";"}),
        ("\ufeffid;name\n1;x,y\n".encode("utf-32-le"), {"delimiter": ";", "encoding": "utf-32"}),
        ("\ufeffid;name\n1;x,y\n".encode("utf-32-be"), {"delimiter": ";"}),
    ],
)
def test_each_way_of_writing_gives_the_same_record(body, told):
    assert rows(body, **told) == [{"id": "1", "name": "x,y"}]


def test_other_encodings_are_undone():
    assert rows("id,name\n1,Zoë\n".encode("windows-1252"), encoding="windows-1252") == [{"id": "1", "name": "Zoë"}]


def test_a_line_with_too_many_or_too_few_values_moves_none_to_another_column():
    body = b"id,a,b\n1,x,y\n2,x\n3,x,y,z\n4,x,y\n"

    assert rows(body) == [
        {"id": "1", "a": "x", "b": "y"},
        ["2", "x"],
        ["3", "x", "y", "z"],
        {"id": "4", "a": "x", "b": "y"},
    ]
    assert flaws(body) == {
        1: "line 3: 2 values, where 3 columns are named",
        2: "line 4: 4 values, where 3 columns are named",
    }


def test_blank_lines_are_no_records_but_of_a_single_column_may_be_values():
    assert rows(b"\nid,a\n\n1,x\n\n") == [{"id": "1", "a": "x"}]
    assert flaws(b"id\n1\n\n2\n") == {1: "line 3: 0 values, where 1 columns are named"}


def test_what_is_no_utf8_is_in_its_own_record_as_it_came():
    blocks = [*decoder().decode(io.BytesIO(b"id,name\n1,Zo\xeb\n2,x\n"), ANY)]

    assert [bytes(record) for record in blocks[0].records()] == [
        b'{"id":"1","name":"Zo\xeb"}',
        b'{"id":"2","name":"x"}',
    ]


@pytest.mark.parametrize(
    ("body", "told", "problem"),
    [
        (b"", {}, "cut body: it is empty, without a header"),
        (b"id,name\n1,x\n2", {}, "cut body: its last line has fewer values than the header, and no end"),
        (b'id,name\n1,"x\n2,y\n', {}, "cut body: it ends inside quotes"),
        (b"id,name\n1,x\\", {"escape": "\\"}, "cut body: it ends inside quotes"),
    ],
)
def test_a_cut_body_is_asked_for_again(body, told, problem):
    with pytest.raises(TransientFailure, match=problem):
        rows(body, **told)


def test_the_last_line_of_a_block_that_is_short_and_has_no_end_is_cut(monkeypatch):
    monkeypatch.setattr(separated, "BLOCK_BYTES", 1)

    with pytest.raises(TransientFailure, match="its last line has fewer values than the header, and no end"):
        rows(b"id,name\n1,x\n2")


@pytest.mark.parametrize(
    ("body", "told", "is_open"),
    [
        (b"id\n1\n2", {}, True),
        (b"id\n1\n2\n", {}, False),
        (b"id\r1\r2", {}, True),
        (b"as of today\n1", {"names": ["id"], "skip_lines": 1}, True),
        (b"1", {"names": ["id"]}, False),
    ],
)
def test_a_last_line_without_an_end_is_told_where_others_have_one(body, told, is_open):
    page = decoder(**told).decode(io.BytesIO(body), ANY)

    assert [*page]
    assert page.open_end == is_open


@pytest.mark.parametrize(("last", "values"), [(b"2,b,c", 3), (b"  ", 1), (b"\x1a", 1)])
def test_a_last_line_without_an_end_that_is_too_long_or_holds_nothing_is_set_aside(last, values):
    found = flaws(b"id,name\n1,a\n" + last)

    assert found == {1: f"line 3: {values} values, where 2 columns are named"}


@pytest.mark.parametrize(
    ("body", "told", "problem"),
    [
        (b"<!doctype html><title>Sign in</title>", {}, "expected CSV, found HTML or XML, titled 'Sign in'"),
        (b'{"error": "nope"}', {}, "expected CSV, found JSON"),
        (b"<?xml version='1.0'?>\n<error>no</error>", {}, "expected CSV, found HTML or XML"),
        (b"Too many requests", {}, "found one line of text, 'Too many requests': is it a message"),
        (b"id,name,id\n", {}, "the header names 'id' twice"),
        (b"id;name\n1;x\n", {}, "is one name that holds ';': is that the `delimiter`"),
        (b'id,name\n1,"x"y\n', {}, "line 2 cannot be read: .* say quote: null"),
        (b"id,name\n1,\x81\n", {"encoding": "windows-1252"}, "expected text in windows-1252"),
    ],
)
def test_what_cannot_be_read_as_the_file_says_is_refused(body, told, problem):
    with pytest.raises(RequestFailed, match=problem):
        rows(body, **told)


def test_a_body_without_records_is_its_header_or_nothing_where_the_file_says_so():
    page = decoder().decode(io.BytesIO(b""), Selector(absent="empty"))

    assert rows(b"id,name\n") == []
    assert rows(b"", names=["id"]) == []
    assert [*page] == []


def test_a_quote_that_is_never_closed_is_not_read_to_the_end_of_a_large_body():
    body = b'id,name\n1,"x\n' + b"2,y\n" * 1_000_000

    with pytest.raises(RequestFailed, match="a single record is larger than 1 MB"):
        [*decoder().decode(io.BytesIO(body), ANY, max_record_bytes=1 << 20)]


def test_a_large_body_comes_in_blocks_that_hold_each_record_once(monkeypatch):
    monkeypatch.setattr(separated, "BLOCK_BYTES", 1000)
    body = b"id,a\n" + b"".join(b"%d,x\n" % n if n % 7 else b"%d\n" % n for n in range(1, 300))

    page = decoder().decode(io.BytesIO(body), ANY)
    blocks = [*page]

    places = [block.first + place for block in blocks for place in range(block.count)]
    assert len(blocks) > 4
    assert places == list(range(299)) == list(range(page.records))
    assert page.last_record == {"id": "299", "a": "x"}
    assert [block.first + place + 1 for block in blocks for place in block.flaws] == list(range(7, 300, 7))


@pytest.mark.parametrize(
    "told",
    [
        {"delimiter": ";;"},
        {"delimiter": '"'},
        {"delimiter": "\n"},
        {"encoding": "utf-9"},
        {"names": ["id", "id"]},
    ],
)
def test_a_way_of_writing_that_cannot_be_is_refused_in_the_file(told):
    with pytest.raises(ValueError, match=r"expected|stands twice|have to be|at most 1"):
        decoder(**told)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=12) | st.text(
    "ab,;\"'\\\r\n\t ", max_size=6
)
MARKS = st.permutations([",", ";", "\t", '"', "'", "|", "\\"])


@given(
    table=st.integers(2, 4).flatmap(
        lambda width: st.tuples(
            st.lists(TEXT, min_size=width, max_size=width, unique=True),
            st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=5),
        )
    ),
    marks=MARKS,
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    doubled=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
)
def test_what_the_standard_library_writes_is_read_back_exactly(table, marks, end, doubled, encoding):
    names, values = table
    delimiter, quote, escape = marks[:3]
    written = io.StringIO(newline="")
    dialect = {"delimiter": delimiter, "quotechar": quote, "lineterminator": end, "quoting": csv.QUOTE_ALL}
    csv.writer(written, **dialect, doublequote=doubled, escapechar=None if doubled else escape).writerows(
        [names, *values]
    )

    found = rows(
        written.getvalue().encode(encoding),
        delimiter=delimiter,
        quote=quote,
        escape=None if doubled else escape,
        encoding=encoding,
    )

    assert found == [dict(zip(names, row, strict=True)) for row in values]


@given(
    table=st.lists(st.tuples(TEXT, TEXT), max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_quotes_where_they_are_needed_or_none_but_escapes_are_read_back_exactly(table, quoting, delimiter):
    told = {"delimiter": delimiter, "escape": "\\" if quoting == csv.QUOTE_NONE else None}
    told |= {"quote": None} if quoting == csv.QUOTE_NONE else {}
    written = io.StringIO(newline="")
    csv.writer(
        written, delimiter=delimiter, quoting=quoting, escapechar=told["escape"], lineterminator="\r\n"
    ).writerows(table)

    found = rows(written.getvalue().encode(), names=["a", "b"], **told)

    assert found == [{"a": a, "b": b} for a, b in table]


def test_a_header_that_is_no_utf_8_stays_as_it_came():
    page = Separated(type="csv").decode(io.BytesIO("prénom,a\n1,2\n".encode("latin-1")), Selector())

    assert [block.text for block in page] == ['[{"prénom":"1","a":"2"}]'.encode("latin-1")]
