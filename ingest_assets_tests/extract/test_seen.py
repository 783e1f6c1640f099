"""What was seen is known for good, in little memory."""

import hashlib
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.extract.seen import Seen

# Many of them want the same slot.
HASHES = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9).map(lambda n: n << 32), max_size=300)


@given(HASHES)
def test_it_answers_as_a_dict_would(keys):
    seen, truth = Seen(), dict[str, int]()

    for number, told in enumerate(f"{key:016x}ff" for key in keys):
        assert seen.get(told) == truth.get(told)
        assert seen.setdefault(told, number) == truth.setdefault(told, number)

    assert len(seen) == len(truth)


def test_an_entry_takes_fifty_bytes_at_most():
    tracemalloc.start()
    try:
        seen = Seen()
        for number in range(40_000):
            seen.setdefault(hashlib.md5(b"%d" % number).hexdigest(), number)  # noqa: S324 -- any hash does
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 50 * 40_000
    assert [seen.get(hashlib.md5(b"%d" % n).hexdigest()) for n in (0, 39_999)] == [0, 39_999]  # noqa: S324 -- as above
