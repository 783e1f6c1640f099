"""Source files as people write them: what is read, how files override each other, what a mistake is told as."""

# ruff: noqa: E501 -- a table of mistakes is read a line each

import os
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets import catalog
from ingest_assets.errors import ConfigError

SHOP = """\
base_url: https://shop.example
auth: {type: bearer, token: {env: KEY}}
rate_limit: {requests: 25, per: PT1S}
endpoints:
  orders:
    path: /orders
    params: {limit: 100}
    records: data
    paginator: {type: cursor, path: next, param: cursor}
    window: {from: since, until: before, format: unix}
    partitions: {every: day, start: "2026-01-01"}
    changes: {lookback: P28D}
    primary_key: [id]
    columns:
      id: {type: bigint, required: true}
    fresh_within: PT26H
"""
PASTED = "sk_live_51H8abcdef"


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def mistakes(folder):
    """What is told of a file of this text, the folder left out of it."""

    def told(text, name="shop.yaml", folders=None):
        file = folder / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as refusal:
            catalog.load(file, folders or [folder])
        return str(refusal.value).replace(f"{folder}{os.sep}", "")

    return told


@pytest.fixture
def write(folder):
    def written(name, text):
        file = folder / name
        file.write_text(text, encoding="utf-8")
        return file

    return written


def changed(right, wrong):
    assert SHOP.count(right) >= 1
    return SHOP.replace(right, wrong, 1)


def test_shipped_sources_load():
    shipped = catalog.sources({})

    assert {"mixpanel", "stripe", "zendesk"} <= set(shipped)
    assert set(shipped) == {file.stem for file in catalog.SHIPPED.glob("*.yaml")}


@pytest.mark.parametrize("name", [file.stem for file in sorted(catalog.SHIPPED.glob("*.yaml"))])
def test_shipped_sources_are_fresh_within_something_and_keyed(name):
    endpoints = catalog.load(catalog.SHIPPED / f"{name}.yaml").endpoints.values()

    assert all(endpoint.fresh_within and endpoint.primary_key and endpoint.description for endpoint in endpoints)


