"""Records of forgotten keys are not stored: neither on the page, nor as the cursor that leads past them."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import ConfigError
from ingest_assets.raw import forgotten
from ingest_assets.raw.bodies import replaced
from ingest_assets.raw.erase import erase, find
from ingest_assets.raw.forgotten import Forgotten, Rule

LAST_RECORD = {"paginator": {"type": "last_record", "param": "after", "field": "id", "has_more": "more"}}


def keep_out(lab, *values):
    """Forget these ids."""
    rules = Forgotten()
    for value in values:
        hashed = rules.hash([value])
        rules = rules.with_rule(Rule(("id",), (("id",),), (hashed,), datetime(2026, 1, 1, tzinfo=UTC), done=True))
    walk = lab.walk(LAST_RECORD)
    forgotten.write(lab.snapshots.endpoint_folder(walk.source.name, walk.name), rules)


def everything(lab):
    """All bytes that are stored, bodies as they are read."""
    walk = lab.walk(LAST_RECORD)
    found = b"".join(file.read_bytes() for file in lab.snapshots.folder.rglob("*") if file.is_file())
    for snapshot in lab.snapshots.fetches(walk.source.name, walk.name):
        found += b"".join(snapshot.body(entry).read() for entry in snapshot.pages)
    return found


def test_a_walk_that_could_not_keep_them_out_is_not_begun(lab, api):
    keep_out(lab, "ann")
    api.pages({"data": {"ann": {"n": 1}}, "more": False})
    records = {"path": "data{}", "key": "id"}

    with pytest.raises(ConfigError, match=r"are to stay out .*write `records` without key"):
        lab.fetch(lab.walk({**LAST_RECORD, "records": records}))

    assert b"ann" not in everything(lab)


@pytest.mark.parametrize("gone", [["ann"], ["bob"], ["ann", "bob", "eve"]])
def test_a_walk_goes_on_past_who_is_kept_out_and_stores_nothing_of_them(lab, api, gone):
    keep_out(lab, *gone)
    api.in_turn(
        {"data": [{"id": "ann", "n": 1}, {"id": "bob", "n": 2}], "more": True, "last": "bob"},
        {"data": [{"id": "eve", "n": 3}], "more": False, "last": "eve"},
    )

    snapshot = lab.fetch(lab.walk(LAST_RECORD))

    assert api.asked == [{}, {"after": "bob"}]
    assert [name for name in gone if name.encode() in everything(lab)] == []
    assert [name for name in ("ann", "bob", "eve") if name.encode() in everything(lab)] == [
        name for name in ("ann", "bob", "eve") if name not in gone
    ]
    assert snapshot.verify() == []
    assert sum(len(entry.forgotten) for entry in snapshot.pages) == len(gone)


@pytest.mark.parametrize("gone", ["ann", "bob", "eve"])
def test_who_is_erased_afterwards_is_in_no_record_cursor_or_envelope(lab, api, gone):
    api.in_turn(
        {"data": [{"id": "ann", "n": 1}, {"id": "bob", "n": 2}], "more": True, "next": "/things?after=bob"},
        {"data": [{"id": "eve", "n": 3}], "more": False, "next": "/things?after=eve"},
    )
    snapshot = lab.fetch(lab.walk(LAST_RECORD))
    endpoint = lab.walk(LAST_RECORD).endpoint

    def records(entry):
        with snapshot.body(entry) as body:
            for block in endpoint.decoder.decode(body, endpoint.records):
                yield from ((place, bytes(text)) for place, text in enumerate(block.records(), block.first))

    found = find(snapshot, records, lambda text: gone.encode() in text)
    erase(snapshot, found, [gone], lab.now)

    after = lab.stored()[0]
    assert sum(len(one.positions) for one in found) == 1
    assert [name for name in ("ann", "bob", "eve") if name.encode() not in everything(lab)] == [gone]
    assert after.verify() == []
    assert (after.forgotten, len(after.pages), after.manifest.ended.records) == (1, 2, 3)


@given(
    st.lists(st.sampled_from([b'{"id":1}', b'{"id":12}', b'{"id":1,"n":[1]}', b"{}", b",", b" "]), max_size=60),
    st.integers(1, 40),
)
def test_what_is_replaced_does_not_depend_on_where_a_chunk_ends(pieces, chunk):
    needles = {b'{"id":1}': b"{}      ", b'{"id":1,"n":[1]}': b"{}              "}
    text = b"".join(pieces)

    class Slow(io.BytesIO):
        """Gives a few bytes at a time."""

        def read(self, _size=-1):
            return super().read(chunk)

    made = b"".join(replaced(Slow(text), needles))

    expected = text
    for needle, instead in needles.items():
        expected = expected.replace(needle, instead)
    assert made == expected
