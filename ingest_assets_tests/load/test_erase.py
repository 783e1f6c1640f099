"""Who is erased is as if the API had never sent them, but that a mark is where each record stood."""

import contextlib
import json
import shutil
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from ingest_assets.column import Column
from ingest_assets.errors import ConfigError, Locked
from ingest_assets.http.page import PageRequest
from ingest_assets.load import ledger
from ingest_assets.load.erase import Eraser
from ingest_assets.load.ledger import Failure
from ingest_assets.load.work import Work
from ingest_assets.raw import forgotten
from ingest_assets.raw.erase import erase as raw_erase
from ingest_assets.raw.snapshots import Manifest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AT = {"at": {"type": "bigint"}}
MOMENT = {"at": {"type": "timestamptz", "format": "unix", "required": True}}
LISTS = {"l": [{"m": [1, 2]}, {"m": []}]}


def eraser(things):
    work = Work(things.source, things.name, things.model)
    return Eraser(things.warehouse, things.snapshots, work, lambda _: contextlib.nullcontext(), things.data / "archive")


def erase(things, *texts):
    """Erase a key, as `ingest forget` does; what was found of it before."""
    one = eraser(things)
    key = one.key(texts)
    stored = one.look(key)
    one.erase(key, stored, NOW)
    one.finish(key, stored, NOW)
    return stored


def test_records_made_of_several_places_are_not_said_to_be_erased(lab):
    things = lab(records={"path": "rates{}", "key": "code"}, primary_key=["code"])

    with pytest.raises(ConfigError, match="made of several places of a body"):
        eraser(things).key(["EUR"])


def adds_up(things):
    fates = "inserted + updated + unchanged + outdated + deleted + quarantined + duplicates + filtered"
    return things.rows(f"SELECT _fetch FROM w._ingest.fetches WHERE loaded IS NOT NULL AND received <> {fates}") == []  # noqa: S608 -- ours


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"write": "replace_partition"},
        {"write": "replace_partition", "primary_key": []},
        {"newest_by": "at", "columns": AT},
        {"newest_by": "at", "columns": AT, "deleted": {"path": "gone", "equals": True}},
        {"columns": {"id": {"type": "varchar"}, "who": {"type": "varchar"}}},
        {"write": "history", "deleted": {"path": "gone", "equals": True}},
        {"write": "history", "newest_by": "at", "columns": MOMENT, "deleted": {"path": "gone", "equals": True}},
    ],
    ids=[
        "merge",
        "replaced",
        "no key",
        "newest_by",
        "newest_by and deleted",
        "all in quarantine",
        "history",
        "history by newest_by",
    ],
)
@pytest.mark.parametrize("by", ["id=1", "who=ann"])
def test_the_tables_are_those_of_a_rebuild(lab, daily, rebuilt, told, by):
    things = lab(**daily, **told)
    things.store(
        1, "2026-01-01", [{"id": 1, "at": 1, "who": "ann", **LISTS}, {"id": 2, "at": 1, "who": "bob", **LISTS}]
    )
    things.store(2, "2026-01-01", [{"id": 3, "at": 2, "who": "eve"}], [{"id": 1, "at": 3, "who": "ann", "gone": True}])
    things.store(3, "2026-01-02", [{"id": 4, "at": 3, "who": "bob", "l": []}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)

    stored = erase(things, by)

    assert (stored.records, stored.pages) == (2, 2)
    assert things.contents() == rebuilt(things, with_registry=True).contents()
    assert things.model.write != "history" or things.rows('SELECT * FROM w._ingest."ends:shop.things"') == []
    assert adds_up(things)
    assert [s.verify() for s in things.snapshots.fetches(things.source, things.name)] == [[], [], []]
    assert things.load("2026-01-01") == []
    assert [place[:3] for place in things.quarantined() if place[:3] in {(1, 0, 0), (2, 1, 0)}] == []


def test_a_key_is_not_sought_where_no_record_ever_had_one(lab):
    things = lab()
    things.store(1, None, [])
    things.load()

    with pytest.raises(ConfigError, match="nothing that is loaded has a value of 'id'"):
        eraser(things).key(["5"])


def test_all_versions_of_who_had_the_value_once_are_erased(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "mail": "old"}, {"id": 2, "mail": "other"}])
    things.store(2, None, [{"id": 1, "mail": "new"}])
    things.load()

    erase(things, "mail=new")
    things.load(replay=True)

    assert things.values("id") == [2]


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ({"type": "decimal(9,2)"}, ["1.50", "1.5", 1.5, b"15e-1"]),
        ({"type": "double"}, [0.1, b"0.10000000000000000555"]),
        ({"type": "uuid"}, ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        ({"type": "timestamptz", "format": "iso"}, ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00"]),
        ({"type": "varchar", "values": {"ann": ["ANN", 1], "bob": []}}, ["ann", "ANN", 1]),
        ({"type": "varchar"}, ["é", b'"\\u00e9"']),
    ],
)
@pytest.mark.parametrize("newest_by", [None, "at"])
def test_all_versions_are_erased_however_they_write_their_key(lab, rebuilt, column, written, newest_by):
    things = lab(columns={"id": column, **AT}, newest_by=newest_by)
    for number, key in enumerate(written, start=1):
        told = key if isinstance(key, bytes) else json.dumps(key).encode()
        things.store(number, None, [b'{"id": %b, "at": %d, "mail": "v%d"}' % (told, number, number)])
    things.load()

    stored = erase(things, f"mail=v{len(written)}")

    assert stored.records == len(written)
    assert things.values("id") == rebuilt(things).values("id") == []