def test_a_file_is_read_as_it_stands(write):
    source = catalog.load(write("shop.yaml", SHOP))

    orders = source.endpoints["orders"]
    assert (source.name, orders.primary_key, orders.params) == ("shop", ("id",), {"limit": 100})
    assert (orders.partitions.start, orders.fresh_within) == (date(2026, 1, 1), timedelta(hours=26))


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        # what is not YAML
        ("    path: /orders", "   path: /orders", "shop.yaml:7: is not YAML: a key stands deeper than the one above"),
        ("    records:", "   records:", "shop.yaml:8: is not YAML: "),
        ("    path: /orders", "\tpath: /orders", "shop.yaml:6: is not YAML: there is a tab: indent with spaces"),
        ("    records: data", "    path: /all", "shop.yaml:8: is not YAML: key 'path' stands twice"),
        ("env: KEY}", "env: KEY, env: KEY}", "shop.yaml:2: is not YAML: key 'env' stands twice"),
        ("path: /orders", "path: {{shop}}/orders", "shop.yaml:6: is not YAML: "),
        ("path: /orders", "path: /orders\0", "shop.yaml:6: is not YAML: there is an unprintable character"),
        ("path: /orders", 'path: "/orders', "shop.yaml:"),
        ("[id]", "[id", "shop.yaml:14: is not YAML: "),
        # misspelt keys
        ("base_url:", "base_ulr:", "shop.yaml:1: base_ulr: unknown key 'base_ulr'; did you mean 'base_url'?"),
        ("base_url:", "lik: x\nbase_url:", "shop.yaml:1: lik: unknown key 'lik'; did you mean 'like'?"),
        ("token:", "tokn:", "shop.yaml:2: auth.tokn: unknown key 'tokn'; did you mean 'token'?"),
        ("per:", "pre:", "shop.yaml:3: rate_limit.pre: unknown key 'pre'; did you mean 'per'?"),
        ("endpoints:", "endpoint:", "shop.yaml:4: endpoint: unknown key 'endpoint'; did you mean 'endpoints'?"),
        ("records:", "record:", "shop.yaml:8: endpoints.orders.record: unknown key 'record'; did you mean 'records'?"),
        ("records: data", "records: {pth: a}", "shop.yaml:8: endpoints.orders.records.pth: unknown key 'pth'; did you"),
        ("param: c", "parm: c", "shop.yaml:9: endpoints.orders.paginator.parm: unknown key 'parm'; did you mean 'param'?"),
        ("until:", "untill:", "shop.yaml:10: endpoints.orders.window.untill: unknown key 'untill'; did you mean 'until'?"),
        ("every:", "evry:", "shop.yaml:11: endpoints.orders.partitions.evry: unknown key 'evry'; did you mean 'every'?"),
        ("required:", "requird:", "shop.yaml:15: endpoints.orders.columns.id.requird: unknown key 'requird'; did you mean 'required'?"),
        ("https://shop.example\n", "https://shop.example\nauht: x\n", "shop.yaml:2: auht: unknown key 'auht'; did you mean 'auth'?"),
        ("P28D}", "P28D, zone: UTC}", "shop.yaml:12: endpoints.orders.changes.zone: unknown key 'zone'; known here: lookback"),
        # what is missing
        ("base_url: https://shop.example\n", "", "shop.yaml:1: the file: 'base_url' is missing"),
        ("    path: /orders\n", "", "shop.yaml:5: endpoints.orders: 'path' is missing"),
        ("from: since, ", "", "shop.yaml:10: endpoints.orders.window: 'from' is missing"),
        (", token: {env: KEY}", "", "shop.yaml:2: auth: 'token' is missing"),
        ("{type: bearer, ", "{", "shop.yaml:2: auth: expected a mapping with type: one of none, bearer, basic, api_key, oauth2_client_credentials"),
        # values of the wrong kind
        ("type: cursor", "type: cursr", "shop.yaml:9: endpoints.orders.paginator.type: expected one of none, page, offset"),
        ("type: bearer", "type: berer", "shop.yaml:2: auth.type: expected one of none, bearer, basic, api_key, oauth2_client_credentials, oauth2_refresh_token, oauth2_jwt, jwt, hmac, aws_sigv4, rotated, login; found text; did you mean 'bearer'?"),
        ("type: bigint", "type: bigin", "shop.yaml:15: endpoints.orders.columns.id.type: 'bigin' is not a type; one of"),
        ("required: true", "required: perhaps", "shop.yaml:15: endpoints.orders.columns.id.required: expected true or false; found 'perhaps'"),
        ("{type: bigint, required: true}", "bigint", "shop.yaml:15: endpoints.orders.columns.id: expected a mapping of type, path, required, format, …; found 'bigint'"),
        ("PT26H", "26h", "shop.yaml:16: endpoints.orders.fresh_within: expected a duration such as PT26H: write PT26H; found '26h'"),
        ("PT26H", "26", "shop.yaml:16: endpoints.orders.fresh_within: expected a duration with its unit, such as PT1S (1 second) or P28D (28 days), and no number; found 26"),
        ("PT1S", "second", "shop.yaml:3: rate_limit.per: expected a duration such as PT26H (26 hours) or P28D (28 days); found 'second'"),
        ("requests: 25", "requests: many", "shop.yaml:3: rate_limit.requests: expected a whole number; found 'many'"),
        ("{requests: 25, per: PT1S}", "{per: PT1S}", "shop.yaml:3: rate_limit: 'requests' is missing"),
        ("{requests: 25, per: PT1S}", "{points: 25}", "shop.yaml:3: rate_limit: 'per' is missing"),
        ("{requests: 25, per: PT1S}", "{in_flight: 2, per: PT1S}", "shop.yaml:3: rate_limit.per: unknown key 'per'; known here: in_flight"),
        ("{requests: 25, per: PT1S}", "25", "shop.yaml:3: rate_limit: expected {requests: 25, per: PT1S}, {points: 900, per: PT1M} or {in_flight: 4}; found 25"),
        ("requests: 25", "requests: 0", "shop.yaml:3: rate_limit.requests: expected a value greater than 0; found 0"),
        ('"2026-01-01"', "01.02.2026", "shop.yaml:11: endpoints.orders.partitions.start: expected a date such as 2026-01-01; found '01.02.2026'"),
        ('"2026-01-01"', "2026-02-30", "shop.yaml:11: endpoints.orders.partitions.start: expected a date such as 2026-01-01; found '2026-02-30'"),
        ("every: day", "every: dya", "shop.yaml:11: endpoints.orders.partitions.every: expected hour, day, week or month; found 'dya'"),
        ("every: day", "every: day, by: {account: eu}", "shop.yaml:11: endpoints.orders.partitions.by.account: expected a list such as [eu, us], or {endpoint: accounts, field: id}; found 'eu'"),
        ("every: day", "every: day, by: {account: {endpoint: customers}}", "shop.yaml:11: endpoints.orders.partitions.by.account: 'field' is missing"),
        ("every: day", "every: day, settle: 2h", "shop.yaml:11: endpoints.orders.partitions.settle: expected a duration such as PT26H: write PT2H; found '2h'"),
        ("every: day", "every: day, by: {account: [eu]}", "shop.yaml:11: endpoints.orders.partitions.by.account: two of 'account' may have records of the same key"),
        ("format: unix", "format: unx", "shop.yaml:10: endpoints.orders.window.format: expected iso, date, unix"),
        ("{limit: 100}", "[limit, 100]", "shop.yaml:7: endpoints.orders.params: expected a mapping; found a list"),
        ("{limit: 100}", "limit=100", "shop.yaml:7: endpoints.orders.params: expected a mapping; found text"),
        ("limit: 100", "limit: [100]", "shop.yaml:7: endpoints.orders.params.limit: expected text or a whole number or a number or true or false; found a list"),
        ("records: data", "records: [data]", "shop.yaml:8: endpoints.orders.records: expected text or a mapping of path, absent, single, layout, …; found a list"),
        ("[id]", "{id: true}", "shop.yaml:13: endpoints.orders.primary_key: expected text or a list; found a mapping"),
        ("[id]", "[5]", "shop.yaml:13: endpoints.orders.primary_key.0: expected text; found 5"),
        ("{lookback: P28D}", "windwo", "shop.yaml:12: endpoints.orders.changes: expected immutable, window, unseen, {lookback: P28D} or {feed: ENDPOINT}; found 'windwo'"),
        ("{lookback: P28D}", "{loockback: P28D}", "shop.yaml:12: endpoints.orders.changes: expected immutable, window, unseen"),
        ("  orders:", "  - orders:", "shop.yaml:4: endpoints: expected a mapping; found a list"),
        ("    fresh_within: PT26H", "  customers:", "shop.yaml:16: endpoints.customers: expected a mapping of path, description, base_url, method, … (is what belongs to it indented?); found nothing"),
        ("    fresh_within: PT26H", "    write: mrege", "shop.yaml:16: endpoints.orders.write: expected merge, replace_partition, replace, append or history; found 'mrege'; did you mean 'merge'?"),
        ("    fresh_within: PT26H", "    time_zone: CEST", "shop.yaml:16: endpoints.orders.time_zone: 'CEST' is not a time zone such as Europe/Amsterdam"),
        ("    fresh_within: PT26H", "    decoder: {type: xls}", "shop.yaml:16: endpoints.orders.decoder.type: expected one of json, jsonl, csv, tsv, xml; found 'xls'"),
        ("    fresh_within: PT26H", "    max_quarantined: 5", "shop.yaml:16: endpoints.orders.max_quarantined: expected a value less than or equal to 1; found 5"),
        # rules
        ("https://shop.example", "shop.example", "shop.yaml:1: base_url: found no https:// or http:// and host; expected a URL"),
        ("rate_limit:", "schedule: 0 25 * * *\nrate_limit:", "shop.yaml:3: schedule: '25' is no hour of cron: *, */2, or numbers from 0 to 23"),
        ("  orders:", "  Orders:", "shop.yaml:5: endpoints.Orders: 'Orders' is not a name: small letters"),
        ("path: /orders", "path: /{shop}", "shop.yaml:6: endpoints.orders.path: {shop} is replaced by nothing; known here"),
        ("limit: 100", 'limit: "{max}"', "shop.yaml:7: endpoints.orders.params.limit: {max} is replaced by nothing; known"),
        ("params: {limit: 100}", "method: POST\n    body: {a: [1, {b: '{max}'}]}", "shop.yaml:8: endpoints.orders.body.a.1.b: {max} is replaced by nothing; known"),
        ("params: {limit: 100}", "method: POST\n    body: {query: 'shop{id}'}", "What is meant to be sent as it stands, such as GraphQL, takes spaces: { id }"),
        ("{requests: 25, per: PT1S}", "{requests: 25, per: 1}", "shop.yaml:3: rate_limit.per: expected a duration with its unit, such as PT1S (1 second) or P28D (28 days), and no number; found 1"),
        ("{type: bigint, required: true}", "{type: date, format: day}", "shop.yaml:15: endpoints.orders.columns.id.format: expected iso, date, unix, unix_ms or a strptime pattern such as %d.%m.%Y; found 'day'"),
        ("{lookback: P28D}", "{feed: events}", "shop.yaml:12: endpoints.orders.changes.feed: 'events' is not another endpoint"),
        ("    fresh_within: PT26H", "    write: replace", "shop.yaml:16: endpoints.orders.write: write: replace would keep one partition only"),
        ("    fresh_within: PT26H", "    newest_by: at", "shop.yaml:16: endpoints.orders.newest_by: newest_by 'at' is not a column"),
        ("[id]", "[]", "shop.yaml:5: endpoints.orders: write: merge needs a primary_key"),
        ("      id: {", "      _id: {", "shop.yaml:15: endpoints.orders.columns._id: column '_id': names that begin with _"),
        ("      id: {", "      ID: {type: json}\n      id: {", "shop.yaml:14: endpoints.orders.columns: columns 'ID' and 'id' differ by case only"),
        ("base_url:", "name: shop\nbase_url:", "shop.yaml:1: a source is named by its file (shop); remove `name`"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_field_and_what_was_expected(mistakes, right, wrong, told):
    message = mistakes(changed(right, wrong))

    assert told in message
    assert not any(word in message for word in ("Input", "tag", "instance", "pydantic", "valid dict", "NotNamed"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "shop.yaml:1: found nothing, expected a mapping that begins with base_url: or like:"),
        (b"# nothing yet\n", "shop.yaml:1: found nothing, expected a mapping"),
        (b"- base_url: x\n", "shop.yaml:1: found a list, expected a mapping"),
        (b"https\n", "shop.yaml:1: found text, expected a mapping"),
        (b"a: 1\n---\nb: 2\n", "shop.yaml:2: is not YAML: "),
        (b"base_url: x\ndescription: caf\xe9\n", "shop.yaml:2: is not UTF-8 text (byte 28 of the file)"),
        (b"a: &a [*a]\n", "shop.yaml:1: is nested too deeply to be a source file"),
        (b"a: " + b"[" * 5000, "shop.yaml:1: is nested too deeply to be a source file"),
        (b"[a]: b\n", "shop.yaml:1: is not YAML: text that begins with { or [ needs quotes"),
    ],
)
def test_a_file_that_is_no_mapping_is_told(mistakes, content, told):
    assert mistakes(content).startswith(told)


