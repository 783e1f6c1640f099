"""Pages and parts asked for at once: the snapshot is that of a walk page by page, and nothing outlives a failure."""

import contextlib
import threading
import time
from pathlib import Path

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete

NUMBERED = {"type": "page", "total": "total"}
LONG_SECONDS = 20


class Shelf:
    """Things in a list, two a page, by number or offset; it knows how many requests were on their way at once.

    `meets` are pages that are answered only once another one, named beside it, has been asked for.
    """

    def __init__(self, answer, count):
        self.answer, self.things = answer, [{"id": n} for n in range(count)]
        self.meets, self.refused, self.down, self.total = {}, set(), set(), count
        self.changed = threading.Condition()
        self.asked, self.at_work, self.most, self.met = [], 0, 0, True

    def __call__(self, query):
        first = int(query["offset"]) if "offset" in query else 2 * int(query["page"]) - 2
        page = first // 2 + 1
        with self.changed:
            self.asked.append(page)
            self.at_work += 1
            self.most = max(self.most, self.at_work)
            self.changed.notify_all()
            if page in self.meets:
                self.met &= self.changed.wait_for(lambda: self.meets[page] in self.asked, LONG_SECONDS)
        try:
            return self._answered(page, first)
        finally:
            with self.changed:
                self.at_work -= 1

    def _answered(self, page, first):
        if page in self.refused:
            return self.answer({}, status=403)
        if page in self.down:
            return self.answer({}, status=503, headers={"Retry-After": "0"})
        return self.answer({"data": self.things[first : first + 2], "total": self.total})


@pytest.fixture
def shelf(api, answer):
    api.answer = Shelf(answer, 40)
    return api.answer


def ids(lab, snapshot):
    return [record["id"] for record in lab.records(snapshot)]


def test_pages_are_asked_for_at_once_and_stored_in_their_order(lab, shelf):
    shelf.meets = {page: page + 1 for page in range(2, 20)}  # each is answered only after the next one was asked for

    snapshot = lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}))

    assert shelf.met
    assert 2 <= shelf.most <= 4
    assert ids(lab, snapshot) == list(range(40))
    assert [int(dict(entry.request.params)["page"]) for entry in snapshot.pages] == list(range(1, 21))
    assert sorted(shelf.asked) == list(range(1, 21))


@pytest.mark.parametrize("paginator", [NUMBERED, {"type": "offset", "total": "total"}])
def test_the_snapshot_is_that_of_a_walk_page_by_page(lab_of, api, shelf, tmp_path, paginator):
    stored = []
    for at_once in (1, 5):
        lab = lab_of(api, tmp_path / str(at_once))
        snapshot = lab.fetch(lab.walk({"paginator": paginator, "at_once": at_once}))
        entries = [(e.number, e.sha256, e.request, e.records, e.note, e.offset) for e in snapshot.pages]
        stored.append((entries, snapshot.manifest.ended.reason, (snapshot.folder / "pages.zst").read_bytes()))

    assert stored[0] == stored[1]


def test_traffic_is_added_up(lab, shelf):
    snapshot = lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}))

    assert snapshot.manifest.ended.traffic["requests"] == 20 == len(shelf.asked)


def test_one_at_a_time_is_what_a_file_means_that_says_nothing(lab, shelf):
    lab.fetch(lab.walk({"paginator": NUMBERED}))

    assert shelf.most == 1


def test_a_source_may_say_it_for_all_of_its_endpoints(lab, shelf):
    shelf.meets = {2: 3}
    walk = lab.walk({"paginator": NUMBERED})

    source = lab.source({"paginator": NUMBERED}, at_once=3)
    lab.fetch(type(walk)(source, "things"))

    assert shelf.met


def test_without_a_total_pages_come_one_by_one(lab, shelf):
    lab.fetch(lab.walk({"paginator": {"type": "page", "until": "short_page"}, "at_once": 4}))

    assert shelf.most == 1


def test_a_page_that_comes_short_in_the_middle_is_found_by_the_total(lab, shelf):
    shelf.things[5:6] = []
    shelf.total = 40

    with pytest.raises(WalkIncomplete, match="says 40 in all, of which 39 came"):
        lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}))


def test_offsets_that_a_short_page_moves_are_asked_for_anew(lab, api, answer):
    def page(query):
        first, size = int(query["offset"]), 1 if query["offset"] == "6" else 3
        return answer({"data": [{"id": n} for n in range(30)][first : first + size], "total": 30})

    api.answer = page

    snapshot = lab.fetch(lab.walk({"paginator": {"type": "offset", "total": "total"}, "at_once": 4}))

    assert ids(lab, snapshot) == list(range(30))
    assert [dict(entry.request.params)["offset"] for entry in snapshot.pages][:5] == ["0", "3", "6", "7", "10"]
    assert not list(snapshot.folder.glob("ahead-*"))


@pytest.mark.parametrize("total", [36, 44])
def test_a_total_that_changes_on_the_way_is_that_of_the_page(lab, shelf, total):
    answered = shelf._answered

    def changing(page, first):
        shelf.total = total if page > 5 else 40
        return answered(page, first)

    shelf._answered = changing
    shelf.things = [{"id": n} for n in range(max(total, 40))]

    snapshot = lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4, "incomplete": "warn"}))

    came = {36: 36, 44: 44}[total]
    assert ids(lab, snapshot) == list(range(came))
    # The first page's total is what the walk is measured by, as page by page.
    assert snapshot.manifest.ended.verdict == ("incomplete" if total < 40 else "complete")


def test_a_refused_page_ends_the_walk_after_the_pages_before_it_and_asks_no_more(lab, shelf):
    shelf.refused = {9}

    with pytest.raises(RequestFailed, match="403"):
        lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}))

    assert ids(lab, lab.stored()[0]) == list(range(16))
    asked = len(shelf.asked)
    time.sleep(0.1)
    assert len(shelf.asked) == asked <= 9 + 2 * 4 + 1
    assert lab.verdicts() == ["failed"]


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_walk_at_once_goes_on_after_its_last_stored_page(lab, shelf, at_once):
    shelf.down = {9}
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}), attempts=1)
    shelf.down = set()
    shelf.asked.clear()

    snapshot = lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": at_once}))

    assert sorted(shelf.asked) == list(range(8, 21))
    assert list(dict.fromkeys(ids(lab, snapshot))) == list(range(40))
    assert lab.verdicts() == ["complete"]


def threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("page")}


def open_files():
    """What of the data folder is open in this process."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(file.readlink()))
    return [file for file in found if "/raw/shop/" in file]


def test_no_thread_and_no_file_is_left_after_a_failure(lab, shelf):
    shelf.refused = {5}

    with pytest.raises(RequestFailed):
        lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 8}))

    assert threads() == set()
    assert open_files() == []
    assert not list(lab.stored()[0].folder.glob("ahead-*"))


def test_an_interrupt_stops_threads_that_wait_for_their_next_try(lab, shelf):
    shelf.down = set(range(2, 21))
    answered = shelf._answered

    def waiting(page, first):
        if page in shelf.down:
            return shelf.answer({}, status=503, headers={"Retry-After": "600"})
        return answered(page, first)

    shelf._answered = waiting

    def interrupt(progress):
        if progress.pages:
            raise KeyboardInterrupt

    lab.progress = type("Interrupting", (), {"append": staticmethod(interrupt)})()
    began = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        lab.fetch(lab.walk({"paginator": NUMBERED, "at_once": 4}))

    assert time.monotonic() - began < LONG_SECONDS
    assert threads() == set()
    assert lab.verdicts() == [None]
