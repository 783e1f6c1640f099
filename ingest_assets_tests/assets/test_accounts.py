"""Partitions by account in Dagster: listed in the file or by another endpoint, alone and together with days."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import dagster as dg
import pytest

from ingest_assets.assets.asks import asks
from ingest_assets.assets.launch import materialize
from ingest_assets.assets.members import add_listed_by
from ingest_assets.assets.names import versions
from ingest_assets.assets.plan import Wanted, plan, stages
from ingest_assets.assets.report import Reporter
from ingest_assets.assets.resources import Api
from ingest_assets.assets.undone import Undone
from ingest_assets.assets.unfinished import Going
from ingest_assets.errors import ConfigError
from ingest_assets.line import Line, Unwatched
from ingest_assets_tests.loopback import Replying, serving

BANK = """\
base_url: {url}
endpoints:
  accounts:
    path: /accounts
    primary_key: id
    write: replace
  entries:
    path: /accounts/{{account}}/entries
    window: {{from: from, until: until, format: date}}
    partitions: {{every: day, start: "2026-01-01", by: {{account: {{endpoint: accounts, field: id}}}}}}
    changes: immutable
    fresh_within: PT26H
    primary_key: [account, id]
    columns: {{account: {{type: varchar, from_partition: account}}, day: {{type: date, from_partition: day}}}}
  cards:
    path: /accounts/{{account}}/cards
    partitions: {{by: {{account: [a/1, b]}}}}
    write: replace_partition
    fresh_within: PT26H
  news:
    path: /accounts/{{account}}/news
    feed: {{from: since, start: "2026-01-01", position: at}}
    partitions: {{by: {{account: [a/1, b]}}}}
    primary_key: [account, at]
    columns: {{account: {{type: varchar, from_partition: account}}, at: {{type: timestamptz}}}}