def test_a_file_that_is_missing_is_told(folder):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        catalog.load(folder / "shop.yaml")


def test_a_byte_order_mark_is_no_mistake(folder):
    file = folder / "shop.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SHOP.encode())

    assert catalog.load(file).name == "shop"


def test_all_mistakes_are_told_one_a_line(mistakes):
    text = changed("per: PT1S", "pre: PT1S").replace("type: bigint", "type: bigin").replace("every: day", "every: dya")

    lines = mistakes(text).splitlines()

    assert [line.split(": ")[:2] for line in lines] == [
        ["shop.yaml:3", "rate_limit"],
        ["shop.yaml:3", "rate_limit.pre"],
        ["shop.yaml:11", "endpoints.orders.partitions.every"],
        ["shop.yaml:15", "endpoints.orders.columns.id.type"],
    ]


@pytest.mark.parametrize("name", ["Shop", "my-shop", "2shop"])
def test_the_name_of_the_file_is_a_name(mistakes, name):
    assert f"the file's name '{name}' is not a name" in mistakes(SHOP, f"{name}.yaml")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("{env: KEY}", PASTED),
        ("{env: KEY}", f"{{env: [{PASTED}]}}"),
        ("{env: KEY}", f"{{{PASTED}}}"),
        ("{env: KEY}", f"{{env: KEY, {PASTED}: }}"),
        ("{env: KEY}", f"*{PASTED}"),
        ("{env: KEY}", f"!{PASTED}"),
        ("{type: bearer, token: {env: KEY}}", PASTED),
        ("{type: bearer, token: {env: KEY}}", f"bearer {PASTED}"),
        ("{type: bearer, token: {env: KEY}}", f"[bearer, {PASTED}]"),
        ("{type: bearer, token: {env: KEY}}", f"{{type: {PASTED}}}"),
        ("{type: bearer, token: {env: KEY}}", f"{{type: bearer, {PASTED}}}"),
        ("{type: bearer, token: {env: KEY}}", f"{{type: basic, user: {{env: {PASTED}: 1}}, password: {PASTED}}}"),
        ("{type: bearer, token: {env: KEY}}", f"{{type: api_key, name: X, value: {PASTED}}}"),
        ("{type: bearer, token: {env: KEY}}", f"{{type: api_key, name: X, value: {{env: K}}, place: {PASTED}}}"),
        ("rate_limit:", f"headers: {PASTED}\nrate_limit:"),
        ("rate_limit:", f"headers: {{Authorization: {PASTED}}}\nrate_limit:"),
        ("rate_limit:", f"headers: {{X-Key: [{PASTED}]}}\nrate_limit:"),
        ("rate_limit:", f"settings: {PASTED}\nrate_limit:"),
        ("rate_limit:", f"settings: {{key: [{PASTED}]}}\nrate_limit:"),
        ("rate_limit:", f"settings: {{key: {{env: KEY, default: [{PASTED}]}}}}\nrate_limit:"),
        ("https://", f"https://jo:{PASTED}@"),
        ("{limit: 100}", f"key={PASTED}"),
    ],
)
def test_a_pasted_secret_is_never_repeated(mistakes, right, wrong):
    message = mistakes(changed(right, wrong))

    assert "shop.yaml:" in message
    assert PASTED not in message


