"""Who is forgotten is in no file any more, stays out, and is missed by nothing else."""

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_assets.raw.snapshots import Snapshots

if sys.version_info >= (3, 14):
    from compression.zstd import decompress
else:
    from backports.zstd import decompress

LONG = bool(os.environ.get("INGEST_LONG"))
KILLS = 60 if LONG else 4
DAYS = ("--from", "2026-11-18", "--to", "2026-11-19")
PRIVATE = """
endpoints:
  customers:
    columns: {name: {type: varchar}, email: {type: varchar}}
"""

PEOPLE = """
base_url: {url}
endpoints:
  people: {{path: /, primary_key: id}}
"""


def contents(file: Path) -> bytes:
    """All bytes of a file, and of what it holds compressed."""
    found = file.read_bytes()
    if file.suffix != ".zst" or not found:
        return found
    source = Snapshots(file.parents[4]).fetches(*file.parts[-5:-3])
    (snapshot,) = [s for s in source if s.folder == file.parent]
    bodies = [snapshot.body(entry).read() for entry in snapshot.pages if entry.segment == file.name]
    return found + b"".join(bodies) + (b"" if bodies else decompress(found))


def holding(here: Any, *texts: str) -> list[Path]:
    """The files below the data folder that hold one of these texts."""
    files = [file for file in here.data.rglob("*") if file.is_file()]
    return [file for file in files if any(text.encode() in contents(file) for text in texts)]


def accounts(here: Any) -> Iterator[tuple[object, ...]]:
    """Fetches whose account does not add up."""
    yield from here.ask(
        "FROM _ingest.fetches WHERE loaded IS NOT NULL AND received <> "
        "inserted + updated + unchanged + outdated + deleted + quarantined + duplicates + filtered"
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: Any, places: Any, ingest: Any) -> Any:
    """Customers and two days of charges, fetched twice; nothing of customers is called sensitive."""
    here = places(tmp_path_factory.mktemp("loaded") / "here")
    file = here.folder / "sources" / "stripe.yaml"
    file.write_text(file.read_text() + PRIVATE)
    for _ in range(2):
        ran = ingest(here, "run", "stripe.customers", "stripe.charges", *DAYS, "--again")
        assert ran.returncode == 0, ran.stdout
        ran = ingest(here, "run", "stripe.customers")
        assert ran.returncode == 0, ran.stdout
    return here


@pytest.fixture
def here(loaded: Any, tmp_path: Any) -> Any:
    """The same in a folder of its own."""
    return replace(loaded, folder=shutil.copytree(loaded.folder, tmp_path / "here"))


@pytest.fixture
def person(here: Any) -> tuple[str, str]:
    """Id and address of the customer who stands last on a page, whose id is the cursor of the next one."""
    row = here.ask(
        "SELECT id, email FROM stripe.customers WHERE _page = 0 AND email IS NOT NULL AND email NOT IN "
        "(SELECT email FROM stripe.customers GROUP BY 1 HAVING count(*) > 1) ORDER BY _position DESC LIMIT 1"
    )[0]
    return str(row[0]), str(row[1])


def test_the_plan_says_what_goes_and_where_else_the_value_is_and_does_nothing(
    here: Any, person: Any, ingest: Any
) -> None:
    customer, _ = person
    before, files = here.tables(), holding(here, customer)

    told = ingest(here, "forget", "stripe.customers", customer)
    document = json.loads(ingest(here, "forget", "stripe.customers", customer, "--json").stdout)

    assert told.returncode == 2
    assert "Say --yes" in told.stderr
    assert (document["done"], document["columns"]) == (False, ["id"])
    assert document["records"] == here.ask("SELECT count(*) FROM _ingest.fetches WHERE endpoint = 'customers'")[0][0]
    assert here.tables() == before
    assert holding(here, customer) == files


def test_no_file_holds_a_forgotten_person_any_more(here: Any, person: Any, ingest: Any) -> None:
    customer, email = person
    others = here.ask(f"SELECT * FROM stripe.customers WHERE id <> '{customer}' ORDER BY id")  # noqa: S608 -- a test's own id
    (here.data / "staging" / "duckdb_temp_storage-0.tmp").write_text(f"left by a dead process: {email}")
    ended = here.ask("SELECT max(ended) FROM _ingest.fetches WHERE endpoint = 'customers'")[0][0]
    then = ingest(here, "replay", "stripe.customers", "--as-of", (ended + timedelta(seconds=1)).isoformat())
    assert then.returncode == 0, then.stderr
    assert any("as-of" in file.parts for file in holding(here, email))
    assert len(holding(here, email)) >= 5

    told = ingest(here, "forget", "stripe.customers", customer, "--yes")
    charges = ingest(here, "forget", "stripe.charges", f"customer={customer}", "--yes")

    assert (told.returncode, charges.returncode) == (0, 0), told.stderr + charges.stderr
    assert holding(here, customer, email) == []
    assert here.ask("SELECT * FROM stripe.customers ORDER BY id") == others
    verified = ingest(here, "verify")
    assert verified.returncode == 0, verified.stdout
    assert "pages with forgotten records" in verified.stdout
    assert list(accounts(here)) == []


def test_a_trace_with_a_stray_byte_is_looked_through_too(here: Any, person: Any, ingest: Any) -> None:
    customer, _ = person
    trace = here.data / "trace" / "stripe.jsonl"
    trace.write_bytes(b"\xff\n" + f"/customers?starting_after={customer}\n".encode())

    told = ingest(here, "forget", "stripe.customers", customer, "--yes")

    assert told.returncode == 0, told.stderr
    assert not trace.exists()


