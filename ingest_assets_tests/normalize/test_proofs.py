"""What is counted and looked at in a text before quick decoding is believed."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest_assets.normalize.proofs import has_no_twins, keys_at_most, keys_in, lost_doubles, most_keys_in

PIECES = st.sampled_from(["a", ":", '"', "\\", " : ", '":', '\\":', "{", "é", "\n"])
NAMES = st.lists(PIECES, max_size=4).map("".join)
SPACE = st.sampled_from(["", "", " ", "  ", "\n", "\t \r\n"])


@st.composite
def objects(draw: st.DrawFn, depth: int = 0) -> tuple[str, int]:
    """An object, and how many keys it has with those inside of it; keys may stand twice."""
    parts, count = [], 0
    for name in draw(st.lists(NAMES, max_size=4)):
        inner, more = draw(objects(depth + 1)) if depth < 2 and draw(st.booleans()) else (json.dumps(draw(NAMES)), 0)
        parts.append(f"{json.dumps(name, ensure_ascii=False)}{draw(SPACE)}:{draw(SPACE)}{inner}")
        count += 1 + more
    return "{" + ",".join(parts) + "}", count


@settings(max_examples=100, deadline=None)
@given(found=objects(), times=st.sampled_from([1, 1, 700]))
def test_all_keys_are_counted_whatever_texts_and_spaces_are_around(found: tuple[str, int], times: int) -> None:
    text, count = found
    page = f"[{','.join([text] * times)}]".encode()

    assert keys_in(page) == count * times
    assert keys_at_most(page) >= count * times
    assert (most_keys_in(page) or count * times) >= count * times


@settings(max_examples=300, deadline=None)
@given(
    found=st.lists(objects(depth=1), min_size=1, max_size=3),
    space=SPACE,
    twice=st.booleans(),
    around=st.sampled_from(["", ',"x":":"', ',"x":" :"', ',"x" :"\\\\"']),
)
@example([('{"k":":"}', 1)], " ", True, "")
def test_twins_are_noticed_whatever_stands_in_parts_that_are_counted(
    found: list[tuple[str, int]], space: str, twice: bool, around: str
) -> None:
    parts = [part.encode() for part, _ in found]
    text = b",".join([b'"a"%s:%s' % (space.encode(), part) for part in parts])
    more = b',"b"%s:1' % space.encode() * (1 + twice)

    page = b"[{%s%s%s}]" % (text, more, around.encode())

    assert has_no_twins([page], parts, len(parts) + 1 + bool(around)) is not twice


@pytest.mark.parametrize("space", ["", " ", "  ", " \n", "\t\t"])
def test_a_key_that_stands_twice_is_counted_twice_whatever_its_spaces(space: str) -> None:
    text = f'{{"a"{space}:1,"a":2}}'.encode()

    assert (keys_at_most(text), keys_in(text)) == (2, 2)
    assert most_keys_in(text) in (2, None)


@settings(max_examples=100, deadline=None)
@given(
    digits=st.integers(0, 10**24),
    scale=st.integers(1, 20),
    before=st.text("1 ,:.x", max_size=20),
    after=st.text("1 ,:.x", max_size=20),
)
def test_a_number_that_no_double_holds_is_found_wherever_it_stands(
    digits: int, scale: int, before: str, after: str
) -> None:
    number = f"{Decimal(digits).scaleb(-scale):f}"
    page = json.dumps([before, 0, after]).replace(" 0,", f" {number},")

    holds = Decimal(repr(float(number))) == Decimal(number)
    assert (float(number) in lost_doubles(page.encode(), tiny=False)) is not holds


@pytest.mark.parametrize("text", ['{"a":1e-99999999999999999999}', '["n:1111111111111111e99999999999999999999"]'])
def test_an_exponent_beyond_all_use_is_no_error(text: str) -> None:
    assert [*lost_doubles(text.encode(), tiny=True)]


@pytest.mark.parametrize("before", [0, 5, 32_766, 32_767, 32_768, 70_000])
@pytest.mark.parametrize("sign", ["e", "E"])
def test_tiny_numbers_are_found_wherever_they_stand(before, sign):
    text = b"[" + b"1," * (before // 2) + b" " * (before % 2) + f"1{sign}-400]".encode()

    assert [*lost_doubles(text, tiny=True)] == [0.0]
    assert not [*lost_doubles(text.replace(b"-400", b"-004"), tiny=True)]


@pytest.mark.parametrize("text", ['{"id":"c73e-4567-a0"}', '{"id":"73e-4567a"}', '{"id":"a0b-173e-400"}'])
def test_an_id_that_looks_like_a_tiny_number_is_none(text: str) -> None:
    assert not [*lost_doubles(text.encode(), tiny=True)]