@pytest.mark.parametrize("plain", ["no", "on", "12:30:00", "2026-01-01", "007", "1_000"])
def test_plain_values_are_those_of_yaml_1_2(write, plain):
    source = catalog.load(write("shop.yaml", changed("limit: 100", f"limit: {plain}")))

    assert source.endpoints["orders"].params == {"limit": plain}


@pytest.mark.parametrize(("plain", "value"), [("5", 5), ("-1", -1), ("1.5", 1.5), ("1e3", 1000.0), ("true", True)])
def test_numbers_and_booleans_are_values(write, plain, value):
    source = catalog.load(write("shop.yaml", changed("limit: 100", f"limit: {plain}")))

    assert source.endpoints["orders"].params["limit"] == value
    assert type(source.endpoints["orders"].params["limit"]) is type(value)


def test_an_override_is_merged_key_by_key(write, folder):
    write("shop.yaml", SHOP)
    file = write(
        "shop_two.yaml",
        "like: shop\nbase_url: http://127.0.0.1:1\nendpoints: {orders: {columns: {at: {type: date}}, params: {q: a}}}\n",
    )

    source = catalog.load(file, [folder])

    orders = source.endpoints["orders"]
    assert (source.name, source.base_url, orders.path) == ("shop_two", "http://127.0.0.1:1", "/orders")
    assert {name: column.type for name, column in orders.columns.items()} == {"id": "bigint", "at": "date"}
    assert orders.params == {"limit": 100, "q": "a"}