def test_what_has_no_key_is_no_version_of_another_that_has_none(lab):
    things = lab()
    things.store(1, None, [{"mail": "ann"}, {"mail": "bob"}, {"id": None, "mail": "eve"}, {"id": 1, "mail": ""}])
    things.load()

    stored = erase(things, "mail=ann")

    assert stored.places == [(1, 0, 0)]
    assert [place[:3] for place in things.quarantined()] == [(1, 0, 1), (1, 0, 2)]


@pytest.mark.parametrize("sent", [7, "7", 7.0, b'{"id": 7.0, "v": 1}', b'{"v": 1, "id": "\\u0037"}'])
def test_a_key_is_known_however_it_is_written(lab, sent):
    things = lab()
    things.store(1, None, [sent if isinstance(sent, bytes) else {"id": sent, "v": 1}, {"id": 70, "v": 7}])
    things.load()

    stored = erase(things, "7")

    assert stored.records == 1
    assert [str(value) for value in things.values("v")] == ["7"]


BIRTH = {"birth": {"type": "date", "format": "%d-%m-%Y"}}
MONEY = {"currency": {"type": "varchar"}}
MONEY["total"] = {"type": "decimal(18,3)", "money": {"currency_from": "currency"}}
STATES = {"state": {"type": "varchar", "values": {"active": ["ACTIVE", 1], "gone": []}}}


