"""A list is written where it is other than the one that is there, and left alone where it came as it was."""

import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_assets_tests.load.conftest import endpoint

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "4"))
_LINES = [{"n": 0.0, "subs": [{"m": 1}, {"m": 2}]}, {"n": 1.5, "note": "x", "subs": []}]


def _loaded(things: Any, fetch: int, records: list[Any], from_rows: int = 1_000_000) -> Any:
    things.store(fetch, None, records)
    (loaded,) = replace(things.loader(), from_rows=from_rows).load(None)
    things.warehouse.publish()
    return loaded.account


def _cited(things: Any, *tables: str) -> list[list[int]]:
    every = tables or ("things", "things__lines", "things__lines__subs")
    return [sorted(set(things.values("_fetch", table))) for table in every]


@pytest.mark.parametrize("from_rows", [1, 1_000_000], ids=["found beforehand", "found under the lock"])
def test_a_list_that_came_as_it_was_goes_on_citing_what_brought_it(lab, from_rows):
    things = lab()
    _loaded(things, 1, [{"id": 1, "v": 1, "lines": _LINES}, {"id": 2, "lines": _LINES}])

    account = _loaded(things, 2, [{"id": 1, "v": 2, "lines": _LINES}, {"id": 2, "v": 2}], from_rows)

    assert (account.updated, account.child_rows) == (2, 0)
    assert _cited(things) == [[2], [1], [1]]


@pytest.mark.parametrize("from_rows", [1, 1_000_000], ids=["found beforehand", "found under the lock"])
@pytest.mark.parametrize(
    "lines",
    [
        [{**_LINES[0], "n": -0.0}, _LINES[1]],
        _LINES[::-1],
        _LINES[:1],
        [*_LINES, {"n": 2.5}],
        [_LINES[0], {**_LINES[1], "note": None}],
        [_LINES[0], {**_LINES[1], "note": "y"}],
        [_LINES[0], {**_LINES[1], "new": 1}],
        [{**_LINES[0], "subs": [{"m": 1}, {"m": 3}]}, _LINES[1]],
        [{**_LINES[0], "subs": [{"m": 1}]}, _LINES[1]],
        [_LINES[0], {**_LINES[1], "subs": [{"m": 1}]}],
    ],
    ids=["-0", "order", "fewer", "more", "null", "text", "column", "below", "fewer below", "more below"],
)
def test_a_list_that_differs_anywhere_is_written_anew(lab, lines, from_rows):
    things = lab()
    _loaded(things, 1, [{"id": 1, "v": 1, "lines": _LINES}])

    account = _loaded(things, 2, [{"id": 1, "v": 2, "lines": lines}], from_rows)

    below = [sub["m"] for line in lines for sub in line.get("subs", ())]
    assert account.child_rows == len(lines) + len(below)
    assert _cited(things)[1:] == [[2], [2]]
    assert sorted(map(str, things.values("n", "things__lines"))) == sorted(str(float(line["n"])) for line in lines)
    assert things.values("m", "things__lines__subs") == sorted(below)


def test_a_list_that_is_only_written_otherwise_is_written_anew(lab):
    things = lab()
    _loaded(things, 1, [b'{"id": 1, "v": 1, "lines": [{"n": 1}]}'])

    _loaded(things, 2, [b'{"id": 1, "v": 2, "lines": [{"n":1}]}'])

    assert _cited(things, "things", "things__lines") == [[2], [2]]


def test_child_rows_have_the_hash_of_their_list_as_it_came(lab):
    things = lab()
    _loaded(things, 1, [b'{"id": 1, "lines": [ {"n": 1, "subs": [2] } ], "in": {"tags": ["a"]}}'])

    for table, text in (("lines", b'[ {"n": 1, "subs": [2] } ]'), ("in__tags", b'["a"]')):
        assert things.values("_hash", f"things__{table}") == [_hash(text)]
    assert things.values("_hash", "things__lines__subs") == things.values("_hash", "things__lines")


def _hash(text: bytes) -> uuid.UUID:
    return uuid.UUID(xxhash.xxh3_128_hexdigest(text))


def test_a_list_of_a_replaced_table_that_came_as_it_was_stays_too(lab, rebuilt):
    things = lab(write="replace")
    _loaded(things, 1, [{"id": 1, "v": 1, "lines": _LINES}])

    _loaded(things, 2, [{"id": 1, "v": 2, "lines": _LINES}])

    assert _cited(things) == [[2], [1], [1]]
    assert things.contents() == rebuilt(things).contents()


_SUBS = st.lists(st.fixed_dictionaries({"m": st.integers(0, 1)}), max_size=2)
_ANY_LINES = st.lists(st.fixed_dictionaries({"n": st.sampled_from([0, 1, "x"])}, optional={"subs": _SUBS}), max_size=2)
_RECORD = st.fixed_dictionaries({"id": st.integers(0, 2), "v": st.integers(0, 2)}, optional={"lines": _ANY_LINES})
_FETCHES = st.lists(st.lists(_RECORD, unique_by=lambda record: record["id"], max_size=3), min_size=2, max_size=5)


def _rows(things: Any) -> tuple[list[Any], list[Any]]:
    """Lines, and what is below them: the key of their record, places, and values."""
    if not {"things__lines", "things__lines__subs"} <= set(things.tables()):
        return [], []
    return (
        things.rows(
            "SELECT id, l._position, CAST(n AS VARCHAR) FROM w.shop.things "
            "JOIN w.shop.things__lines AS l ON l._parent = things._id ORDER BY ALL"
        ),
        things.rows(
            "SELECT id, l._position, s._position, m FROM w.shop.things "
            "JOIN w.shop.things__lines AS l ON l._parent = things._id "
            "JOIN w.shop.things__lines__subs AS s ON s._parent = l._id ORDER BY ALL"
        ),
    )


@pytest.mark.parametrize("from_rows", [1, 1_000_000], ids=["found beforehand", "found under the lock"])
def test_the_newest_list_that_came_is_there(lab_at, from_rows):
    first = [{"id": 9, "v": 0, "lines": [{"n": 0, "subs": [{"m": 0}]}, {"n": "x"}]}]

    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_FETCHES)
    @example([first, [{**first[0], "v": 1}]])
    def holds(fetches):
        with tempfile.TemporaryDirectory() as folder:
            things = lab_at(Path(folder) / "data", endpoint())
            newest = {}
            for number, records in enumerate([first, *fetches], 1):
                _loaded(things, number, records, from_rows)
                newest |= {record["id"]: record["lines"] for record in records if "lines" in record}
            texts = {0: "0", 1: "1", "x": '"x"'}
            lines = [(id_, at, texts[line["n"]]) for id_, of in newest.items() for at, line in enumerate(of)]
            subs = [
                (id_, at, place, sub["m"])
                for id_, of in newest.items()
                for at, line in enumerate(of)
                for place, sub in enumerate(line.get("subs", ()))
            ]
            assert _rows(things) == (sorted(lines), sorted(subs))

    holds()
