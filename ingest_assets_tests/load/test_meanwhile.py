"""Rows that a second process makes while a walk goes on."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from ingest_assets.errors import ContractBroken, Locked
from ingest_assets.extract.progress import Progress
from ingest_assets.http.page import PageRequest
from ingest_assets.line import Line
from ingest_assets.line.watcher import Unwatched
from ingest_assets.load import both, filling
from ingest_assets.load.helper import Helper
from ingest_assets.load.link import Made
from ingest_assets.load.meanwhile import Meanwhile
from ingest_assets.load.troubles import Unsuited
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Manifest, OpenSnapshot
from ingest_assets.source import Source

PAGED = {"things": {"path": "/", "primary_key": "id", "paginator": {"type": "page", "until": "empty_page"}}}

SIMPLE = [
    [{"id": n, "name": f"number {n}", "tags": [{"name": "a"}] * (n % 3)} for n in range(k, k + 50)]
    for k in range(0, 200, 50)
]
WIDER = [*SIMPLE, [{"id": 300, "name": "wide", "size": 2**70}], [{"id": 301, "size": 1}], [{"id": 302, "size": 0.5}]]
LATE = [*SIMPLE, [{"id": 900, "name": "one", "more": {"of": 1.5}}, {"id": 901, "name": 7}, {"id": None}, 5]]


class Stopped(Helper):
    """Where it was stopped, it goes on once the load has made its own rows."""

    is_stopped = is_asked = False

    def told(self) -> Any:
        if self.is_stopped and self.is_asked:
            os.kill(self.pid, signal.SIGCONT)
        return super().told()


class Watched(Meanwhile):
    """Knows whether a load had use of it."""

    helper: Stopped
    was_of_use = False

    def look_at(self, lab: Any) -> None:
        """Say what is stored of its walk."""
        pages = next(s for s in lab.snapshots.fetches(lab.source, lab.name) if s.fetch == self.fetch).pages
        self.look(len(pages), sum(page.bytes for page in pages))

    def wait_until_begun(self) -> None:
        """Wait until it has told what it knows."""
        wait_until(lambda: self.helper.has_told)

    def wait_until_all_is_taken(self) -> None:
        """Wait until it has taken all pages that it was told of."""
        wait_until(lambda: not select.select([self._shares.pipe], [], [], 0)[0])

    def stop(self) -> None:
        """Stop it once it has taken all pages that it was told of."""
        self.wait_until_all_is_taken()
        os.kill(self.helper.pid, signal.SIGSTOP)
        self.helper.is_stopped = True

    def taken(self, *given: Any) -> Any:
        found = super().taken(*given)
        self.was_of_use = found is not None
        return found

    def _newest(self) -> Any:
        found = super()._newest()
        self.helper.is_asked = True
        return found


def begun(lab: Any, fetch: int = 1) -> OpenSnapshot:
    told = Manifest(lab.source, lab.name, None, fetch, lab.snapshots.now(), "f")
    return lab.snapshots.begin(told)


def append(opened: OpenSnapshot, records: list[Any], note: Any = None) -> None:
    with opened.append(PageRequest("https://api.example.com/things")) as page:
        page.write(json.dumps(records).encode())
        page.commit(200, {}, len(records), note or {})


@contextlib.contextmanager
def meanwhile(lab: Any, fetch: int = 1, registry: Registry | None = None) -> Iterator[Watched]:
    walked = next(s for s in lab.snapshots.fetches(lab.source, lab.name) if s.fetch == fetch)
    work = Work(lab.source, lab.name, lab.model)
    helper = Stopped(lab.warehouse.locks, work.label, places=1)
    told = (helper, walked, work, registry or Registry.empty(), lab.warehouse.staging)
    with contextlib.closing(Watched(*told, share=1)) as second:
        second.look_at(lab)
        yield second


def taken(lab: Any, second: Meanwhile, registry: Registry | None = None) -> Any:
    """What a load gets of it; its files are closed again."""
    with contextlib.ExitStack() as files:
        return second.taken(lab.snapshots.fetches(lab.source, lab.name)[-1], registry or Registry.empty(), files)


def is_there(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.mark.parametrize("pages", [SIMPLE, LATE, WIDER], ids=["simple", "late", "wider"])
def test_its_rows_make_the_tables_that_a_load_alone_makes(lab: Callable[..., Any], pages: list[Any]) -> None:
    alone, helped = lab(at="alone"), lab(at="helped")
    alone.store(1, None, *pages)
    alone.load()
    opened = begun(helped)
    append(opened, pages[0])

    with meanwhile(helped) as second:
        for page in pages[1:]:
            append(opened, page)
            second.look_at(helped)
        second.wait_until_all_is_taken()
        opened.end("complete", "as the test says")
        replace(helped.loader(), meanwhile=second).load(None)

    assert second.was_of_use
    assert helped.contents(lineage=True) == alone.contents(lineage=True)
    assert helped.quarantined() == alone.quarantined()
    assert helped.accounts() == alone.accounts()
    registries = [one.snapshots.notes.registry(one.source, one.name) for one in (helped, alone)]
    assert registries[0] == registries[1]


NEW, OTHER = [{"id": 500, "new": 1}], [{"id": 501, "other": {"a": 1}, "lists": [{"a": 1}]}]
ASIDE = [{"id": None, "name": "aside"}, 5, {"id": 600, "name": "a", "tags": [{"name": "b"}, {"name": "c"}]}]
WIDE = [{"id": 700, "name": 1}]


@pytest.mark.parametrize(
    ("first", "second", "of_use"),
    [
        (ASIDE, ASIDE, True),
        (NEW, ASIDE, True),
        (ASIDE, OTHER, True),
        (NEW, OTHER, False),
        (NEW, NEW, False),
        (WIDE, ASIDE, False),
        (ASIDE, WIDE, False),
        (WIDE, WIDE, False),
    ],
)
def test_what_is_left_is_made_by_both_to_the_same_tables(
    lab: Callable[..., Any], first: Any, second: Any, of_use: bool
) -> None:
    alone, helped = knowing(lab(at="alone")), knowing(lab(at="helped"))
    alone.store(2, None, *halves(first, second))
    alone.load()
    with halved(helped, halves(first, second)) as process:
        replace(helped.loader(), meanwhile=process).load(None)

    assert process.was_of_use is of_use
    assert helped.contents(lineage=True) == alone.contents(lineage=True)
    assert helped.quarantined() == alone.quarantined()
    assert helped.accounts() == alone.accounts()
    known = [Registry.from_json(one.snapshots.notes.registry(one.source, one.name)) for one in (helped, alone)]
    assert replace(known[0], version=0) == replace(known[1], version=0)


def knowing(lab: Any) -> Any:
    """A lab that has loaded a fetch, and so knows names and types."""
    lab.store(1, None, SIMPLE[0])
    lab.load()
    return lab


def halves(first: Any, second: Any) -> list[Any]:
    """Pages of a walk; of each half the one that is given."""
    return [SIMPLE[1], first, second, SIMPLE[2]]


@contextlib.contextmanager
def halved(lab: Any, pages: Sequence[Any], fetch: int = 2) -> Iterator[Watched]:
    """Another walk that has ended: the first half of it is for the process, and the other one for the load."""
    opened = begun(lab, fetch)
    known = Registry.from_json(lab.snapshots.notes.registry(lab.source, lab.name))
    with meanwhile(lab, fetch, known) as process:
        for page in pages[:2]:
            append(opened, page)
        process.look_at(lab)
        process.wait_until_begun()
        process.stop()
        for page in pages[2:]:
            append(opened, page)
        opened.end("complete", "as the test says")
        yield process


def test_a_load_makes_rows_itself_of_pages_that_nobody_has_taken(lab: Callable[..., Any]) -> None:
    things = knowing(lab())
    known = Registry.from_json(things.snapshots.notes.registry(things.source, things.name))

    with halved(things, halves(ASIDE, ASIDE)) as process, contextlib.ExitStack() as files:
        found = process.taken(things.snapshots.fetches(things.source, things.name)[-1], known, files)
        made = {table: pa.table(rows).rename_columns(names) for table, names, rows in found.rows}

    assert (found.told.received, made["things"].num_rows) == (100 + 2 * len(ASIDE), 102)
    by_load = [row >= 1 << 32 for row in made["things"]["_row"].to_pylist()]
    assert by_load == 51 * [False] + 51 * [True]


def test_rows_that_both_made_are_not_mistaken_for_those_of_a_fetch_that_is_merged_with_theirs(
    lab: Callable[..., Any],
) -> None:
    alone, helped = knowing(lab(at="alone")), knowing(lab(at="helped"))
    before, after = ([{"id": k + n, "name": "a", "tags": [{"name": "b"}]} for n in range(40)] for k in (50, 3000))
    pages = [SIMPLE[2], [], [], SIMPLE[3]]
    alone.store(2, None, before)
    alone.store(3, None, *pages)
    alone.store(4, None, after)
    alone.load()

    helped.store(2, None, before)
    with halved(helped, pages, fetch=3) as process:
        helped.store(4, None, after)
        replace(helped.loader(), meanwhile=process).load(None)

    assert process.was_of_use
    assert helped.contents(lineage=True) == alone.contents(lineage=True)


BROKEN = [{"id": 800, "name": "too long a name"}, {"id": 801, "name": "another such name"}]


@pytest.mark.parametrize(("first", "second"), [(BROKEN, BROKEN), ([], BROKEN), (BROKEN, [])])
def test_a_broken_contract_is_told_as_by_a_load_alone(lab: Callable[..., Any], first: Any, second: Any) -> None:
    columns = {"name": {"type": "varchar", "pattern": "[a-z]+ [0-9]+", "unfit": "freeze"}}
    alone, helped = knowing(lab(at="alone", columns=columns)), knowing(lab(at="helped", columns=columns))
    alone.store(2, None, *halves(first, second))
    with pytest.raises(ContractBroken) as said:
        alone.load()

    with halved(helped, halves(first, second)) as process, pytest.raises(ContractBroken) as told:
        replace(helped.loader(), meanwhile=process).load(None)

    assert process.was_of_use
    assert str(told.value) == str(said.value)


def test_what_it_made_is_all_of_the_fetch_and_no_file_is_left(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)

    with meanwhile(things) as second:
        second.wait_until_begun()
        found = taken(things, second)

    assert (found.told.received, sorted(table for table, *_ in found.rows)) == (200, ["things", "things__tags"])
    assert list(things.warehouse.staging.iterdir()) == []
    assert not is_there(second.helper.pid)


def test_it_is_of_use_once(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)

    with meanwhile(things) as second:
        second.wait_until_begun()
        assert taken(things, second) is not None
        assert taken(things, second) is None


def test_rows_for_another_registry_are_not_taken(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)
    things.load()
    learned = Registry.from_json(things.snapshots.notes.registry(things.source, things.name))

    with meanwhile(things) as second:
        second.wait_until_begun()
        assert taken(things, second, learned) is None
    with meanwhile(things, registry=learned) as second:
        second.wait_until_begun()
        assert taken(things, second, learned) is not None


def test_its_rows_are_of_use_beside_another_fetch_that_is_loaded_with_it(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)
    things.load()
    learned = Registry.from_json(things.snapshots.notes.registry(things.source, things.name))
    things.store(2, None, [{"id": 500, "name": "another", "tags": []}])
    things.store(3, None, [{"id": 500, "name": "newer", "tags": []}])

    with meanwhile(things, fetch=3, registry=learned) as second:
        second.wait_until_begun()
        loaded = replace(things.loader(), meanwhile=second).load(None)

    assert second.was_of_use
    assert [(one.account.inserted, one.account.updated) for one in loaded] == [(1, 0), (0, 1)]


def test_a_type_that_it_found_wider_reaches_another_fetch_that_is_loaded_with_it(lab: Callable[..., Any]) -> None:
    alone, helped = knowing(lab(at="alone")), knowing(lab(at="helped"))
    for things in (alone, helped):
        things.store(2, None, [{"id": 50, "name": "text"}, {"id": 51, "name": "more"}])
    alone.store(3, None, WIDE, [{"id": 52, "name": {"a": 1}}])
    alone.load()

    opened = begun(helped, 3)
    append(opened, WIDE)
    known = Registry.from_json(helped.snapshots.notes.registry(helped.source, helped.name))
    with meanwhile(helped, 3, known) as second:
        append(opened, [{"id": 52, "name": {"a": 1}}])
        second.look_at(helped)
        second.wait_until_all_is_taken()
        opened.end("complete", "as the test says")
        replace(helped.loader(), meanwhile=second).load(None)

    assert helped.contents(lineage=True) == alone.contents(lineage=True)
    assert helped.accounts() == alone.accounts()


def test_rows_of_another_fetch_are_not_taken(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)
    things.store(2, None, *SIMPLE)

    with meanwhile(things, fetch=1) as second:
        second.wait_until_begun()
        assert taken(things, second) is None


def test_rows_of_pages_that_were_changed_since_are_not_taken(lab: Callable[..., Any]) -> None:
    things = lab()
    opened = begun(things)
    append(opened, SIMPLE[0])
    append(opened, SIMPLE[1])
    index = opened.folder / "index.jsonl"

    with meanwhile(things) as second:
        second.wait_until_begun()
        second.stop()
        index.write_bytes(index.read_bytes().splitlines(keepends=True)[0])

        assert taken(things, second) is None


def wait_until(holds: Callable[[], Any], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_where_it_dies_the_load_makes_the_rows(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)

    with meanwhile(things) as second:
        second.wait_until_begun()
        os.kill(second.helper.pid, signal.SIGKILL)
        (loaded,) = replace(things.loader(), meanwhile=second).load(None)

    assert loaded.account.inserted == 200


def test_a_process_that_has_not_begun_is_not_waited_for(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)

    with meanwhile(things) as second:
        os.kill(second.helper.pid, signal.SIGSTOP)
        (loaded,) = replace(things.loader(), meanwhile=second).load(None)

    assert (second.was_of_use, loaded.account.inserted) == (False, 200)


def test_pages_that_nobody_took_are_not_lost(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)
    known = Registry.empty()
    part = both.Part(filling.Filled(known, received=150), [], [(0, 3)])

    with contextlib.ExitStack() as opened:
        work = Work(things.source, things.name, things.model)
        with pytest.raises(Unsuited):
            both.together(work, 4, part, None, Made(part.shares, "", part.told, []), opened)
        assert both.together(work, 3, part, None, Made(part.shares, "", part.told, []), opened).told.received == 150


def test_pages_of_nested_lists_that_came_cut_are_left_to_the_load(lab: Callable[..., Any]) -> None:
    things = lab()
    opened = begun(things)
    append(opened, SIMPLE[0])

    with meanwhile(things) as second:
        second.wait_until_all_is_taken()
        append(opened, [{"name": "b"}], {"of": {"list": "tags", "page": 0, "position": 1, "records": "tags"}})

        assert taken(things, second) is None


@pytest.mark.parametrize(("loads", "begins"), [(True, True), (False, False)])
def test_it_begins_for_a_large_walk_that_is_loaded_next(
    tmp_path: Path, answering: Any, monkeypatch: pytest.MonkeyPatch, loads: bool, begins: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    pages = [json.dumps([{"id": n, "text": "x" * 5_000_000}]) for n in range(3)]
    source = Source.model_validate({"name": "shop", "base_url": answering([*pages, "[]"]).url, "endpoints": PAGED})
    line = Line(source, tmp_path / "data", run="r")

    with line.partition("things", None):
        line.fetch("things", None, loads=loads)
        began = line.helped.meanwhile is not None
        (loaded,) = line.load("things", None)
    line.publish()

    assert (began, line.helped.meanwhile) == (begins, None)
    assert loaded.account.inserted == 3


class Looking(Unwatched):
    """Knows of each walk whether a second process was there when its first page came."""

    def __init__(self, data: Path) -> None:
        self.locks, self.begun = data / "locks", list[bool]()

    def page(self, progress: Progress) -> None:
        if progress.pages == 1:
            is_free = False
            with contextlib.suppress(Locked):
                Helper(self.locks, "looking", places=1).close()
                is_free = True
            self.begun.append(not is_free)


@pytest.mark.parametrize("anew", [False, True], ids=["walked before", "stored"])
@pytest.mark.parametrize(("size", "begins"), [(10, False), (5_000_000, True)])
def test_it_begins_with_the_first_walk_and_with_one_after_a_large_one(
    tmp_path: Path, answering: Any, monkeypatch: pytest.MonkeyPatch, size: int, begins: bool, anew: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    pages = [json.dumps([{"id": 1, "text": "x" * size}]), "[]", json.dumps([{"id": 1}]), "[]"]
    source = Source.model_validate({"name": "shop", "base_url": answering(pages).url, "endpoints": PAGED})
    data = tmp_path / "data"
    looking = Looking(data)

    line = Line(source, data, run="r", watcher=looking)
    for _ in range(2):
        with line.partition("things", None):
            line.fetch("things", None)
            (loaded,) = line.load("things", None)
        line = Line(source, data, run="r", watcher=looking) if anew else line

    assert (looking.begun, loaded.account.updated) == ([True, begins], 1)


def test_a_walk_does_not_mind_that_a_loaded_one_before_it_is_damaged(tmp_path: Path, answering: Any) -> None:
    pages = [json.dumps([{"id": 1}]), "[]"] * 2
    days = {"every": "day", "start": "2026-01-01"}
    daily = {"things": {**PAGED["things"], "partitions": days, "window": {"from": "since", "until": "until"}}}
    source = Source.model_validate({"name": "shop", "base_url": answering(pages).url, "endpoints": daily})
    line = Line(source, tmp_path / "data", run="r")
    with line.partition("things", "2026-01-01"):
        stored = line.fetch("things", "2026-01-01")
        line.load("things", "2026-01-01")
    (stored.folder / "manifest.json").write_text("{")
    line = Line(source, tmp_path / "data", run="r")

    with line.partition("things", "2026-01-02"):
        assert line.fetch("things", "2026-01-02").manifest.ended is not None


def test_one_begins_where_a_core_is_free(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)

    with meanwhile(things), pytest.raises(Locked), meanwhile(things):
        pass
    with meanwhile(things):
        pass


def test_it_ends_when_the_process_of_the_walk_is_killed(lab: Callable[..., Any]) -> None:
    things = lab()
    things.store(1, None, *SIMPLE)
    walking = f"""
import sys, time
from pathlib import Path
from ingest_assets.extract.progress import Progress
from ingest_assets.line import Line
from ingest_assets.line.watcher import Unwatched
from ingest_assets.load.helper import Helper
from ingest_assets.load.meanwhile import Meanwhile
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Endpoint
data = Path({str(things.data)!r})
(walked,) = Snapshots(data / "raw").fetches("shop", "things")
work = Work("shop", "things", Endpoint(path="/things", primary_key=["id"]))
helper = Helper(data / "locks", work.label, places=1)
second = Meanwhile(helper, walked, work, Registry.empty(), data / "staging")
print(helper.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", walking], stdout=subprocess.PIPE, text=True) as walk:
        assert walk.stdout is not None
        pid = int(walk.stdout.readline())
        walk.kill()

    wait_until(lambda: not is_there(pid) or _is_dead(pid))


def _is_dead(pid: int) -> bool:
    """Whether a process has ended that nobody has asked about yet."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True