@pytest.mark.parametrize(
    ("columns", "sent", "by"),
    [
        (BIRTH, b'{"id": 1, "birth": "31-01-1980"}', "birth=1980-01-31"),
        ({"at": {"type": "timestamptz", "format": "unix"}}, b'{"id": 1, "at": 1767225600}', "at=2026-01-01 00:00:00"),
        (STATES, b'{"id": 1, "state": 1}', "state=active"),
        (MONEY, b'{"id": 1, "total": 1999, "currency": "EUR"}', "total=19.990"),
        ({"plan": {"type": "varchar", "default": "free"}}, b'{"id": 1}', "plan=free"),
        ({"ok": {"type": "boolean"}}, b'{"id": 1, "ok": true}', "ok=t"),
        (
            {"v": {"type": "uuid"}},
            b'{"id": 1, "v": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}',
            "v=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ({}, b'{"id": 1, "n": 1.5}', "n=1.50"),
        ({}, b'{"id": 1, "n": 7}', "n=7.0"),
        ({}, b'{"id": 1, "n": 0.5}', "n=5e-1"),
        ({}, b'{"id": 1, "n": 5e-1}', "n=0.5"),
        ({"n": {"type": "double"}}, b'{"id": 1, "n": 0.10000000000000000555}', "n=0.1"),
        ({}, b'{"id": 2e3}', "2000"),
        ({}, b'{"id": 2000}', "2e3"),
    ],
)
def test_a_value_is_found_on_pages_however_they_write_it(lab, rebuilt, columns, sent, by):
    things = lab(columns=columns)
    things.store(1, None, [sent, {"id": 3, "n": 3.25, "state": "gone", "plan": "paid"}])
    things.load()

    stored = erase(things, by)

    assert stored.records == 1
    assert things.values("id") == rebuilt(things).values("id") == [3]


def test_what_events_quote_of_records_is_erased(lab):
    things = lab()
    things.store(1, None, [{"id": 2}])
    things.load()
    things.store(2, None, [{"id": 1, "mail": "ann@example.com"}, {"id": 1, "mail": "ann@example.org"}])
    things.load()
    quoted = "SELECT sample FROM w._ingest.drift UNION ALL SELECT clash ->> '$.key' FROM w._ingest.fetches"
    before, noted = {row[0] for row in things.rows(quoted)}, things.snapshots.notes.drift("shop", "things")
    with things.warehouse.session("a failure") as connection:
        problem = Failure(None, NOW, "a value that does not fit, such as ann@example.com", False)
        ledger.failed(connection, ("shop", "things", None), "run", problem)

    erase(things, "1")

    assert before == {None, "ann@example.com", "id=1"}
    assert {row[0] for row in things.rows(quoted)} == {None, "a key"}
    assert [event[-1] for event in noted] == ["ann@example.com"]
    assert [event[-1] for event in things.snapshots.notes.drift("shop", "things")] == [None]
    assert things.rows("SELECT problem FROM w._ingest.failures") == [("(a record was forgotten since)",)]


def test_a_tombstone_keeps_nothing_of_a_forgotten_key(lab):
    things = lab(deleted={"path": "gone", "equals": True})
    things.store(1, None, [{"id": 1}, {"id": 2}])
    things.store(2, None, [{"id": 1, "gone": True}])
    things.load()

    erase(things, "1")

    (count,) = things.rows('SELECT count(DISTINCT _id) FROM w._ingest."versions:shop.things"')
    assert count == (1,)


def test_rows_and_quarantine_of_pages_that_are_not_stored_any_more_are_erased_too(lab):
    things = lab(columns={"n": {"type": "bigint"}})
    things.store(1, None, [{"id": 1, "n": 1}, {"id": 2, "n": 1}, {"id": 1, "n": "bad"}])
    things.load()
    shutil.rmtree(things.raw / "shop" / "things" / "_" / "1")

    erase(things, "1")

    assert (things.values("id"), things.quarantined()) == ([2], [])
    assert adds_up(things)


def test_a_walk_that_has_not_ended_and_holds_the_key_is_given_up(lab):
    things = lab()
    things.store(1, None, [{"id": 2}])
    things.load()
    opened = things.snapshots.begin(Manifest(things.source, things.name, None, 2, NOW, "f"))
    with opened.append(PageRequest("https://api.example.com/things")) as page:
        page.write(b'[{"id": 1}]')
        page.commit(200, {}, 1, {"last_record": {"id": 1}})

    erase(things, "1")

    stored = things.snapshots.fetches(things.source, things.name)[-1]
    assert stored.manifest.ended is not None
    assert stored.manifest.ended.verdict == "given_up"
    assert stored.pages[0].note["last_record"] is None
    assert stored.body(stored.pages[0]).read() == b"[{}       ]"


def test_what_a_killed_call_left_of_a_segment_is_removed(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "who": "ann"}, {"id": 2}])
    things.load()
    folder = things.raw / "shop" / "things" / "_" / "1"
    former = (folder / "pages.zst").read_bytes()
    erase(things, "1")
    (folder / "pages.zst").write_bytes(former)

    erase(things, "1")

    assert sorted(file.name for file in folder.iterdir()) == ["index.jsonl", "manifest.json", "pages.1.zst"]
    assert things.snapshots.fetches(things.source, things.name)[0].verify() == []