def test_null_takes_a_key_away(write, folder):
    write("shop.yaml", SHOP)
    file = write(
        "two.yaml",
        "like: shop\nrate_limit: null\nendpoints: {orders: {window: null, partitions: null, changes: null}}\n",
    )

    source = catalog.load(file, [folder])

    assert source.rate_limit == ()
    assert source.endpoints["orders"].window is None


def test_another_kind_of_paginator_shares_nothing_with_the_former(write, folder):
    write("shop.yaml", SHOP)
    pages = "{type: session, path: id, param: s, page_param: p, page_size: n}"
    file = write("two.yaml", f"like: shop\nendpoints: {{orders: {{paginator: {pages}}}}}\n")

    assert catalog.load(file, [folder]).endpoints["orders"].paginator.type == "session"


def test_the_same_kind_of_auth_keeps_what_is_not_said(write, folder):
    write("shop.yaml", changed("{type: bearer, token: {env: KEY}}", "{type: basic, user: jo, password: {env: KEY}}"))
    file = write("two.yaml", "like: shop\nauth: {type: basic, password: {env: OTHER}}\n")

    auth = catalog.load(file, [folder]).auth

    assert (auth.user, auth.password.env) == ("jo", "OTHER")


def test_a_column_named_type_leaves_its_neighbours(write, folder):
    write("shop.yaml", changed("      id: {", "      type: {type: varchar}\n      id: {"))
    file = write("two.yaml", "like: shop\nendpoints: {orders: {columns: {type: {description: which}}}}\n")

    columns = catalog.load(file, [folder]).endpoints["orders"].columns

    assert [*columns] == ["type", "id"]
    assert columns["type"].description == "which"


