"""What stands at the path of a list is found in the text of a record, whatever stands around it."""

import json
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.normalize.list_hashes import ListHashes

_hash = xxhash.xxh3_128_digest


@pytest.mark.parametrize(
    ("paths", "text", "found"),
    [
        ([("a",)], b'{"a": [1,  2], "b": 1}', [b"[1,  2]"]),
        ([("a",)], b' { "b" : "\\"a\\":[3]", "a" :\n[] } ', [b"[]"]),
        ([("a",)], b'{"\\u0061": ["\\u0061"]}', [b'["\\u0061"]']),
        ([("a",)], b'{"a": null}', [None]),
        ([("a",)], b'{"b": {"a": [1]}}', [None]),
        ([("a", "b")], b'{"a": {"c": 1, "b": [{"b": 2}]}}', [b'[{"b": 2}]']),
        ([("a", "b")], b'{"a": null}', [None]),
        ([("a", "b")], b'{"a": [{"b": 1}]}', [None]),
        ([("a", "b"), ("c",)], b'{"a": "text", "c": [1e400]}', [None, b"[1e400]"]),
        ([("a",), ("a", "b")], b'{"a": {"b": [1]}}', [b'{"b": [1]}', b"[1]"]),
        ([("a",), ("a", "b")], b'{"a": [1]}', [b"[1]", None]),
        ([('say "a"',), ("\\",)], b'{"say \\"a\\"": [1], "\\\\": [2]}', [b"[1]", b"[2]"]),
        ([("A",), ("a",), ("",)], b'{"a": [1], "A": [2], "": [3]}', [b"[2]", b"[1]", b"[3]"]),
        ([("a",)], b'{"a": ' + b"[" * 190 + b"]" * 190 + b"}", [b"[" * 190 + b"]" * 190]),
    ],
)
def test_a_list_is_found_at_its_path(paths, text, found):
    assert ListHashes(paths).of([text]) == [[None if part is None else _hash(part)] for part in found]


_KEYS = st.sampled_from(["a", "b", 'c"', "\u00e4", "A", ""])
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
)
_PATHS = st.lists(st.lists(_KEYS, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3, unique=True)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


@given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=4), _PATHS)
def test_each_record_has_its_own(records, paths):
    texts = [json.dumps(record, ensure_ascii=False).encode(errors="replace") for record in records]
    parsed = [json.loads(text) for text in texts]

    for path, digests in zip(paths, ListHashes(paths).of(texts), strict=True):
        there = [_at(record, path) for record in parsed]
        assert digests == [
            None if value is None else _hash(json.dumps(value, ensure_ascii=False).encode()) for value in there
        ]
