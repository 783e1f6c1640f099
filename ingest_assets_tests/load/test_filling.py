"""Records of stored pages on their way to rows."""

from datetime import UTC, datetime

from msgspec.structs import replace

from ingest_assets.http.decoders.separated import Separated
from ingest_assets.http.page import PageRequest
from ingest_assets.http.selector import Selector
from ingest_assets.load.filling import blocks
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Manifest, Snapshots


def test_what_is_wrong_with_a_record_is_known_where_others_of_its_page_were_forgotten(tmp_path):
    told = Manifest("shop", "things", None, 1, datetime(2026, 1, 1, tzinfo=UTC), "f")
    opened = Snapshots(tmp_path, reserve_bytes=0).begin(told)
    with opened.append(PageRequest("https://api.example.com/things")) as page:
        page.write(b"id,name\n1,a\n2,b\n3,c,more\n4,d\n")
        page.commit(200, {}, 4)
    stored = StoredRecords(opened.end("complete", "as the test says"), Separated(type="csv"), Selector())

    found = list(blocks(stored, [replace(entry, forgotten=(1,)) for entry in stored.pages()]))

    assert [(placed.block.first, placed.block.count) for placed in found] == [(0, 1), (2, 2)]
    assert found[0].block.flaws == {}
    assert list(found[1].block.flaws) == [0]
    assert "3 values, where 2 columns are named" in found[1].block.flaws[0]
