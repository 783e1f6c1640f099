"""Bodies of every format, the whole way: from a real server to typed rows in DuckDB."""

import gzip
import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_assets_tests.whole import Api, Reply, Whole

FORMATS = Path(__file__).parent.parent / "docs" / "formats.md"
PRICES = (
    b"id,price,units,sold,at,day,note\r\n"
    b'1,1.50,3,true,2026-01-05T10:00:00+01:00,05.01.2026,"a, b\r\nc"\r\n'
    b"2,,-4,NO,2026-01-06T00:00:00Z,06.01.2026,NA\r\n"
)
COLUMNS = {
    "id": {"type": "bigint"},
    "price": {"type": "decimal(8,2)"},
    "units": {"type": "bigint"},
    "sold": {"type": "boolean"},
    "at": {"type": "timestamptz"},
    "day": {"type": "date", "format": "%d.%m.%Y"},
}


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Callable[..., Whole]:
    """Makes the line of an endpoint whose answers are no JSON."""
    return lambda **endpoint: Whole(tmp_path / "here", api.url, {"records": None, **endpoint})


def table(here: Whole, columns: str = "*") -> list[tuple[Any, ...]]:
    return here.ask(f"SELECT {columns} FROM w.shop.things ORDER BY 1")  # noqa: S608 -- ours


def aside(here: Whole) -> list[tuple[Any, ...]]:
    return here.ask("SELECT reason FROM w._ingest.quarantine ORDER BY ALL")


def test_texts_of_a_csv_file_become_what_the_contract_declares(api, shop):
    here = shop(decoder={"type": "csv", "null_values": [""]}, columns=COLUMNS)
    api.answer = lambda _: PRICES

    told = here.run()

    assert told == ""
    assert table(here, 'id, price, units, sold, "at", "day", note') == [
        (1, Decimal("1.50"), 3, True, datetime(2026, 1, 5, 9, tzinfo=UTC), date(2026, 1, 5), "a, b\r\nc"),
        (2, None, -4, False, datetime(2026, 1, 6, tzinfo=UTC), date(2026, 1, 6), "NA"),
    ]


def test_an_empty_text_is_no_number_unless_the_file_says_that_it_is_none(api, shop):
    here = shop(decoder={"type": "csv"}, columns=COLUMNS)
    api.answer = lambda _: PRICES

    told = here.run()

    hint = "where an empty text means no value, say null_values: ['']"
    assert told == ""
    assert [row[0] for row in table(here, "id")] == [1]
    assert aside(here) == [
        (f"column 'price': a string that does not fit decimal(8,2); {hint}",),
    ]


def test_a_line_of_a_csv_file_that_is_too_short_is_set_aside_and_the_others_are_loaded(api, shop):
    here = shop(decoder={"type": "csv"})
    api.answer = lambda _: b"id,a,b\n1,x,y\n2,x\n3,x,y\n"

    told = here.run()

    assert told == ""
    assert table(here, "id, a, b") == [("1", "x", "y"), ("3", "x", "y")]
    assert aside(here) == [("line 3: 2 values, where 3 columns are named",)]


def test_pages_of_csv_are_walked_by_their_link(api, shop):
    here = shop(decoder={"type": "csv"}, paginator={"type": "link"})
    link = {"Link": f'<{api.url}/things?page=2>; rel="next"'}
    api.answer = lambda asked: Reply(
        b"id\n3\n" if "page" in asked.query else b"id\n1\n2\n", headers={} if "page" in asked.query else link
    )

    told = here.run()

    assert told == ""
    assert here.values() == ["1", "2", "3"]


def test_a_second_fetch_of_the_same_csv_changes_no_row(api, shop):
    here = shop(decoder={"type": "csv"})
    api.answer = lambda _: b"id,a\n1,x\n2,y\n"

    here.run()
    here.run()

    assert here.ask("SELECT inserted, unchanged FROM w._ingest.fetches ORDER BY _fetch") == [(2, 0), (0, 2)]


def test_an_answer_that_names_another_encoding_than_the_file_is_told_of_before_the_first_fetch(api, shop):
    here = shop(decoder={"type": "csv"})
    headers = {"Content-Type": "text/csv; charset=windows-1252"}
    api.answer = lambda _: Reply("id,a\n1,Zo\u00eb\n".encode("windows-1252"), headers=headers)

    odd = here.line().peek("things", None).oddities

    assert any("the answer says charset=windows-1252, and is read as utf-8" in one for one in odd)


