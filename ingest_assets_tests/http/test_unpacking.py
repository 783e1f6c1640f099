"""Files inside of answers, and answers made to fill a disk or a memory: refused with the name of the limit."""

import gzip
import io
import itertools
import resource
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest

from ingest_assets.errors import RequestFailed, StorageFailed, TransientFailure
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RetryPolicy
from ingest_assets_tests.whole import Api, Reply, api_of_its_own

BODY = b'{"data": [{"id": 1}]}' * 50


@pytest.fixture
def api() -> Iterator[Api]:
    with api_of_its_own() as running:
        yield running


def fetched(api: Api, body: bytes, headers: dict[str, str] | None = None, **told: object) -> bytes:
    """What a client makes of a body, without another try."""
    api.answer = lambda _: Reply(body, headers=headers or {})
    with Client(api.url, retry=RetryPolicy(seconds=0.0), **told) as client:
        return client.fetch(PageRequest(api.url), lambda response: b"".join(response.chunks()))


def swallowed(api: Api, **told: object) -> int:
    """How many bytes come out of what the API answers, none of them kept."""
    with Client(api.url, retry=RetryPolicy(seconds=0.0), **told) as client:
        return client.fetch(PageRequest(api.url), lambda response: sum(map(len, response.chunks())))


def archive(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as written:
        for name, body in files.items():
            written.writestr(name, body)
    return made.getvalue()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(BODY), {}),
        (gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), {"Content-Type": "application/gzip"}),
        (gzip.compress(BODY[:100]) + bytes(9) + gzip.compress(BODY[100:]) + bytes(512), {}),
        (gzip.compress(gzip.compress(BODY)), {"Content-Encoding": "gzip"}),
        (archive({"data.json": BODY}), {"Content-Type": "application/zip"}),
        (archive({"data.json": BODY}, zipfile.ZIP_STORED), {}),
        (archive({"out/": b"", "out/data.json": BODY, "__MACOSX/._data.json": b"x"}), {}),
        (BODY, {}),
    ],
    ids=itertools.count(),  # a gzip has the second it was made in
)
def test_a_file_inside_of_an_answer_is_known_by_its_first_bytes(api, body, headers):
    assert fetched(api, body, headers) == BODY


@pytest.mark.parametrize("member", ["b.csv", "b*"])
def test_of_several_files_the_one_is_read_that_the_file_names(api, member):
    assert fetched(api, archive({"a.csv": b"a", "b.csv": BODY}), member=member) == BODY


@pytest.mark.parametrize(
    ("files", "member", "problem"),
    [
        ({"a.csv": b"a", "b.csv": b"b"}, None, r"of one file, found 2; its files are 'a.csv', 'b.csv'. Say which"),
        ({"a.csv": b"a"}, "b*", r"found 0 that are 'b\*'; its files are 'a.csv'"),
        ({}, None, r"found 0; its files are none"),
        ({f"{'x' * 500}{n}": b"a" for n in range(50)}, None, r"found 50; .* and 42 more"),
    ],
)
def test_which_file_of_an_archive_is_meant_is_not_guessed(api, files, member, problem):
    with pytest.raises(RequestFailed, match=problem) as told:
        fetched(api, archive(files), member=member)

    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(BODY)[:-9],
        gzip.compress(BODY)[:20] + b"\xff" * 30,
        archive({"a": BODY})[:-30],
        archive({"a": BODY}).replace(archive({"a": BODY})[35:60], b"\xff" * 25),
    ],
    ids=itertools.count(),  # a gzip has the second it was made in
)
def test_a_file_that_is_cut_or_damaged_is_asked_for_again(api, body):
    with pytest.raises(TransientFailure, match="cut body"):
        fetched(api, body)


@pytest.mark.parametrize(
    ("mark", "instead"),
    [
        (b"PK\x01\x02", {6: b"\xff"}),  # the version that is needed
        (b"PK\x01\x02", {8: b"\x20"}),  # flags: patched data
        (b"PK\x01\x02", {9: b"\x08", 46: b"\xe9"}),  # flags: the name is UTF-8, which it is not
        (b"PK\x01\x02", {28: b"\x00", 30: b"\x02"}),  # the lengths of the name and of what follows it
        (b"PK\x05\x06", {16: b"\x7f"}),  # the place of the list of files
    ],
)
def test_an_archive_whose_list_of_files_is_damaged_is_asked_for_again(api, mark, instead):
    body = bytearray(archive({"ab": BODY}))
    begin = body.rindex(mark)
    for at, byte in instead.items():
        body[begin + at] = byte[0]

    with pytest.raises(TransientFailure, match="cut body: its zip archive is damaged"):
        fetched(api, bytes(body))


def test_an_archive_that_finds_no_room_on_disk_says_where_room_is_needed(api, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

    try:
        with pytest.raises(StorageFailed, match=f"{tmp_path}, cannot be written: File too large. Make room there"):
            fetched(api, archive({"data.json": BODY}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_archive_with_a_list_of_files_that_would_fill_memory_is_refused(api):
    body = archive({"a": BODY})
    at = body.rindex(b"PK\x05\x06") + 12

    with pytest.raises(RequestFailed, match="the list of files in its zip archive is larger than 1 MB, the most read"):
        fetched(api, body[:at] + struct.pack("<L", 1 << 30) + body[at + 4 :])


def zeros(gigabytes: int) -> bytes:
    """So much of nothing, by gzip: a thousandth of its size."""
    return gzip.compress(bytes(16 << 20)) * (gigabytes * 64)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return zeros(1)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"max_ratio": 200}, r"more than 200 times as large as it came: .* `max_ratio`"),
        ({"max_body_bytes": 100 << 20}, r"larger than 104,857,600 bytes, the most that is read: .* `max_mb`"),
    ],
)
def test_a_bomb_of_gzip_is_refused_by_the_name_of_the_limit_in_little_memory(api, bomb, headers, told, problem):
    api.answer = lambda _: Reply(bomb, headers=headers)
    tracemalloc.start()

    with pytest.raises(RequestFailed, match=problem):
        swallowed(api, **told)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(bomb) + (8 << 20)


def test_a_bomb_of_zip_is_refused_by_the_name_of_the_limit(api):
    api.answer = lambda _: Reply(archive({"a": bytes(100 << 20)}))

    with pytest.raises(RequestFailed, match=r"more than 200 times as large as it came: .* `max_ratio`"):
        swallowed(api, max_ratio=200)


def test_a_body_that_never_ends_is_refused_once_it_is_larger_than_is_read(api):
    with pytest.raises(RequestFailed, match="larger than 1,000,000 bytes, the most that is read"):
        fetched(api, b"x" * 3_000_000, max_body_bytes=1_000_000)
    with pytest.raises(RequestFailed, match="larger than 1,000,000 bytes, the most that is read"):
        fetched(api, archive({"a": b"x" * 3_000_000}, zipfile.ZIP_STORED), max_body_bytes=1_000_000)


@pytest.mark.parametrize(
    "headers", [{"X-Long": "x" * 10_000_000}, {f"X-{n}": "x" * 10_000 for n in range(1000)}], ids=["one line", "many"]
)
def test_headers_of_ten_megabytes_are_refused_and_not_asked_for_again(api, headers):
    tracemalloc.start()

    with pytest.raises(RequestFailed, match="its headers are larger than what is read of them, 100 lines of 65,536"):
        fetched(api, b"{}", headers)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(api.asked) == 1
    assert peak < 60 << 20  # the server of the test, which makes them, is in the same process
