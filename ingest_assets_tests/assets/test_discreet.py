"""Nothing secret or sensitive reaches Dagster: all that it stores is searched, after good runs and bad ones."""

import base64
import random
import socket
import sqlite3
import urllib.parse

import pytest

from ingest_assets.assets.launch import catch_up

FIRST, LAST = "2026-01-01", "2026-01-04"
PRIVATE = b"private.example"


def stored(lab) -> bytes:
    """All that Dagster keeps on disk, as one text: every row of every database, and the logs of the steps."""
    found = []
    for file in (lab.folder / "dagster").rglob("*"):
        if file.suffix == ".db":
            connection = sqlite3.connect(file)
            found += [line.encode() for line in connection.iterdump()]
            connection.close()
        elif file.is_file():
            found.append(file.read_bytes())
    return b"\n".join(found)


def forms(secret):
    """A secret as it may turn up."""
    basic = base64.b64encode(secret.encode()).rstrip(b"=")
    return [secret.encode(), urllib.parse.quote(secret, safe="").encode(), basic]


@pytest.fixture
def secret(monkeypatch):
    """A key with characters that a URL encodes."""
    monkeypatch.setenv("SHOP_TOKEN", "5ecret/of+the shop=")
    return "5ecret/of+the shop="


@pytest.fixture
def _short_waits():
    """The waits between tries are drawn at random: from here on five short ones come first."""
    random.seed(230654)


@pytest.fixture
def in_query(kept_lab, secret):
    """The shop's source with its key in the query."""
    kept_lab.text = kept_lab.text.replace(
        "auth: {type: bearer, token: {env: SHOP_TOKEN}}",
        "auth: {type: api_key, name: key, place: query, value: {env: SHOP_TOKEN}}",
    )
    return kept_lab


def test_a_run_that_is_refused_for_its_token_shows_no_token(kept_lab, secret):
    kept_lab.run(FIRST, fails=True)

    kept = stored(kept_lab)
    assert b"HTTP 401 Unauthorized" in kept
    assert b"Check the secret: environment variable SHOP_TOKEN" in kept
    assert not [form for form in forms(secret) if form in kept]


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_a_run_whose_api_repeats_the_key_in_its_answers_shows_no_key(in_query, shop, answer, secret, status):
    shop.orders[FIRST] = [{"id": 1, "link": f"https://shop.example/1?key={secret}"}]
    said = answer(status, {"error": f"the key {secret} will not do"}, {"Retry-After": "0", "X-Request-Id": secret})
    shop.instead["2026-01-02"] = said

    in_query.run(FIRST, LAST, fails=True)

    kept = stored(in_query)
    assert b"2026-01-02" in kept
    assert not [form for form in forms(secret) if form in kept]


@pytest.mark.usefixtures("_short_waits")
def test_a_run_whose_bodies_are_cut_shows_no_key(in_query, shop, answer, secret):
    shop.instead["2026-01-02"] = answer(200, {"data": shop.of("2026-01-02"), "more": False, "next": None}, {}, cut=True)

    in_query.run(FIRST, "2026-01-02", fails=True)

    kept = stored(in_query)
    assert b"Gave up after 6 attempts" in kept
    assert not [form for form in forms(secret) if form in kept]


@pytest.mark.usefixtures("_short_waits")
def test_a_run_whose_api_is_not_there_shows_no_key(in_query, shop, secret):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        in_query.text = in_query.text.replace(shop.url, f"http://127.0.0.1:{nobody.getsockname()[1]}")

        in_query.run(FIRST, fails=True)

    kept = stored(in_query)
    assert b"Gave up after 6 attempts" in kept
    assert not [form for form in forms(secret) if form in kept]


def test_what_is_sensitive_is_nowhere_in_dagster(kept_lab, shop):
    lab = kept_lab
    shop.people = [{"id": n, "email": f"p{n}@private.example", "city": "Delft"} for n in range(1, 4)]
    people = [lab.raw("people"), lab.table("people")]

    lab.run(FIRST, "2026-01-02", checks=True)
    lab.run(keys=people, checks=True)
    lab.run(keys=people[1:], checks=True)

    assert b"Delft" in stored(lab)
    assert PRIVATE not in stored(lab)
    assert lab.rows("SELECT count(*) FROM shop.people WHERE contains(email, 'private.example')") == [(3,)]