def test_a_replay_does_not_bring_a_forgotten_person_back(here: Any, person: Any, ingest: Any) -> None:
    customer, _ = person
    ingest(here, "forget", "stripe.customers", customer, "--yes")
    before = here.tables(lineage=False)

    told = ingest(here, "replay", "stripe.customers", "--all")

    assert told.returncode == 0, told.stdout
    assert here.tables(lineage=False) == before
    assert here.ask("SELECT filtered FROM _ingest.fetches WHERE endpoint = 'customers' ORDER BY _fetch")[-1] == (1,)
    assert list(accounts(here)) == []


def test_a_forgotten_person_stays_out_of_later_fetches_until_that_is_lifted(
    here: Any, person: Any, ingest: Any
) -> None:
    customer, email = person
    ingest(here, "forget", "stripe.customers", customer, "--yes")
    before = here.tables(lineage=False)

    again = ingest(here, "run", "stripe.customers")
    kept_out = (
        here.tables(lineage=False),
        holding(here, email),
        [f for f in holding(here, customer) if "raw" in f.parts and "customers" in f.parts],
    )
    filtered = here.ask("SELECT filtered FROM _ingest.fetches WHERE endpoint = 'customers' ORDER BY _fetch")[-1]
    lifted = ingest(here, "forget", "stripe.customers", customer, "--lift")
    ingest(here, "run", "stripe.customers")

    assert again.returncode == 0, again.stdout
    assert kept_out == (before, [], [])
    assert filtered == (1,)
    assert "comes in again" in lifted.stdout
    assert here.ask("SELECT count(*) FROM stripe.customers WHERE email = $e".replace("$e", f"'{email}'")) == [(1,)]


def test_what_is_forgotten_already_is_said_and_done(here: Any, person: Any, ingest: Any) -> None:
    ingest(here, "forget", "stripe.customers", person[0], "--yes")

    told = ingest(here, "forget", "stripe.customers", person[0])

    assert told.returncode == 0
    assert "is forgotten already" in told.stdout


def test_a_quarantined_record_is_forgotten_too(here: Any, ingest: Any) -> None:
    file = here.folder / "sources" / "stripe.yaml"
    file.write_text(file.read_text().replace("email: {type: varchar}", "email: {type: bigint}"))
    ingest(here, "replay", "stripe.customers", "--all")
    raw = here.ask("SELECT record FROM _ingest.quarantine ORDER BY _fetch DESC, _page DESC, _position DESC LIMIT 1")
    record = json.loads(bytes(raw[0][0]))  # type: ignore[call-overload]

    told = ingest(here, "forget", "stripe.customers", record["id"], "--yes")

    assert told.returncode == 0, told.stderr
    assert holding(here, record["email"]) == []
    assert list(accounts(here)) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("stripe.customers", "a", "b"), "expected ID, or COLUMN=VALUE with one of"),
        (("stripe.customers", "id="), "an empty value is nobody's"),
        (("stripe.nobody", "a"), "has no endpoint 'nobody'"),
    ],
)
def test_what_is_no_key_is_said(loaded: Any, ingest: Any, arguments: tuple[str, ...], expected: str) -> None:
    told = ingest(loaded, "forget", *arguments, "--yes")

    assert told.returncode == 2
    assert expected in told.stderr


def test_after_kills_at_random_moments_it_is_as_after_one_quiet_forget(
    loaded: Any, here: Any, person: Any, ingest: Any, tmp_path: Any
) -> None:
    customer, email = person
    began = time.monotonic()
    assert here.program("forget", "stripe.customers", customer, "--yes").returncode == 0
    seconds, chance = time.monotonic() - began, random.Random(20261121)  # noqa: S311 -- moments, not secrets

    for kill in range(KILLS):
        killed = replace(loaded, folder=shutil.copytree(loaded.folder, tmp_path / f"killed{kill}"))
        process = killed.start("forget", "stripe.customers", customer, "--yes")
        time.sleep(chance.uniform(seconds * 0.4, seconds))
        process.kill()
        process.communicate()
        again = ingest(killed, "forget", "stripe.customers", customer, "--yes")
        assert again.returncode == 0, again.stderr
        assert killed.tables() == here.tables()
        assert holding(killed, email) == []
        assert ingest(killed, "verify").returncode == 0
        shutil.rmtree(killed.folder)


def test_nor_do_samples_of_what_was_new_or_clashed_which_dagster_was_shown(
    here: Any, ingest: Any, answering: Any
) -> None:
    people = [[{"id": 1}, {"id": 9}], [{"id": 1, "mail": "ann@example.com"}, {"id": 1, "mail": "ann@example.org"}]]
    api = answering([json.dumps(told) for told in people])
    (here.folder / "sources" / "shop.yaml").write_text(PEOPLE.format(url=api.url))
    here = replace(here, more={"INGEST_ONLY": "shop"})
    for _ in people:
        assert ingest(here, "run", "shop.people").returncode in (0, 1)
    assert len(holding(here, "ann@example")) >= 4

    told = ingest(here, "forget", "shop.people", "1", "--yes")

    assert told.returncode == 0, told.stderr
    assert holding(here, "ann@example", "id=1") == []