def test_a_mistake_is_told_in_the_file_where_it_stands(write, mistakes):
    write("shop.yaml", changed("type: bigint", "type: bigin"))

    lines = mistakes("# second\nlike: shop\nrate_limit: {requests: many}\n", "two.yaml").splitlines()

    assert lines[0].startswith("two.yaml:3: rate_limit.requests: expected a whole number")
    assert lines[1].startswith("shop.yaml:15: endpoints.orders.columns.id.type: 'bigin' is not a type")


def test_an_override_of_an_override_goes_down_to_the_first(write, folder):
    write("shop.yaml", SHOP)
    write("two.yaml", "like: shop\naccount: two\n")

    source = catalog.load(write("three.yml", "like: two\ndescription: third\n"), [folder])

    assert (source.account, source.description, source.endpoints["orders"].path) == ("two", "third", "/orders")


def test_overrides_that_go_in_a_circle_are_told(write, mistakes):
    write("two.yaml", "like: shop\n")

    assert mistakes("like: two\n") == "two.yaml:1: like: goes in a circle: shop → two → shop"


def test_an_own_file_may_override_the_shipped_one_of_its_name(write, folder):
    file = write("stripe.yaml", "like: stripe\naccount: ours\n")

    source = catalog.load(file, [folder, catalog.SHIPPED])

    assert source.account == "ours"
    assert "charges" in source.endpoints


@pytest.mark.parametrize(
    ("like", "told"),
    [
        ("strip", "shop.yaml:1: like: 'strip' is no source; did you mean 'stripe'?"),
        (
            "unheard",
            "shop.yaml:1: like: 'unheard' is no source; there are dagster, ecb, github, mixpanel, open_meteo, stripe, zendesk",
        ),
        ("[stripe]", "shop.yaml:1: like: ['stripe'] is no source; "),
    ],
)
def test_an_override_of_an_unknown_source_is_told(mistakes, like, told):
    assert mistakes(f"like: {like}\n", folders=[catalog.SHIPPED]).startswith(told)


def test_settings_take_the_place_of_their_names_everywhere(write):
    text = SHOP.replace("https://shop", "https://{shop}").replace("limit: 100", 'limit: "{max}"')
    text = text.replace("rate_limit:", "settings: {shop: {env: SHOP}, max: {env: MAX, default: '50'}}\nrate_limit:")

    settled = catalog.settled(catalog.load(write("shop.yaml", text)), {"SHOP": "acme"})

    assert settled.base_url == "https://acme.example"
    assert settled.endpoints["orders"].params == {"limit": "50"}


@pytest.mark.parametrize("body_as", ["json", "form"])
def test_settings_take_the_place_of_their_names_in_bodies_and_stay_texts(write, body_as):
    body = "{shop: '{shop}', all: ['{shop}', 7, '{from} of {shop}']}"
    text = SHOP.replace("params: {limit: 100}", f"method: POST\n    body_as: {body_as}\n    body: {body}")
    text = text.replace("rate_limit:", "settings: {shop: {env: SHOP}}\nrate_limit:")

    settled = catalog.settled(catalog.load(write("shop.yaml", text)), {"SHOP": "12"})

    assert settled.endpoints["orders"].body == {"shop": "12", "all": ["12", 7, "{from} of 12"]}


def test_a_source_without_settings_is_settled_as_it_is(write):
    source = catalog.load(write("shop.yaml", SHOP))

    assert catalog.settled(source, {}) is source


