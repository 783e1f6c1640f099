"""`ingest why`: each row leads to the stored response that it came from."""

import json
from typing import Any

SHOP = """
base_url: "{url}"
endpoints:
  orders:
    path: /orders
    records: ""
    primary_key: [shop, number]
    deleted: {{path: gone, equals: true}}
    columns: {{shop: {{type: varchar}}, number: {{type: bigint}}, mail: {{type: varchar, sensitive: true}}}}
    children: {{lines: {{columns: {{note: {{type: varchar, sensitive: true}}}}}}}}
"""


def shop(here: Any, server: Any) -> None:
    """A source of one endpoint with a key of two columns."""
    (here.folder / "sources" / "shop.yaml").write_text(SHOP.format(url=server.url))
    here.more["INGEST_ONLY"] = "shop"


def why(here: Any, *arguments: str) -> list[dict[str, Any]]:
    """The rows of the document."""
    told = here.ingest("why", *arguments, "--json")
    rows: list[dict[str, Any]] = json.loads(told.stdout)["rows"]
    return rows


def test_every_row_of_a_table_leads_to_the_record_that_brought_it(here: Any) -> None:
    here.ingest("run", "stripe.charges", "--from", "2026-11-18", "--to", "2026-11-19")
    cited = here.ask("SELECT id, amount, _fetch, _page, _position FROM stripe.charges ORDER BY id LIMIT 3")

    for key, amount, fetch, page, position in cited:
        [row] = why(here, "stripe.charges", str(key))

        assert (row["fetch"], row["page"], row["position"]) == (fetch, page, position)
        assert (json.loads(row["record"])["id"], json.loads(row["record"])["amount"]) == (key, amount)
        assert row["url"].startswith(f"{here.url}/stripe/v1/charges?limit=100&created")
        assert (row["status"], row["verdict"]) == (200, "complete")


def test_a_composite_key_a_child_row_and_a_deleted_row_are_found(here: Any, answering: Any) -> None:
    first = '[{"shop": "a", "number": 1, "lines": [{"sku": 1.50}, {"sku": 2}]}, {"shop": "a", "number": 2}]'
    server = answering([first, '[{"shop": "a", "number": 2, "gone": true}]'])
    shop(here, server)
    for _ in range(2):
        assert here.ingest("run", "shop.orders").returncode == 0

    [row] = why(here, "shop.orders", "a", "1")
    [child] = why(here, "shop.orders__lines", "shop=a", "number=1")
    [gone] = why(here, "shop.orders", "a", "2")

    assert row["record"] == '{"shop":"a","number":1,"lines":[{"sku":1.50},{"sku":2}]}'
    assert (child["fetch"], child["record"], child["places_in_list"]) == (row["fetch"], row["record"], [0, 1])
    assert (gone["state"], gone["fetch"], gone["position"]) == ("deleted", row["fetch"] + 1, 0)


def test_child_rows_lead_to_the_record_that_brought_their_list(here: Any, answering: Any) -> None:
    def order(number: int, state: str) -> str:
        return f'{{"shop":"a","number":{number},"state":"{state}","lines":[{{"sku":"x","subs":[1]}}]}}'

    server = answering([f"[{order(1, 'new')},{order(2, 'new')},{order(3, 'new')}]", f"[{order(2, 'paid')}]"])
    shop(here, server)
    for _ in range(2):
        assert here.ingest("run", "shop.orders").returncode == 0

    [row] = why(here, "shop.orders", "a", "2")
    children = [why(here, f"shop.orders__{table}", "shop=a", "number=2") for table in ("lines", "lines__subs")]

    assert row["record"] == order(2, "paid")
    for [child] in children:
        assert (child["fetch"], child["position"], child["record"]) == (row["fetch"] - 1, 1, order(2, "new"))
    assert len(why(here, "shop.orders__lines", "shop=a")) == 3


def test_sensitive_values_are_hidden_wherever_they_are_printed_unless_asked_for(here: Any, answering: Any) -> None:
    record = '{"shop": "a", "number": 1, "mail": "a@b.example", "lines": [{"note": "call me"}]}'
    shop(here, answering([f"[{record}]"]))
    here.ingest("run", "shop.orders")

    hidden = here.ingest("why", "shop.orders", "mail=a@b.example")
    shown = here.ingest("why", "shop.orders", "mail=a@b.example", "--show-sensitive")

    assert (hidden.returncode, shown.returncode) == (0, 0)
    assert "a@b.example" not in hidden.stdout + hidden.stderr
    assert "call me" not in hidden.stdout
    assert "2 sensitive values are hidden" in hidden.stdout
    assert "a@b.example" in shown.stdout
    assert "call me" in shown.stdout


def test_a_response_that_is_gone_is_said_beside_what_the_warehouse_knows(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    key = here.ask("SELECT id FROM stripe.customers LIMIT 1")[0][0]
    (here.data / "raw" / "stripe").rename(here.folder / "moved")

    told = here.ingest("why", "stripe.customers", str(key))

    assert told.returncode == 0
    assert "the stored pages of fetch" in told.stdout
    assert "complete: has_more_false" in told.stdout


def test_what_is_not_there_is_told_from_what_is_misspelt(here: Any) -> None:
    before = here.ingest("why", "stripe.customers", "cus_1")
    here.ingest("run", "stripe.customers")

    told = {
        "no such row": here.ingest("why", "stripe.customers", "cus_0"),
        "no such table": here.ingest("why", "stripe.customer", "cus_0"),
        "no such list": here.ingest("why", "stripe.customers__x", "cus_0"),
        "too many": here.ingest("why", "stripe.customers", "a", "b"),
    }

    assert (before.returncode, "there is no warehouse yet" in before.stderr) == (1, True)
    assert {name: one.returncode for name, one in told.items()} == {
        "no such row": 1,
        "no such table": 2,
        "no such list": 2,
        "too many": 2,
    }
    assert "There is no such row" in told["no such row"].stdout
    assert "did you mean 'stripe.customers'?" in told["no such table"].stderr
    assert "its key is id" in told["too many"].stderr


def test_a_column_that_is_not_there_is_named_and_taken_for_no_key(here: Any) -> None:
    here.ingest("run", "stripe.customers")

    told = here.ingest("why", "stripe.customers", "emial=a@b")
    as_key = here.ingest("why", "stripe.customers", "id=emial=a@b")

    assert (told.returncode, as_key.returncode) == (2, 1)
    assert "no column 'emial'; did you mean 'email'?" in " ".join(told.stderr.split())
    assert "There is no such row" in as_key.stdout
