"""Names of folders for partition keys."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_assets.raw.paths import decoded, encoded

KEYS = st.one_of(st.text(), st.text(alphabet="aA_.%-:+/|é0Ωcon", max_size=8), st.text(alphabet="é|", min_size=60))


@given(st.none() | st.text(max_size=20))
@example("")
@example("%")
@example("\ud800")
@example("con.txt")
def test_a_short_key_comes_back_from_its_name(key: str | None) -> None:
    assert decoded(encoded(key)) == key


@given(KEYS, KEYS)
@example("Ab", "aB")
@example("", "%")
@example("\u00e9", "e\u0301")
@example("x" * 300 + "a", "x" * 300 + "A")
def test_distinct_keys_get_names_that_differ_by_more_than_case(one: str, other: str) -> None:
    assert (encoded(one).casefold() == encoded(other).casefold()) == (one == other)


@given(KEYS)
@example(".")
@example("..")
@example("nul")
@example("a" * 5000)
def test_every_name_is_safe_on_every_file_system(key: str) -> None:
    name = encoded(key)

    assert re.fullmatch(r"[a-z0-9%_-]([a-z0-9%._-]*[a-z0-9%_-])?", name)
    assert len(name.encode()) <= 200
    assert name.partition(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


@given(KEYS)
def test_no_key_gets_the_name_of_an_endpoint_without_partitions(key: str) -> None:
    assert encoded(key) != encoded(None)


def test_the_name_of_a_long_key_says_that_it_cannot_be_decoded() -> None:
    name = encoded("é" * 100)

    with pytest.raises(ValueError, match="the key is in the manifest"):
        decoded(name)