@pytest.mark.parametrize("name", ["dagster", "mixpanel", "stripe", "zendesk"])
def test_shipped_sources_stay_what_they_are_when_settled(name):
    source = catalog.load(catalog.SHIPPED / f"{name}.yaml")
    values = dict.fromkeys((setting.env for setting in source.settings.values()), "x")

    settled = catalog.settled(source, values | {"DAGSTER_URL": "http://127.0.0.1:3000"})

    assert {n: e.contract.version for n, e in settled.endpoints.items()} == {
        n: e.contract.version for n, e in source.endpoints.items()
    }


@pytest.mark.parametrize("environ", [{}, {"SHOP": ""}])
def test_a_setting_without_value_is_told_by_its_variable(write, environ):
    source = catalog.load(write("shop.yaml", f"settings: {{shop: {{env: SHOP}}}}\n{SHOP}"))

    with pytest.raises(ConfigError, match="source 'shop': setting 'shop': the environment variable SHOP is not set"):
        catalog.settled(source, environ)


def test_a_setting_that_breaks_a_rule_is_told_without_its_value(write):
    text = SHOP.replace("https://shop.example", '"{url}"')
    source = catalog.load(write("shop.yaml", f"settings: {{url: {{env: URL}}}}\n{text}"))

    with pytest.raises(ConfigError) as refusal:
        catalog.settled(source, {"URL": PASTED})

    assert str(refusal.value).startswith("source 'shop' with its settings: base_url: found no https:// or http://")
    assert PASTED not in str(refusal.value)


def test_own_folders_come_before_the_shipped_one(write, folder, tmp_path_factory):
    own = write("stripe.yaml", "like: stripe\n")
    second = tmp_path_factory.mktemp("second")
    (second / "shop.yml").write_text(SHOP)
    (second / "stripe.yaml").write_text("like: stripe\n")

    files = catalog.files({"INGEST_SOURCES": f"{folder}{os.pathsep}{second}"})

    assert files["stripe"] == own
    assert files["shop"] == second / "shop.yml"
    assert files["zendesk"].parent == catalog.SHIPPED


def test_a_folder_that_does_not_exist_is_told(folder):
    with pytest.raises(ConfigError, match=r"INGEST_SOURCES: .*nowhere is not a folder"):
        catalog.folders({"INGEST_SOURCES": str(folder / "nowhere")})


def test_two_files_of_one_name_in_a_folder_are_told(write, folder):
    write("shop.yaml", SHOP)
    write("shop.yml", SHOP)

    with pytest.raises(ConfigError, match=r"shop\.yml: shop\.yaml beside it has the same name: remove one of them"):
        catalog.files({"INGEST_SOURCES": str(folder)})


def test_only_the_named_sources_are_left():
    assert [*catalog.sources({"INGEST_ONLY": "zendesk, stripe"})] == ["stripe", "zendesk"]


def test_an_unknown_name_to_keep_is_told():
    with pytest.raises(ConfigError, match=r"INGEST_ONLY: 'stripes' is no source; did you mean 'stripe'\?"):
        catalog.sources({"INGEST_ONLY": "stripes"})


def test_the_mistakes_of_all_files_are_told(write, folder):
    write("one.yaml", changed("type: bigint", "type: bigin"))
    write("two.yaml", changed("every: day", "every: dya"))

    with pytest.raises(ConfigError) as refusal:
        catalog.sources({"INGEST_SOURCES": str(folder)})

    lines = str(refusal.value).splitlines()
    assert [line.removeprefix(f"{folder}{os.sep}").split(":")[0] for line in lines] == ["one.yaml", "two.yaml"]


@given(st.integers(0, len(SHOP) - 1), st.integers(1, 30), st.sampled_from(["", " ", "\n", "{", "]", "*", "-", "null"]))
def test_whatever_is_broken_is_a_config_error(tmp_path_factory, at, length, put):
    file = tmp_path_factory.getbasetemp() / "broken.yaml"
    file.write_text(SHOP[:at] + put + SHOP[at + length :])

    try:
        source = catalog.load(file, [])
    except ConfigError as error:
        assert str(file) in str(error)  # noqa: PT017 -- either way is fine, but no other error is
    else:
        assert source.name == "broken"