def test_what_was_archived_is_erased_too(lab, daily):
    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1, "who": "ann"}, {"id": 2}])
    things.load("2026-01-01")
    things.snapshots.archive(things.source, things.name, things.data / "archive")
    things.store(2, "2026-01-01", [{"id": 1, "who": "ann"}])
    things.load("2026-01-01")

    stored = erase(things, "1")

    (archived,) = things.snapshots.archived(things.source, things.name, things.data / "archive")
    assert (stored.records, archived.forgotten, archived.verify()) == (2, 1, [])
    assert b"ann" not in archived.body(archived.pages[0]).read()


def test_a_partition_that_somebody_works_on_is_waited_for_and_the_rest_done_by_the_next_call(lab, daily):
    things = lab(**daily)
    for number in (1, 2):
        things.store(number, f"2026-01-0{number}", [{"id": 1, "n": number}])
        things.load(f"2026-01-0{number}")
    one = eraser(things)
    key = one.key(["1"])

    @contextlib.contextmanager
    def held(partition):
        if partition == "2026-01-02":
            raise Locked("held by process 4711")
        yield

    with pytest.raises(Locked):
        replace(one, lock=held).erase(key, one.look(key), NOW)
    between = one.rule(key)
    erase(things, "1")

    assert between is not None
    assert not between.done
    assert one.rule(key).done
    assert things.values("id") == []


@pytest.mark.parametrize("sent", ["ÉVA", "Ärger/ß", 'quo"te', "\u0131"])
def test_a_key_of_any_letters_is_found(lab, sent):
    things = lab()
    things.store(1, None, [{"id": sent}, {"id": "other"}], [f'{{"id": "{sent}"}}'.encode() if '"' not in sent else {}])
    things.load()

    erase(things, sent)

    assert things.values("id") == ["other"]
    bodies = b"".join(s.body(entry).read() for s in things.snapshots.fetches("shop", "things") for entry in s.pages)
    assert sent.encode() not in bodies


def test_records_of_a_csv_file_are_not_said_to_be_erased(lab):
    things = lab(decoder={"type": "csv"}, records="", primary_key=["code"])

    with pytest.raises(ConfigError, match="are no JSON"):
        eraser(things).key(["EUR"])


def test_a_number_that_a_column_would_round_is_nobodys(lab):
    things = lab()
    things.store(1, None, [{"id": 7}])
    things.load()

    stored = erase(things, "7.4")

    assert (stored.records, things.values("id")) == (0, [7])


def test_an_amount_is_sought_as_the_table_has_it_and_not_as_it_is_sent(lab):
    things = lab(columns=MONEY)
    things.store(1, None, [{"id": 1, "total": 1999, "currency": "EUR"}, {"id": 2, "total": 1999, "currency": "JPY"}])
    things.load()

    erase(things, "total=1999")

    assert things.values("id") == [1]


def test_records_that_cannot_be_read_stay_where_they_do_not_hold_the_value(lab):
    things = lab(columns=BIRTH)
    things.store(1, None, [b'{"id": 1, "birth": "31-01-1980"}', b'{"id": 2, "id": 2, "n": "\\n"}'])
    things.load()

    erase(things, "birth=1980-01-31")

    assert [place[:3] for place in things.quarantined()] == [(1, 0, 1)]


