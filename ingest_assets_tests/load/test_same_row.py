"""Which row of a table has the key of a record: by columns of the key where these are narrow, else by ids."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets_tests.load.conftest import endpoint

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "5"))
_NUMBERS = st.sampled_from([0, 1, -1, 7, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64])
_DAY = {"day": {"type": "date"}}
# For each: the key, columns of it that are declared, and its values.
KEYS: dict[str, tuple[list[str], dict[str, Any], dict[str, st.SearchStrategy[Any]]]] = {
    "a number": (["id"], {}, {"id": _NUMBERS}),
    "a declared number": (["id"], {"id": {"type": "hugeint"}}, {"id": _NUMBERS}),
    "numbers of any kind": (["id"], {}, {"id": st.sampled_from([1, 1.5, 2, -0.0, 1e300, 10**40])}),
    "a day": (["day"], _DAY, {"day": st.sampled_from(["2026-01-01", "1999-12-31", "0001-01-01"])}),
    "a text and a number": (["shop", "id"], {}, {"shop": st.sampled_from(["a", "b", ""]), "id": _NUMBERS}),
    "two numbers": (["shop", "id"], {}, {"shop": st.sampled_from([1, 11]), "id": st.sampled_from([1, 11, 111])}),
}


@pytest.mark.parametrize("kind", KEYS)
def test_one_row_a_key_is_there_and_it_is_the_newest(lab_at, kind):
    names, columns, values = KEYS[kind]
    record = st.fixed_dictionaries({**values, "n": st.integers(0, 3)})
    unique = st.lists(record, max_size=5, unique_by=lambda told: tuple(told[name] for name in names))

    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(unique, min_size=2, max_size=4))
    def holds(fetches):
        with tempfile.TemporaryDirectory() as folder:
            things = lab_at(Path(folder), endpoint(primary_key=names, columns=columns))
            expected: dict[Any, int] = {}
            for number, records in enumerate(fetches, 1):
                things.store(number, None, records)
                things.load()
                expected |= {tuple(told[name] for name in names): told["n"] for told in records}

            assert (things.values("n") if expected else []) == sorted(expected.values())

    holds()