def test_what_is_sensitive_and_does_not_fit_is_nowhere_in_dagster(kept_lab, shop):
    lab = kept_lab
    lab.text = lab.text.replace("email: {type: varchar,", "email: {type: uuid,")
    shop.people = [{"id": 1, "email": "p1@private.example"}, {"id": 2}]

    lab.run(keys=[lab.raw("people"), lab.table("people")], checks=True)

    assert not lab.check("people", "quarantine")["quarantine"].passed
    assert PRIVATE not in stored(lab)


def test_a_key_that_is_sensitive_is_not_shown_where_it_is_missing_or_doubled(kept_lab, shop):
    lab = kept_lab
    lab.text = lab.text.replace("    primary_key: id\n    write: replace", "    primary_key: email\n    write: replace")
    shop.people = [{"id": 1, "email": "p@private.example"}, {"id": 2, "email": "p@private.example"}, {"id": 3}]

    lab.run(keys=[lab.raw("people"), lab.table("people")], checks=True)

    assert PRIVATE not in stored(lab)


def test_a_json_column_that_holds_what_is_sensitive_is_not_previewed(kept_lab, shop):
    lab = kept_lab
    lab.text = lab.text.replace(
        "email: {type: varchar, sensitive: true}",
        "contact: {type: json}\n      email: {type: varchar, path: contact.email, sensitive: true}",
    )
    shop.people = [{"id": 1, "contact": {"email": "p1@private.example", "phone": "1"}, "city": "Delft"}]

    lab.run(keys=[lab.raw("people"), lab.table("people")], checks=True)

    assert b"Delft" in stored(lab)
    assert PRIVATE not in stored(lab)


def test_an_object_that_became_json_and_holds_what_is_sensitive_is_not_previewed(kept_lab, shop):
    lab = kept_lab
    lab.text = lab.text.replace(
        "email: {type: varchar, sensitive: true}", "email: {type: varchar, path: contact.email, sensitive: true}"
    )
    shop.people = [{"id": 1, "contact": {"email": "p1@private.example", "phone": "1"}, "city": "Delft"}]
    shop.people.append({"id": 2, "contact": "none", "city": "Delft"})

    lab.run(keys=[lab.raw("people"), lab.table("people")], checks=True)

    assert b"Delft" in stored(lab)
    assert PRIVATE not in stored(lab)


@pytest.mark.parametrize("declared", ["phone: {", "number: {path: phone, "])
def test_a_value_that_was_told_as_new_is_told_no_more_once_its_column_is_sensitive(kept_lab, shop, declared):
    lab = kept_lab
    lab.run(FIRST)
    shop.of("2026-01-02")[0]["phone"] = "call-me"
    lab.run("2026-01-02")
    assert lab.told(lab.table())["drift"] == ["new column orders.phone (varchar), such as call-me"]

    lab.text = lab.text.replace(
        "      email: {", f"      {declared}type: varchar, sensitive: true}}\n      email: {{", 1
    )
    lab.run(FIRST, "2026-01-02", keys=[lab.table()])

    assert lab.told(lab.table(), "2026-01-02")["drift"] == ["new column orders.phone (varchar)"]
    assert "new column orders.phone (varchar) (since" in lab.check("orders", "drift")["drift"].description


def test_a_load_is_told_without_a_preview_where_a_name_was_that_of_a_sensitive_column(kept_lab, shop, monkeypatch):
    lab = kept_lab
    monkeypatch.setenv("DAGSTER_HOME", str(lab.folder / "dagster"))
    lab.run(FIRST)
    lab.instance.wipe_assets([lab.raw(), lab.table()])
    renamed = "email: {type: varchar, path: shown_as}\n      mail: {type: varchar, path: email, sensitive: true}"
    lab.text = lab.text.replace("email: {type: varchar, sensitive: true}", renamed, 1)

    catch_up({"shop": lab.source}, [("shop", "orders")], lab.data, thorough=True)

    assert lab.told(lab.table())["received"] == len(shop.of(FIRST))
    assert PRIVATE not in stored(lab)
