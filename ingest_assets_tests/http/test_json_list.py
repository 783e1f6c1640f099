"""A small JSON page is split in one pass; that gives what taking it apart key by key gives."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed
from ingest_assets.http.decoders.json_list import JsonPage, _at_once, _split_small, _step_by_step
from ingest_assets.http.selector import Selector

_space = st.sampled_from(["", "", " ", "\n\t "])
_scalar = st.sampled_from(["1", "-2.5e3", "1e400", "null", "true", '"]["', '"a\\"b"', '"\\ud800"', '"é"', "{}", "[]"])
_key = st.sampled_from(['"a"', '"b"', '"data"', '"\\u0064ata"', '"n"'])


def _joined(left: str, right: str, inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(st.tuples(_space, inner, _space).map("".join), max_size=4).map(",".join)
    return parts.map(lambda text: left + text + right)


def _object(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return _joined("{", "}", st.tuples(_key, _space, st.just(":"), _space, value).map("".join))


_value = st.recursive(_scalar, lambda inner: _joined("[", "]", inner) | _object(inner), max_leaves=12)
_page = st.tuples(_space, _object(_value | _joined("[", "]", _value)) | _value, _space).map("".join)

_place_and_byte = st.tuples(st.integers(0), st.sampled_from(b'[]{},:"\\ ae1\x00'))


def _spoilt(text: bytes, place: int, by: int) -> bytes:
    return text[: place % len(text)] + bytes([by]) + text[place % len(text) + 1 :]


@settings(max_examples=400, deadline=None)
@given(_page.map(str.encode), st.sampled_from(["data", "a.b", "b", ""]), st.none() | _place_and_byte)
def test_one_pass_gives_what_steps_give(text: bytes, path: str, spoilt: tuple[int, int] | None) -> None:
    body, selector = text if spoilt is None else _spoilt(text, *spoilt), Selector(path=path)

    split = _split_small(body, selector)

    if split is not None:
        by_steps = _step_by_step(body, selector)
        assert (split[0], split[2]) == (by_steps[0], by_steps[2])
        assert [bytes(record) for record in split[1]] == [bytes(record) for record in by_steps[1]]


@pytest.mark.parametrize("path", ["data", "a.b", ""])
def test_a_list_of_records_is_split_in_one_pass(path: str) -> None:
    body = b'[ {"id": 1} , 2 ]'
    for key in reversed(Selector(path=path).keys):
        body = b'{"%s": ' % key.encode() + body + b', "next": "x"}'

    records, split = _at_once(body, Selector(path=path).keys), _split_small(body, Selector(path=path))

    assert records is not None
    assert split is not None
    assert split[0] == b'[ {"id": 1} , 2 ]'
    assert [bytes(record) for record in split[1]] == [bytes(record) for record in records] == [b'{"id": 1}', b"2"]


def test_a_key_that_msgspec_cannot_name_is_found_all_the_same() -> None:
    page = JsonPage(io.BytesIO(b'{"a\\"b": [1], "n": 2}'), Selector(path='a"b'), 1 << 20)

    assert [block.text for block in page] == [b"[1]"]
    assert page.envelope == {"n": 2}


@pytest.mark.parametrize("body", [b'{"\xff": 1, "data": [1]}', b'{"\xff": 1, "data": []}', b'{"data": [1], "\xff": 1}'])
def test_a_key_that_is_no_text_is_refused_in_plain_words(body: bytes) -> None:
    page = JsonPage(io.BytesIO(body), Selector(path="data"), 1 << 20)

    with pytest.raises(RequestFailed, match="expected JSON, found text that is not, outside the records"):
        list(page)
