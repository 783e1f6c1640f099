"""Each slip of a newcomer in the source file, and what `ingest check` says: what is wrong, where, what stands there."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from ingest_assets_tests.newcomer.conftest import FILE, Told
from ingest_assets_tests.newcomer.lodging import Server

# The phrase differs between versions of Python.
UNPROCESSABLE = f"HTTP 422 {HTTPStatus(422).phrase}"
PAGE = "paginator: {type: page, total_pages: meta.total_pages}"
TOTAL = "    total: meta.total_count\n"
LINK = "path: /properties\n    paginator: {type: link}"

REFUSED = {
    "a key misspelled": ("primary_key: id\n    newest", "primary_keys: id\n    newest", "did you mean 'primary_key'?"),
    "base_url misspelled": ("base_url:", "baseurl:", "lodging.yaml:1: baseurl: unknown key 'baseurl'; did you mean"),
    "a key too far left": (
        "    records: data.",
        "  records: data.",
        "lodging.yaml:10: is not YAML: a key stands deeper",
    ),
    "a tab": (
        "    records: data.",
        "\trecords: data.",
        "lodging.yaml:9: is not YAML: there is a tab: indent with spaces",
    ),
    "no colon": ("    path: /bookings", "    path /bookings", "lodging.yaml:8: is not YAML"),
    "a brace left open": ("meta.total_pages}", "meta.total_pages", "lodging.yaml:11: is not YAML: expected ',' or '}'"),
    "a key twice": ("    records: data.b", "    records: data\n    records: data.b", "key 'records' stands twice"),
    "an unknown paginator": ("type: page,", "type: pages,", "paginator.type: expected one of none, page, offset"),
    "a paginator without type": ("{type: page, total", "{total", "one of none, page, offset, link, next_url, cursor, "),
    "a paginator as text": (PAGE, "paginator: page", "found 'page'"),
    "no sign of the end": (", total_pages: meta.total_pages", "", "the walk has to know its last page"),
    "no upper bound": (", until: updated_to", "", "'until' is missing: name the parameter of this bound"),
    "an unknown time format": (
        "format: iso",
        "format: isoo",
        "expected iso, date, unix, unix_ms or a strftime pattern",
    ),
    "an unknown time zone": (TOTAL, TOTAL + "    time_zone: CEST\n", "'CEST' is not a time zone such as"),
    "a start that is no date": (
        '"2026-01-05"',
        '"05-01-2026"',
        "expected a date such as 2026-01-01; found '05-01-2026'",
    ),
    "an unknown period": ("every: day", "every: daily", "expected hour, day, week or month; found 'daily'"),
    "no start": (', start: "2026-01-05"', "", "every needs start beside it"),
    "no key": ("primary_key: id\n    newest", "newest", "write: merge needs a primary_key"),
    "newest_by no column": ("newest_by: updated_at", "newest_by: changed", "'changed' is not a column: declare it"),
    "an unknown type": ("type: timestamptz", "type: datetime", "'datetime' is not a type; one of boolean, bigint"),
    "a decimal without quotes": ('"decimal(8,2)"', "decimal(8,2)", "is cut at its comma: in braces write it in quotes"),
    "a column as text": ('rate: {type: "decimal(8,2)"}', "rate: double", "expected a mapping of type, path"),
    "the key itself in the file": ("{env: LODGING_API_KEY}", "lk_live_0", "a secret never stands in the file"),
    "an unknown auth": ("type: api_key", "type: apikey", "expected one of none, bearer, basic, api_key"),
    "base_url without scheme": ("http://127", "127", "base_url: found no https:// or http:// and host"),
    "a whole URL as path": ("path: /bookings", "path: https://x.example/bookings", "a path is added to base_url"),
    "an unknown placeholder": (
        "{property}/rooms",
        "{home}/rooms",
        "{home} is replaced by nothing; known here: {property}",
    ),
    "a dimension sent nowhere": (
        "{property}/rooms",
        "prop_1/rooms",
        "{property} is sent nowhere, so each would get the s",
    ),
    "listed by no endpoint": (
        "endpoint: properties",
        "endpoint: homes",
        "'homes' is not another endpoint of this source",
    ),
    "from_partition wrong": ("from_partition: property", "from_partition: home", "no dimension of the partitions"),
    "an unknown write": (
        "write: replace_partition",
        "write: overwrite",
        "expected merge, replace_partition, replace, append or history",
    ),
    "a duration without its P": ("per: PT1S", "per: 1s", "write PT1S; found '1s'"),
    "a look-back as text": ("changes: {lookback: P2D}", "changes: P2D", "{lookback: P28D} or {feed: ENDPOINT}"),
    "a method in small letters": (
        "path: /bookings",
        "method: get\n    path: /bookings",
        "expected GET or POST; found 'get'",
    ),
    "children without columns": ("{columns: {adult: {type: boolean}}}", "{adult: {}}", "'adult'; known here: columns"),
    "a name with a dash": ("  bookings:\n", "  my-bookings:\n", "small letters, digits and _"),
    "params as a list": ("params: {per_page: 25}", "params: [25]", "params: expected a mapping; found a list"),
}
STOPPED = {
    "records misspelled": ("data.bookings", "data.booking", "there is no 'booking'; the keys there are: bookings"),
    "records an object": ("data.bookings", "data", "expected a list, found an object with the keys bookings"),
    "no records": ("    records: data.bookings\n", "", "with the keys data, meta. Name the path of the list"),
    "total_pages misspelled": ("meta.total_pages", "meta.pages", "the keys there are: page, per_page, total_pages"),
    "total misspelled": ("meta.total_count", "meta.count", "holds no number at 'meta.count'; the keys there are: page"),
    "a cursor where there are pages": (PAGE, "paginator: {type: cursor, path: meta.next, param: c}", "at 'meta.next'"),
    "a next URL where there are pages": (
        PAGE,
        "paginator: {type: next_url, path: meta.next}",
        "nothing at 'meta.next'",
    ),
    "pages from 0": ("type: page,", "type: page, first: 0,", f"{UNPROCESSABLE}: 'page must be a number"),
    "a bound misspelled": (
        "from: updated_from",
        "from: updated_after",
        f"{UNPROCESSABLE}: 'updated_from must be",
    ),
    "bounds in seconds": ("format: iso", "format: unix", "check the endpoint's params, and how its window writes its"),
    "a secret that is not set": ("env: LODGING_API_KEY", "env: LODGING_KEY", "export LODGING_KEY=… before you start"),
    "a secret's file that is not there": ("{env: LODGING_API_KEY}", "{file: none}", "No such file or directory"),
    "the key in another header": ("X-Api-Key", "X-Key", "Check the secret: environment variable LODGING_API_KEY"),
    "no auth": (
        "auth: {type: api_key, name: X-Api-Key, value: {env: LODGING_API_KEY}}\n",
        "",
        "the source file names none",
    ),
    "another version in base_url": ("/v2", "/v1", "check base_url and the endpoint's path"),
    "a field that the listing has not": ("field: id", "field: uid", "lists no 'uid' to ask for; its columns are"),
    "a listing that does not fit": ("decimal(9,6)", "bigint", "'id' to ask for: 2 of 2 records would be quarantined"),
}
NOTED = {
    "no paginator": (f"    {PAGE}\n{TOTAL}", "", "the answer tells of more by 'meta.total_pages': look at `paginator`"),
    "Link headers unread": (LINK, "path: /properties", "the answer tells of more by header 'link'"),
    "a relation misspelled": (
        LINK,
        LINK.replace("link}", "link, rel: nxt}"),
        "the answer tells of more by header 'link'",
    ),
    "the page's number as their count": ("meta.total_pages", "meta.page", "only this page would be read"),
    "a page's size as the total": ("meta.total_count", "meta.per_page", "no more than the records of the first page"),
    "a key that no record has": (
        "primary_key: id\n    new",
        "primary_key: uid\n    new",
        "'uid': no value, and it is part",
    ),
    "deletion told elsewhere": (
        "path: is_deleted",
        "path: deleted",
        "none of the records has 'deleted'; the keys there are",
    ),
    "deletion told by another type": ("equals: true", 'equals: "true"', "holds a boolean, and `equals` is a text"),
    "a path that no record has": (
        "geo.lat}",
        "geo.latitude}",
        "none of the records has 'address.geo.latitude'; the keys",
    ),
    "a name that no record has": (
        "rate: {type",
        "price: {type",
        "'price': none of the records has a value of that name",
    ),
    "a list that no record has": (
        "guests: {",
        "guest: {",
        "has a list 'guest'; the lists there are: guests, guests.tags",
    ),
    "a date written otherwise": ("%d-%m-%Y", "%Y-%m-%d", "a string that does not fit date, format %Y-%m-%d"),
    "a date without its format": (', format: "%d-%m-%Y"', "", "a string that does not fit date, format iso"),
    "a value that was left out": (", partner]", "]", "does not fit varchar; `values` are web, phone"),
    "a decimal too narrow": ("decimal(12,2)", "decimal(3,2)", "a string that does not fit decimal(3,2)"),
    "a required path misspelled": ("total.amount", "total.amout", "'amount': no value, and it is required"),
    "a child's type": ("adult: {type: boolean", "adult: {type: bigint", "a boolean that does not fit bigint"),
    "a start to come": (
        '"2026-01-05"',
        '"2126-01-05"',
        "the first day, 2126-01-05, is not over yet: is `start` right?",
    ),
    "an error where there is none": (TOTAL, TOTAL + "    errors: meta.page\n", "tells an error at 'meta.page'"),
}


@pytest.fixture
def checked(
    today: Server, write: Callable[[str, Server], Path], ingest: Callable[..., Told]
) -> Callable[[str, str], Told]:
    """`ingest check` of the file with one text of it replaced."""

    def check(right: str, wrong: str) -> Told:
        text = FILE.read_text()
        assert right in text
        write(text.replace(right, wrong, 1), today)
        return ingest("check", "lodging.yaml")

    return check


def test_the_file_as_it_stands_has_nothing_to_note(checked: Callable[[str, str], Told]) -> None:
    told = checked("bookings", "bookings")

    assert told.good
    assert "✓ bookings: 25 records on the first page of 2" in told.text
    assert "✓ properties: 2 records" in told.text


@pytest.mark.parametrize("slip", REFUSED)
def test_a_file_that_cannot_be_meant_is_refused_with_its_place(checked: Callable[[str, str], Told], slip: str) -> None:
    right, wrong, helpful = REFUSED[slip]

    told = checked(right, wrong)

    assert not told.good
    assert helpful in told.text
    assert "lodging.yaml:" in told.text


@pytest.mark.parametrize("slip", STOPPED)
def test_what_would_stop_a_run_stops_the_check(checked: Callable[[str, str], Told], slip: str) -> None:
    right, wrong, helpful = STOPPED[slip]

    told = checked(right, wrong)

    assert not told.good
    assert helpful in told.text


@pytest.mark.parametrize("slip", NOTED)
def test_what_would_pass_quietly_is_noted(checked: Callable[[str, str], Told], slip: str) -> None:
    right, wrong, helpful = NOTED[slip]

    told = checked(right, wrong)

    assert "! " in told.text
    assert helpful in told.text


def test_a_refusal_whose_words_are_not_shown_says_how_to_see_them(checked: Callable[[str, str], Told]) -> None:
    told = checked(
        "error_message: error.message\nendpoints:\n  bookings:\n    path: /bookings\n    params: {per_page: 25}",
        "endpoints:\n  bookings:\n    path: /bookings\n    params: {per_page: many}",
    )

    assert "name where its errors hold text: `error_message: error.message`" in told.text


def test_a_closed_port_is_told_within_seconds(
    today: Server, write: Callable[[str, Server], Path], ingest: Callable[..., Told]
) -> None:
    text = FILE.read_text()
    write(text[: text.index("  properties:")].replace("127.0.0.1:8899", "127.0.0.1:9"), today)

    told = ingest("check", "lodging.yaml")

    assert "Connection refused (check host and port of base_url)" in told.text


def test_a_preview_names_types_as_a_file_declares_them(
    today: Server, write: Callable[[str, Server], Path], ingest: Callable[..., Told]
) -> None:
    write(FILE.read_text(), today)

    told = ingest("preview", "lodging.bookings")

    assert "decimal(12,2)" in told.text
    assert "date32" not in told.text
