"""What Dagster shows of a fetch and of a load."""

import pytest

FIRST = "2026-01-01"


@pytest.fixture
def told(lab):
    """The metadata of both assets after a day was fetched and loaded."""
    lab.run(FIRST)
    return lab.told(lab.raw(), FIRST), lab.told(lab.table(), FIRST)


def test_a_fetch_shows_verdict_pages_traffic_and_where_it_is_stored(told, lab):
    raw, _ = told

    shown = {name: raw[name] for name in ("fetch", "verdict", "reason", "pages", "records", "requests", "retries")}
    assert shown == {
        "fetch": 1,
        "verdict": "complete",
        "reason": "has_more_false",
        "pages": 1,
        "records": 2,
        "requests": 1,
        "retries": 0,
    }
    assert raw["bytes"] > 100
    assert raw["seconds"] >= 0
    assert raw["snapshot"].startswith(str(lab.data / "raw"))


def test_a_fetch_shows_what_it_waited_for(lab, shop, answer):
    shop.instead[FIRST] = [answer(503, {}, {"Retry-After": "0.05"})]

    lab.run(FIRST)

    raw = lab.told(lab.raw(), FIRST)
    assert (raw["requests"], raw["retries"], raw["waited to retry (s)"]) == (2, 1, 0.05)
    assert raw["waited for the limit (s)"] >= 0


def test_a_load_shows_its_account_and_the_rows_of_all_tables(told):
    _, table = told

    names = ("received", "inserted", "updated", "unchanged", "outdated", "deleted", "quarantined", "duplicates")
    assert [table[name] for name in names] == [2, 2, 0, 0, 0, 0, 0, 0]
    assert (table["dagster/row_count"], table["child rows"], table["child tables"]) == (2, 4, {"orders__lines": 4})
    assert (table["fetch"], table["verdict"]) == (1, "complete")


def test_the_column_schema_has_types_and_descriptions_and_marks_what_is_sensitive(lab):
    lab.run(keys=[lab.raw("people"), lab.table("people")])

    columns = {column.name: column for column in lab.told(lab.table("people"))["dagster/column_schema"].columns}
    assert {name: column.type for name, column in columns.items()} == {
        "id": "bigint",
        "email": "varchar",
        "city": "varchar",
    }
    assert columns["id"].description == "never given again"
    assert columns["email"].tags == {"sensitive": ""}
    assert columns["city"].tags == {}


@pytest.mark.parametrize(("write", "once"), [("merge", True), ("history", False), ("replace_partition", False)])
def test_a_key_is_shown_as_unique_where_the_table_holds_it_once(lab, shop, write, once):
    lab.text = lab.text.replace("    primary_key: id\n", f"    primary_key: id\n    write: {write}\n", 1)
    for day in ("2026-01-02", "2026-01-03"):
        shop.orders[day] = [{"id": 1, "day": day}]

    lab.run("2026-01-02", "2026-01-03")

    key = lab.told(lab.table(), "2026-01-03")["dagster/column_schema"].columns[0]
    assert key.constraints.unique is once
    assert lab.rows("SELECT count(*) FROM shop.orders") == [(1 if once else 2,)]


def test_the_column_lineage_leads_to_the_paths_of_records(lab):
    lab.text = lab.text.replace("      email: {", "      mail: {type: varchar, path: contact.mail}\n      email: {", 1)

    lab.run(FIRST)

    told = lab.told(lab.table(), FIRST)["dagster/column_lineage"].deps_by_column
    deps = {name: [(dep.asset_key, dep.column_name) for dep in deps] for name, deps in told.items()}
    assert deps["mail"] == [(lab.raw(), "contact.mail")]
    assert deps["id"] == [(lab.raw(), "id")]


def test_declared_columns_are_shown_before_anything_is_loaded(lab):
    lab.text = lab.text.replace("never given again", "never given again, min: 1")

    spec = lab.definitions().get_assets_def(lab.table("people")).specs_by_key[lab.table("people")]

    columns = {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
    assert columns["id"].constraints.other == ["at least 1"]
    assert (columns["id"].constraints.nullable, columns["id"].constraints.unique) == (False, True)
    assert columns["email"].tags == {"sensitive": ""}


def test_a_load_shows_what_drifted_and_what_was_dropped_and_a_check_warns(lab, shop):
    lab.run(FIRST)
    shop.of("2026-01-02")[0]["novel"] = "x"
    lab.run("2026-01-02")

    told = lab.told(lab.table(), "2026-01-02")

    assert told["drift"] == ["new column orders.novel (varchar), such as x"]
    assert told["dropped values"] == 0
    found = lab.check("orders", "drift")["drift"]
    assert not found.passed
    assert "the API changed: new column orders.novel (varchar), such as x (since fetch 2)" in found.description


def test_the_preview_shows_five_rows_without_sensitive_columns(lab, shop):
    shop.people = [{"id": n, "email": f"p{n}@private.example", "city": "a|b\nc"} for n in range(1, 9)]

    lab.run(keys=[lab.raw("people"), lab.table("people")])

    lines = lab.told(lab.table("people"))["preview"].splitlines()
    assert lines[0] == "|id|city|"
    assert len(lines) == 2 + 5
    assert lines[2].endswith(r"|a\|b c|")


def test_a_day_without_records_is_shown_as_such(lab, shop):
    shop.orders[FIRST] = []

    lab.run(FIRST)

    table = lab.told(lab.table(), FIRST)
    assert (table["received"], table["dagster/row_count"], table["verdict"]) == (0, 0, "complete")
    assert "preview" not in table


def test_a_table_of_sensitive_columns_alone_has_no_preview_of_them(lab, shop):
    shop.people = [{"id": 1, "email": "ann@private.example"}]
    lab.text = lab.text.replace("id: {type: bigint, required: true, desc", "id: {type: bigint, sensitive: true, desc")

    lab.run(keys=[lab.raw("people"), lab.table("people")])

    assert "preview" not in lab.told(lab.table("people"))


def test_the_description_says_what_is_not_seen(lab):
    lab.text = lab.text.replace("changes: immutable", "changes: unseen")

    specs = {spec.key: spec.description for spec in lab.definitions().resolve_all_asset_specs()}

    assert specs[lab.table()] == "Records of shop/orders. What changes after its day is not seen."
    assert specs[lab.raw()] == "What the API answered, as it came: GET /orders"