def test_a_zip_archive_of_one_csv_file_becomes_rows(api, shop):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("things.csv", "id,a\n1,x\n2,y\n")
        archive.writestr("readme.txt", "no")
    here = shop(decoder={"type": "csv"}, answer={"member": "*.csv"})
    api.answer = lambda _: packed.getvalue()

    told = here.run()

    assert told == ""
    assert here.values() == ["1", "2"]


def test_a_secret_in_a_packed_file_is_stored_nowhere(api, shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "s3cr3t-0f-th3-sh0p")
    here = shop(decoder={"type": "csv"})
    here.source = {"auth": {"type": "bearer", "token": {"env": "SHOP_KEY"}}}
    api.answer = lambda _: gzip.compress(b"id,a\n1,s3cr3t-0f-th3-sh0p\n")

    told = here.run()

    assert told == ""
    assert table(here, "id, a") == [("1", "~hidden.SHOP_KEY.plain.")]


def test_a_web_page_where_csv_was_due_is_a_failure_that_names_it(api, shop):
    here = shop(decoder={"type": "csv"})
    api.answer = lambda _: b"<!DOCTYPE html><html><head><title>Sign in to Acme</title></head></html>"

    told = here.run()

    assert "expected CSV, found HTML or XML, titled 'Sign in to Acme'" in told
    assert here.verdicts() == ["failed"]


RSS = b"""<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
<title>Acme status</title><link>https://status.acme.example/</link>
<item><title>API slow &amp; recovering</title><guid isPermaLink="false">tag:9</guid>
<pubDate>Mon, 05 Jan 2026 16:40:11 +0100</pubDate><dc:creator>ops</dc:creator>
<category>api</category><category>eu</category><description><![CDATA[<p>Fixed.</p>]]></description>
<enclosure url="https://cdn.example/a.mp3" length="1234" type="audio/mpeg"/></item>
<item><title>No date</title><guid>tag:8</guid></item></channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://blog.acme.example/"><id>urn:uuid:60a7</id>
<link rel="{rel}" href="{href}"/><updated>2026-01-05T15:40:11Z</updated>
<entry><id>{id}</id><title type="html">Lamps &amp;amp; light</title><link href="p/1"/>
<updated>2026-01-05T15:40:11Z</updated><author><name>Joke</name></author><category term="news"/></entry></feed>"""


def shown() -> dict[str, Any]:
    """The endpoints of feeds that docs/formats.md shows."""
    (block,) = re.findall(r"```yaml\n(# connectors.*?)```", FORMATS.read_text(), re.DOTALL)
    return dict(yaml.safe_load(block)["endpoints"])


def test_items_of_rss_become_rows_with_their_categories_and_enclosures(api, shop):
    here = shop(**shown()["rss"] | {"path": "/things"})
    api.answer = lambda _: RSS

    told = here.run()

    moment = datetime(2026, 1, 5, 15, 40, 11, tzinfo=UTC)
    columns = "id, guid_is_perma_link, title, published, dc_creator, description"
    assert told == ""
    assert table(here, columns) == [
        ("tag:8", None, "No date", None, None, None),
        ("tag:9", "false", "API slow & recovering", moment, "ops", "<p>Fixed.</p>"),
    ]
    assert here.ask("SELECT value FROM w.shop.things__category ORDER BY _position") == [("api",), ("eu",)]
    assert here.ask("SELECT url, length FROM w.shop.things__enclosure") == [("https://cdn.example/a.mp3", "1234")]


def test_entries_of_atom_are_read_page_by_page_to_the_end(api, shop):
    here = shop(**shown()["atom"] | {"path": "/things"})
    first = ATOM.format(rel="next", href="things?page=2", id="a").encode()
    last = ATOM.format(rel="self", href="things", id="b").encode()
    api.answer = lambda asked: last if "page" in asked.query else first

    told = here.run()

    assert told == ""
    assert table(here, "id, title, title_type, updated") == [
        (name, "Lamps &amp; light", "html", datetime(2026, 1, 5, 15, 40, 11, tzinfo=UTC)) for name in "ab"
    ]
    assert here.ask("SELECT name FROM w.shop.things__author") == [("Joke",), ("Joke",)]


def test_a_total_and_an_error_of_xml_are_known_as_those_of_json(api, shop):
    here = shop(decoder={"type": "xml"}, records={"path": "r.i", "absent": "empty"}, total="r.@total", errors="r.error")
    api.answer = lambda _: b"<r total='3'><i><id>1</id></i></r>"
    short = here.run()
    api.answer = lambda _: b"<r><error>no such key</error></r>"
    wrong = here.run()

    assert "the API says 3 records, and 1 came" in short
    assert "tells an error at 'r.error': 'no such key'" in wrong
    assert here.verdicts() == ["failed", "failed"]
