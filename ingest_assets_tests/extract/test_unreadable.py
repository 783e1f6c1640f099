"""A record that cannot be read ends in quarantine, whatever looks at records on their way to the snapshot."""

from datetime import UTC, datetime

import duckdb
import pytest

from ingest_assets.extract.batches import Answered
from ingest_assets.extract.overlap import First
from ingest_assets.line import Line
from ingest_assets.raw import forgotten
from ingest_assets.raw.forgotten import Forgotten, Rule

GOOD = b'{"id":5,"at":"2026-03-01T01:00:00Z"}'
UNREADABLE = {
    "not UTF-8": b'{"id":1,"at":"\xff","pageInfo":{"hasNextPage":false}}',
    "UTF-8": b'{"id":2,"\xff":"","pageInfo":{"hasNextPage":false}}',
    "surrogate": b'{"id":3,"at":"\\ud800","pageInfo":{"hasNextPage":false}}',
    "levels": b'{"id":4,"at":%s,"pageInfo":{"hasNextPage":false}}' % (b"[" * 100_000 + b"]" * 100_000),
}
DEEP = b'{"id":6,"at":%s,"pageInfo":{"hasNextPage":false}}' % (b"[" * 5000 + b"]" * 5000)  # which some Pythons read
LINES = {
    "has_more": "lines.has_more",
    "path": "/things/{id}/lines",
    "records": "data",
    "paginator": {"type": "page", "total": "total"},
}
LOOKING = {
    "how a page begins": {"paginator": {"type": "offset", "overlap": "id", "has_more": "more"}},
    "nested lists that came cut": {"cut_lists": {"lines.data": LINES}},
    "the times of a window": {
        "window": {"stop_at": "at"},
        "partitions": {"every": "day", "start": "2026-03-01"},
        "columns": {"at": {"type": "timestamptz", "required": True}},
        "changes": "immutable",
    },
    "where a feed stands": {
        "paginator": None,
        "feed": {"from": "since", "start": "2026-01-01", "position": "at", "overlap": "PT5M"},
    },
    "connections that go on": {
        "method": "POST",
        "body": {"query": "query($after: String) { … }"},
        "records": "data",
        "paginator": {"type": "graphql", "path": "pageInfo"},
    },
    "who is kept out": {},
}


@pytest.mark.parametrize("looking", LOOKING)
def test_what_looks_at_records_leaves_those_that_cannot_be_read_to_quarantine(lab, api, answer, monkeypatch, looking):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    records = b",".join([*UNREADABLE.values(), DEEP, GOOD])
    body = b'{"data":[%s],"next":null,"more":false,"pageInfo":{"hasNextPage":false}}' % records
    api.answer = lambda _: answer(body)
    source = lab.source(LOOKING[looking])
    if looking == "who is kept out":
        rules = Forgotten()
        rule = Rule(("id",), (("id",),), (rules.hash(["3"]),), datetime(2026, 1, 1, tzinfo=UTC), done=True)
        forgotten.write(lab.snapshots.endpoint_folder("shop", "things"), rules.with_rule(rule))
    line, partition = Line(source, lab.folder), "2026-03-01" if "window" in LOOKING[looking] else None

    line.fetch("things", partition)
    line.load("things", partition)
    line.publish()

    with duckdb.connect(str(lab.folder / "warehouse.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT id FROM shop.things").fetchall() == [(len(UNREADABLE) + 1,)]
        told = reader.execute("SELECT reason FROM _ingest.quarantine ORDER BY _position").fetchall()
    assert [word for word, (reason,) in zip([*UNREADABLE, "levels"], told, strict=True) if word not in reason] == []


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_how_a_page_begins_and_whose_a_record_is_is_not_known_where_it_cannot_be_read(text):
    first, answered = First("id"), Answered("id", ["1", "5"])

    first.add_all([text, GOOD])
    answered.add_all([text, GOOD])

    assert (first.value, answered.told()) == (None, ["5"])