"""
ENTRIES, ACCOUNTS, CARDS = ("shop", "entries"), ("shop", "accounts"), ("shop", "cards")


@dataclass
class Bank:
    """A bank of some accounts, of which each has entries numbered from one on, day by day."""

    url: str = ""
    accounts: list[str] = field(default_factory=lambda: ["a/1", "b"])
    asked: list[str] = field(default_factory=list)
    news: dict[str, list[str]] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        self.asked.append(f"{path}?{next(iter(query.values()))[0]}" if query else path)
        if path == "/accounts":
            return [{"id": account} for account in self.accounts]
        account, kind = path.removeprefix("/accounts/").rsplit("/", 1)
        if kind == "news":
            told = self.news.get(unquote(account), [])
            return [{"at": at} for at in told if at >= query["since"][0]]
        if kind == "cards":
            return [{"number": f"card of {unquote(account)}"}]
        return [{"id": n, "text": f"{unquote(account)} {query['from'][0]}"} for n in (1, 2)]


class _Handler(Replying):
    def get(self) -> None:
        asked = urlsplit(self.path)
        bank = self.server.bank
        told = bank.answer(asked.path, parse_qs(asked.query))
        self.send(403 if asked.path in bank.forbidden else 200, told)


@pytest.fixture(scope="module")
def running_bank() -> Iterator[Bank]:
    with serving(_Handler) as server:
        server.bank = Bank(server.url)
        yield server.bank


@pytest.fixture
def bank(running_bank: Bank) -> Bank:
    running_bank.accounts, running_bank.asked, running_bank.news = ["a/1", "b"], [], {}
    running_bank.forbidden = []
    return running_bank


@pytest.fixture
def at_bank(lab, bank: Bank):
    lab.text = BANK.format(url=bank.url)
    return lab


def line(lab) -> Line:
    return Line(lab.source, lab.data, run="r")


def both(lab, endpoint: str) -> list[dg.AssetKey]:
    return [lab.raw(endpoint), lab.table(endpoint)]


def entries(lab) -> list[tuple[Any, ...]]:
    return lab.rows("SELECT account, day::VARCHAR, text FROM shop.entries ORDER BY ALL")


def test_each_account_of_the_file_is_a_partition_with_rows_of_its_own(at_bank, bank):
    at_bank.run("a/1", "b", keys=both(at_bank, "cards"))

    assert bank.asked == ["/accounts/a%2F1/cards", "/accounts/b/cards"]
    assert at_bank.rows("SELECT number FROM shop.cards ORDER BY 1") == [("card of a/1",), ("card of b",)]
    assert at_bank.statuses(at_bank.table("cards"), "a/1", "b") == {"a/1": "MATERIALIZED", "b": "MATERIALIZED"}


def test_the_feed_of_each_account_goes_on_where_it_ended_and_since_rewinds_one(at_bank, bank):
    bank.news = {"a/1": ["2026-01-05T00:00:00Z"], "b": ["2026-01-07T00:00:00Z"]}
    both_accounts = {"keys": both(at_bank, "news")}
    at_bank.run("a/1", "b", **both_accounts)
    at_bank.run("a/1", "b", **both_accounts)

    at_bank.run("b", **both_accounts, config={"ops": {"shop__news": {"config": {"since": "2026-01-02"}}}})
    at_bank.run("a/1", "b", **both_accounts)

    since = [asked.rpartition("?")[2][:10] for asked in bank.asked]
    assert since == [
        *("2026-01-01", "2026-01-01"),
        *("2026-01-05", "2026-01-07"),
        "2026-01-02",
        *("2026-01-05", "2026-01-07"),
    ]
    assert at_bank.rows('SELECT account, "at"::DATE::VARCHAR FROM shop.news ORDER BY 1') == [
        ("a/1", "2026-01-05"),
        ("b", "2026-01-07"),
    ]


def test_loading_the_listing_makes_its_accounts_partitions_of_the_others(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))

    assert set(at_bank.instance.get_dynamic_partitions("shop.accounts.id")) == {"a/1", "b"}
    assert bank.asked == ["/accounts"]


def test_days_of_an_account_are_a_range_of_their_own(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))

    at_bank.run("b|2026-01-02", "b|2026-01-03", keys=both(at_bank, "entries"))

    assert bank.asked[1:] == ["/accounts/b/entries?2026-01-02", "/accounts/b/entries?2026-01-03"]
    # The same ids in two days of immutable records: the newest fetch has them.
    assert entries(at_bank) == [("b", "2026-01-03", "b 2026-01-03")] * 2
    days = [f"b|2026-01-0{day}" for day in (1, 2, 3)]
    told = at_bank.statuses(at_bank.table("entries"), *days)
    assert list(told.values()) == [None, "MATERIALIZED", "MATERIALIZED"]


def test_events_of_two_dimensions_are_told_with_each_of_them(at_bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))

    (event,) = at_bank.events(at_bank.table("entries"), "b|2026-01-02")

    assert event.tags.items() >= {"dagster/partition/account": "b", "dagster/partition/day": "2026-01-02"}.items()
    assert at_bank.stale(at_bank.table("entries"), "b|2026-01-02") == []


def test_accounts_with_records_of_the_same_key_keep_them_apart(at_bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    for account in ("a/1", "b"):
        at_bank.run(f"{account}|2026-01-02", keys=both(at_bank, "entries"))

    assert entries(at_bank) == [
        *[("a/1", "2026-01-02", "a/1 2026-01-02")] * 2,
        *[("b", "2026-01-02", "b 2026-01-02")] * 2,
    ]


def test_an_account_that_is_gone_keeps_its_rows_and_is_not_asked_for_any_more(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))
    bank.accounts = ["a/1", "c"]

    at_bank.run(keys=both(at_bank, "accounts"))

    assert set(at_bank.instance.get_dynamic_partitions("shop.accounts.id")) == {"a/1", "b", "c"}
    assert {account for account, _, _ in entries(at_bank)} == {"b"}
    runs = planned(at_bank, [ENTRIES], Wanted("2026-01-02", "2026-01-03"))
    assert [(run.first, run.last) for run in runs] == [
        ("a/1|2026-01-02", "a/1|2026-01-03"),
        ("c|2026-01-02", "c|2026-01-03"),
    ]


def test_an_account_that_is_forbidden_leaves_the_others(at_bank, bank):
    bank.forbidden = ["/accounts/a%2F1/cards"]

    at_bank.run("a/1", "b", keys=both(at_bank, "cards"), fails=True)

    assert at_bank.statuses(at_bank.table("cards"), "a/1", "b") == {"a/1": "FAILED", "b": "MATERIALIZED"}


def test_that_nothing_is_listed_any_more_is_no_silent_end(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))
    fine = at_bank.check("entries", "complete")["complete"]
    bank.accounts = []
    at_bank.run(keys=both(at_bank, "accounts"))

    found = at_bank.check("entries", "complete")["complete"]

    assert fine.passed
    assert not found.passed
    assert found.description == (
        "nothing is asked for any more: the table of shop.accounts lists none, and partitions were fetched before (1). "
        "Next: ingest run shop.accounts; where that is right, take the endpoint out of the file"
    )


def test_a_sensor_says_where_nothing_is_listed(at_bank, bank):
    bank.accounts = []
    at_bank.run(keys=both(at_bank, "accounts"))
    now = datetime.now(UTC)

    asked = asks(at_bank.source, line(at_bank).known(""), Going(), now, now)

    assert "entries: it has no partitions: shop.accounts lists none" in asked.notes


def test_accounts_of_which_none_is_left_are_not_late(at_bank, bank):
    at_bank.text = at_bank.text.replace("account: [a/1, b]", "account: {endpoint: accounts, field: id}", 1)
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b", keys=both(at_bank, "cards"))
    at_bank.spoil("UPDATE w._ingest.fetches SET ended = ended - INTERVAL 30 HOUR")
    late = at_bank.check("cards", "fresh")["fresh"]
    bank.accounts = []
    at_bank.run(keys=both(at_bank, "accounts"))

    assert not late.passed
    assert at_bank.check("cards", "fresh")["fresh"].passed


def test_a_new_dagster_is_told_of_all_accounts_that_anything_was_fetched_of(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))
    bank.accounts = ["a/1"]
    at_bank.run(keys=both(at_bank, "accounts"))

    with dg.DagsterInstance.ephemeral() as fresh:
        new = add_listed_by(fresh, line(at_bank), "accounts")

        assert new == {"shop.accounts.id": ["a/1", "b"]}
        assert add_listed_by(fresh, line(at_bank), "accounts") == {"shop.accounts.id": []}


def planned(lab, names, wanted: Wanted | None = None):
    here = line(lab)
    return plan(
        {"shop": lab.source},
        names,
        wanted or Wanted(),
        lambda name: here.fetches(name[1]),
        datetime(2026, 1, 5, 6, tzinfo=UTC),
        lambda name: here.members(name[1]),
    )


def test_a_listing_comes_before_what_it_lists(at_bank):
    assert stages({"shop": at_bank.source}, [ENTRIES, ACCOUNTS, CARDS]) == [[ACCOUNTS, CARDS], [ENTRIES]]


def test_one_command_loads_the_listing_and_then_what_it_lists(kept_lab, bank, monkeypatch):
    kept_lab.text = BANK.format(url=bank.url)
    monkeypatch.setenv("DAGSTER_HOME", str(kept_lab.folder / "dagster"))
    sources = {"shop": kept_lab.source}
    runs = (run for names in stages(sources, [ENTRIES, ACCOUNTS]) for run in planned(kept_lab, names))

    done = materialize(sources, runs, kept_lab.data, Unwatched())

    assert done.succeeded
    assert len(done.runs) == 3  # the accounts, and the days of each of two
    assert kept_lab.rows("SELECT count(DISTINCT account) FROM shop.entries") == [(2,)]


BY_DAY = """\
  entries:
    path: /accounts/b/entries
    window: {{from: from, until: until, format: date}}
    partitions: {{every: day, start: "2026-01-01"}}
    changes: immutable
    primary_key: [day, id]
    columns: {{day: {{type: date, from_partition: day}}}}