def test_a_row_of_a_record_that_the_file_reads_otherwise_by_now_is_told_of_and_nothing_erased(lab):
    things = lab(columns=BIRTH)
    things.store(1, None, [{"id": 1, "birth": "31-01-1980"}])
    things.load()
    things.model = things.model.model_copy(update={"columns": {"birth": Column(type="date", format="%m-%d-%Y")}})

    with pytest.raises(ConfigError, match=r"fetch 1, page 0, position 0.*Next: ingest replay shop.things --all"):
        erase(things, "birth=1980-01-31")

    assert things.values("id") == [1]


def test_a_key_that_is_erased_from_pages_but_not_from_tables_is_erased_by_the_next_call(lab):
    things = lab()
    things.store(1, None, [{"id": 1}, {"id": 2}])
    things.load()
    one = eraser(things)
    stored = one.look(one.key(["1"]))
    for snapshot in things.snapshots.fetches("shop", "things"):
        raw_erase(snapshot, stored.found[1], ["1"], NOW)

    erase(things, "1")

    assert things.values("id") == [2]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("emial=x@y.z", "no column 'emial'; did you mean 'email'"),
        ("zip=8000", "no column 'zip'; there are email, id"),
    ],
)
def test_a_column_that_is_none_is_not_taken_for_a_key(lab, typed, expected):
    things = lab()
    things.store(1, None, [{"id": "a", "email": "x@y.z"}])
    things.load()

    with pytest.raises(ConfigError, match=expected):
        eraser(things).key([typed])


@pytest.mark.parametrize(("sent", "by"), [("YWI=", "YWI="), ("YQ==", "YQ=="), ("a=b", "id=a=b")])
def test_a_key_may_have_the_sign_of_a_column_in_it(lab, sent, by):
    things = lab()
    things.store(1, None, [{"id": sent}, {"id": "other"}])
    things.load()

    erase(things, by)

    assert things.values("id") == ["other"]


@pytest.mark.parametrize(
    ("columns", "by", "sent"),
    [
        ({}, "2e3", {"id": 2000}),
        ({"id": {"type": "bigint"}, "n": {"type": "decimal(5,2)"}}, "n=1.50", {"id": 1, "n": 1.5}),
        ({"state": STATES["state"]}, "state=active", {"id": 1, "state": "ACTIVE"}),
    ],
)
def test_a_value_that_never_came_is_kept_out_however_its_column_lets_it_be_written(lab, columns, by, sent):
    things = lab(columns=columns)
    things.store(1, None, [{"id": 3}])
    things.load()

    erase(things, by)

    assert forgotten.read(things.snapshots.endpoint_folder("shop", "things")).has(sent)


def test_a_key_is_let_in_again_however_it_is_written(lab):
    things = lab()
    things.store(1, None, [{"id": 2000}])
    things.load()
    erase(things, "2e3")

    assert eraser(things).lift(eraser(things).key(["2000.0"]))


@pytest.mark.parametrize("forgotten_one", ["9", "0"], ids=["a row", "a row that was deleted"])
def test_what_was_deleted_stays_so_where_fewer_records_are_left_to_take_the_share_of(lab, rebuilt, forgotten_one):
    things = lab(sweep=True)
    things.store(1, None, [{"id": n} for n in range(10)])
    things.store(2, None, [{"id": n} for n in range(2, 10)])
    things.load()

    erase(things, forgotten_one)
    kept = things.values("id")
    things.load(replay=True)

    assert things.values("id") == kept == [n for n in range(2, 10) if str(n) != forgotten_one]
    assert rebuilt(things).contents() == things.contents()


def test_a_fetch_that_spared_rows_for_a_misfit_spares_them_where_that_is_forgotten(lab, rebuilt):
    things = lab(sweep=True, columns=AT)
    things.store(1, None, [{"id": n} for n in range(10)])
    things.store(2, None, [*({"id": n} for n in range(9)), {"id": 99, "at": "no number"}])
    things.load()

    erase(things, "99")
    things.load(replay=True)

    assert things.values("id") == list(range(10))
    assert rebuilt(things).contents() == things.contents()