"""
BY_ACCOUNT = """\
  entries:
    path: /accounts/{{account}}/cards
    partitions: {{by: {{account: {{endpoint: accounts, field: id}}}}}}
    write: replace_partition
"""


@pytest.mark.parametrize("now", [BANK, BANK[: BANK.index("  entries:")] + BY_ACCOUNT])
def test_a_listing_is_loaded_though_what_it_lists_was_loaded_under_other_partitions(at_bank, bank, now):
    at_bank.text = (BANK[: BANK.index("  entries:")] + BY_DAY).format(url=bank.url)
    at_bank.run("2026-01-02", keys=both(at_bank, "entries"))
    at_bank.text = now.format(url=bank.url)

    at_bank.run(keys=both(at_bank, "accounts"))

    assert set(at_bank.instance.get_dynamic_partitions("shop.accounts.id")) == {"a/1", "b"}


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Wanted("2026-01-02", "2026-01-02", by={"account": "b"}), [("b|2026-01-02", "b|2026-01-02")]),
        (Wanted(by={"account": "b"}), [("b|2026-01-01", "b|2026-01-04")]),
    ],
)
def test_one_account_can_be_meant_alone(at_bank, wanted, keys):
    at_bank.run(keys=both(at_bank, "accounts"))

    assert [(run.first, run.last) for run in planned(at_bank, [ENTRIES, ACCOUNTS], wanted)[:1]] == keys


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ({"account": "z"}, "shop.entries: 'z' is no account; there are a/1, b"),
        ({"shop": "b"}, "nothing that is meant is partitioned by 'shop'; there are account"),
    ],
)
def test_an_account_that_there_is_not_is_told(at_bank, by, told):
    at_bank.run(keys=both(at_bank, "accounts"))

    with pytest.raises(ConfigError, match=told):
        planned(at_bank, [ENTRIES], Wanted(by=by))


def test_schedules_ask_for_each_account_by_itself(kept_lab, bank):
    lab = kept_lab
    lab.text = BANK.format(url=bank.url)
    lab.run(keys=both(lab, "accounts"))
    known = lab.definitions()
    names = {schedule.name for schedule in known.get_repository_def().schedule_defs}

    with dg.build_schedule_context(
        lab.instance,
        scheduled_execution_time=datetime(2026, 1, 9, 2, 30, tzinfo=UTC),
        resources={"api": Api(data=str(lab.data)), "warehouse": lab.warehouse},
        repository_def=known.get_repository_def(),
    ) as context:
        tick = known.resolve_schedule_def("shop_days_by_account_schedule").evaluate_tick(context)

    assert names == {
        "shop_days_by_account_schedule",
        "shop_by_account_schedule",
        "shop_listings_and_feeds_schedule",
    }
    ends = [f"dagster/asset_partition_range_{end}" for end in ("start", "end")]
    assert [[request.tags[end] for end in ends] for request in tick.run_requests] == [
        ["a/1|2026-01-02", "a/1|2026-01-08"],
        ["b|2026-01-02", "b|2026-01-08"],
    ]


def evaluated(lab, name):
    """What a sensor does now."""
    known = lab.definitions()
    resources = {"api": Api(data=str(lab.data)), "warehouse": lab.warehouse}
    with dg.build_sensor_context(
        lab.instance, resources=resources, repository_def=known.get_repository_def()
    ) as context:
        return known.resolve_sensor_def(name).evaluate_tick(context)


def test_a_sensor_adds_partitions_as_the_table_that_lists_them_grows(at_bank, bank):
    before = evaluated(at_bank, "shop_partitions_sensor")
    line(at_bank).fetch("accounts", None)
    line(at_bank).load("accounts", None)

    added = evaluated(at_bank, "shop_partitions_sensor")

    (request,) = added.dynamic_partitions_requests
    assert (request.partitions_def_name, list(request.partition_keys)) == ("shop.accounts.id", ["a/1", "b"])
    assert before.skip_message == "Dagster knows all that is listed"


def test_the_sensor_adds_what_either_of_two_endpoints_has_of_a_listing(at_bank, bank):
    cards = "    partitions: {{by: {{account: {listing}}}}}\n    write: replace_partition"
    at_bank.text = at_bank.text.replace(
        cards.format(listing="[a/1, b]"), cards.format(listing="{endpoint: accounts, field: id}")
    )
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))
    bank.accounts = ["a/1"]
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.instance.wipe()
    for account in ("a/1", "b"):
        at_bank.instance.delete_dynamic_partition("shop.accounts.id", account)

    added = evaluated(at_bank, "shop_partitions_sensor").dynamic_partitions_requests

    assert [list(request.partition_keys) for request in added] == [["a/1", "b"]]


def test_what_dagster_knows_of_a_listing_is_not_added_again(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    bank.accounts = ["b", "c"]
    line(at_bank).fetch("accounts", None)
    line(at_bank).load("accounts", None)

    added = evaluated(at_bank, "shop_partitions_sensor").dynamic_partitions_requests
    at_bank.instance.add_dynamic_partitions("shop.accounts.id", ["c"])

    assert [list(request.partition_keys) for request in added] == [["c"]]
    assert evaluated(at_bank, "shop_partitions_sensor").skip_message == "Dagster knows all that is listed"


def test_the_sensor_asks_for_the_newest_days_of_each_account_and_the_daemon_could_run_them(at_bank, bank):
    start = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    at_bank.text = at_bank.text.replace("2026-01-01", start)
    first = evaluated(at_bank, "shop_sensor").run_requests
    line(at_bank).fetch("accounts", None)
    line(at_bank).load("accounts", None)

    second = evaluated(at_bank, "shop_sensor").run_requests

    assert {key.path[-1] for request in first for key in request.asset_selection} == {"accounts", "cards", "news"}
    days = [one for one in second if one.job_name == "shop_days_by_account"]
    assert {one.tags["dagster/asset_partition_range_start"].split("|")[0] for one in days} == {"a/1", "b"}
    for request in days:
        job = at_bank.definitions().resolve_job_def(request.job_name)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert job.execute_in_process(
            instance=at_bank.instance, asset_selection=request.asset_selection, tags=request.tags, run_config=quiet
        ).success
    assert {request.tags["dagster/priority"] for request in days} == {"10"}
    assert len({asked for asked in bank.asked if "entries?" in asked}) == 2 * 3


def ticked(lab, name):
    """What a schedule does."""
    known = lab.definitions()
    resources = {"api": Api(data=str(lab.data)), "warehouse": lab.warehouse}
    with dg.build_schedule_context(
        lab.instance,
        scheduled_execution_time=datetime.now(UTC),
        resources=resources,
        repository_def=known.get_repository_def(),
    ) as context:
        return known.resolve_schedule_def(name).evaluate_tick(context)


@pytest.fixture
def unlistable(at_bank, bank):
    """The bank lists an account that can be no partition, and has listed it: its listing has to be read again."""
    bank.accounts = ["b", "x|y"]
    yesterday = Line(at_bank.source, at_bank.data, run="r", now=lambda: datetime.now(UTC) - timedelta(days=2))
    yesterday.fetch("accounts", None)
    yesterday.load("accounts", None)
    return at_bank


WRONG = "entries: shop.accounts: 1 values of column 'id' are to be partitions"


def test_a_sensor_goes_on_asking_for_a_listing_of_which_a_value_can_be_no_partition(unlistable):
    requests = evaluated(unlistable, "shop_sensor").run_requests

    assert {key.path[-1] for one in requests for key in one.asset_selection} == {"accounts", "cards", "news"}
    assert evaluated(unlistable, "shop_partitions_sensor").skip_message.startswith(WRONG.removeprefix("entries: "))


def test_schedules_go_on_asking_for_a_listing_of_which_a_value_can_be_no_partition(kept_lab, unlistable):
    (request,) = ticked(unlistable, "shop_listings_and_feeds_schedule").run_requests

    assert {key.path[-1] for key in request.asset_selection} == {"accounts"}
    assert ticked(unlistable, "shop_days_by_account_schedule").skip_message.startswith(WRONG)


def test_a_column_that_is_not_there_cannot_be_listed(at_bank):
    at_bank.text = at_bank.text.replace("field: id", "field: key")
    result = at_bank.run(keys=both(at_bank, "accounts"), fails=True)

    (failure,) = [e.event_specific_data.error.to_string() for e in result.all_events if e.is_step_failure]
    assert "shop.accounts: its table has no column 'key' to list; it has id" in failure


def test_late_is_what_is_missing_of_an_account_that_is_there(at_bank, bank):
    at_bank.run(keys=both(at_bank, "accounts"))
    day = (datetime.now(UTC) - timedelta(hours=24 + 26)).date().isoformat()  # the last one that may not be missing
    at_bank.run(f"b|{day}", keys=both(at_bank, "entries"))

    late = at_bank.check("entries", "fresh")["fresh"].description
    bank.accounts = ["b"]
    at_bank.run(keys=both(at_bank, "accounts"))

    assert late.startswith(f"partition a/1|{day} is late")
    assert at_bank.check("entries", "fresh")["fresh"].passed


def test_of_accounts_the_one_that_nobody_asked_is_named(at_bank):
    at_bank.run("b", keys=both(at_bank, "cards"))

    found = at_bank.check("cards", "fresh")["fresh"]

    assert found.description.startswith("the last complete look of a/1 was never")


@pytest.mark.parametrize(
    ("accounts", "field", "told"),
    [(["b", "x|y"], "id", "1 values of column 'id' are to be partitions"), (["b"], "name", "has no column 'name'")],
)
def test_where_a_listing_cannot_be_read_one_check_says_so_and_the_others_are_made(at_bank, bank, accounts, field, told):
    at_bank.run(keys=both(at_bank, "accounts"))
    at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"))
    bank.accounts = accounts
    line(at_bank).fetch("accounts", None)
    line(at_bank).load("accounts", None)
    line(at_bank).publish()
    at_bank.text = at_bank.text.replace("field: id", f"field: {field}")

    found = at_bank.check("entries")

    assert told in found["fresh"].description
    assert found["unique_key"].passed
    assert found["complete"].passed


def test_an_open_period_passes_until_it_should_have_been_fetched_again(at_bank):
    at_bank.text = at_bank.text.replace('start: "2026-01-01", by', 'start: "2026-01-01", open: true, by')
    at_bank.run(keys=both(at_bank, "accounts"))
    now = datetime.now(UTC)
    for days, account in ((5, "a/1"), (0, "b")):
        moment = now - timedelta(days=days)
        then = Line(at_bank.source, at_bank.data, run="r", now=lambda moment=moment: moment)
        key = f"{account}|{moment.date().isoformat()}"
        with then.partition("entries", key):
            then.fetch("entries", key)
            then.load("entries", key)
        then.publish()

    found = at_bank.check("entries", "complete")["complete"]

    old = (now - timedelta(days=5)).date().isoformat()
    assert found.metadata["open"].value == 2
    assert found.description.startswith(f"partition a/1|{old} is open: it was fetched before it was over and settled")
    assert found.description.endswith(f"Next: ingest run shop.entries --partition 'a/1|{old}' --again")


def test_changed_partitions_stop_the_step_also_of_a_dagster_that_was_told_nothing(at_bank, bank):
    at_bank.text = (BANK[: BANK.index("  entries:")] + BY_DAY).format(url=bank.url)
    at_bank.run("2026-01-02", keys=both(at_bank, "entries"))
    now = BANK.replace("{{account: {{endpoint: accounts, field: id}}}}", "{{account: [a/1, b]}}")
    at_bank.text = now.format(url=bank.url)
    at_bank.instance.wipe()
    at_bank.instance.daemon_cursor_storage.set_cursor_values({"ingest/instance": "another"})

    result = at_bank.run("b|2026-01-02", keys=both(at_bank, "entries"), fails=True)

    (failure,) = [e.event_specific_data.error.to_string() for e in result.all_events if e.is_step_failure]
    assert "shop.entries: its file says partitions by day in UTC and account, and 1 kept fetch is of others" in failure


def test_of_changed_partitions_dagster_is_not_told_what_was_undone(at_bank, bank):
    at_bank.text = (BANK[: BANK.index("  entries:")] + BY_DAY).format(url=bank.url)
    for _ in range(2):
        at_bank.run("2026-01-02", keys=both(at_bank, "entries"))
    newest = line(at_bank).stored("entries", "2026-01-02")
    line(at_bank).undo("entries", [newest], "wrong")
    now = BANK.replace("{{account: {{endpoint: accounts, field: id}}}}", "{{account: [a/1, b]}}")
    at_bank.text = now.format(url=bank.url)
    here = line(at_bank)

    Undone(Reporter(here, "entries", versions(here.source, "entries"), at_bank.instance)).tell()

    assert len(at_bank.events(at_bank.raw("entries"))) == 2


def test_changed_partitions_stop_the_step_before_anything_is_asked(at_bank, bank):
    at_bank.run("a/1", "b", keys=both(at_bank, "cards"))
    at_bank.text = at_bank.text.replace(
        "    partitions: {by: {account: [a/1, b]}}\n    write: replace_partition", "    write: replace"
    )
    at_bank.text = at_bank.text.replace("/accounts/{account}/cards", "/accounts/b/cards")
    asked = list(bank.asked)

    result = at_bank.run(keys=both(at_bank, "cards"), fails=True)

    (failure,) = [e.event_specific_data.error.to_string() for e in result.all_events if e.is_step_failure]
    assert "shop.cards: its file says no partitions, and 2 kept fetches are of others, such as 'b'" in failure
    assert "ingest migrate shop.cards" in failure
    assert bank.asked == asked
    assert "ingest migrate shop.cards" in at_bank.check("cards", "partitions")["partitions"].description
