"""`ingest du`, `ingest reader publish`, `ingest completion`: what looks after the data folder and the shell."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_assets import catalog
from ingest_assets.cli.main import main
from ingest_assets.commands.completing import names
from ingest_assets.load.warehouse import Warehouse


def document(told: Any) -> dict[str, Any]:
    """The one JSON document that a command printed."""
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def measured(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_du_counts_every_byte_of_responses_and_shares_the_blocks_of_the_tables(here: Any) -> None:
    here.ingest("run", "stripe.customers", "zendesk.users")

    told = document(here.ingest("du", "--json"))
    one = document(here.ingest("du", "zendesk", "--json"))["endpoints"]

    by_name = {e["endpoint"]: e for e in told["endpoints"]}
    raw = here.data / "raw"
    assert {name: e["response_bytes"] for name, e in by_name.items()} == {
        "stripe.customers": measured(raw / "stripe" / "customers"),
        "zendesk.users": measured(raw / "zendesk" / "users"),
    }
    assert all(e["table_bytes"] > 0 for e in by_name.values())
    assert sum(e["table_bytes"] for e in by_name.values()) < told["bytes"]["reader"]
    assert told["bytes"]["responses"] == measured(raw)
    assert one == [by_name["zendesk.users"]]


def test_du_names_fetches_that_nothing_needs_and_removing_them_changes_no_table(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"
    here.ingest("run", "stripe.customers")
    del here.more["STRIPE_API_KEY"]
    here.ingest("run", "stripe.customers")
    before = here.tables(lineage=False)

    [one] = document(here.ingest("du", "--json"))["endpoints"]
    for folder in one["unneeded"]:
        Path(folder).rename(here.folder / Path(folder).name)
    rebuilt = here.ingest("replay", "stripe.customers", "--all")

    assert (one["fetches"], [Path(folder).name for folder in one["unneeded"]]) == (3, ["2"])
    assert one["unneeded_bytes"] > 0
    assert rebuilt.returncode == 0, rebuilt.stdout
    assert here.tables(lineage=False) == before


def test_du_before_anything_is_there_says_so_without_an_error(here: Any) -> None:
    told = here.ingest("du")

    assert told.returncode == 0
    assert "free" in told.stdout


def test_publish_says_what_it_published_and_that_nothing_is_new(here: Any) -> None:
    nothing = here.ingest("reader", "publish", "--json")
    here.ingest("run", "stripe.customers")
    current = here.ingest("reader", "publish", "--json")
    (here.data / "warehouse.duckdb").unlink()
    published = here.ingest("reader", "publish", "--json")

    assert (nothing.returncode, document(nothing)["published"]) == (1, False)
    assert (current.returncode, document(current)["published"]) == (0, False)
    assert (published.returncode, document(published)["published"]) == (0, True)
    assert document(published)["new_loads"] == 1
    assert here.ask("SELECT count(*) > 0 FROM stripe.customers") == [(True,)]


def test_publish_names_who_keeps_the_warehouse_to_itself(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path, wait_seconds=0.1)
    with warehouse.session("writing"):
        pass

    with warehouse.alone("a long load"), pytest.raises(Exception, match="a long load"):
        warehouse.publish()


def completed(here: Any, words: str, at: int) -> tuple[list[str], float]:
    """What a Tab offers, and the processor's seconds that it took."""
    before = os.times()
    told = subprocess.run(
        [Path(sys.executable).with_name("ingest")],
        env=here.environment | {"COMP_WORDS": words, "COMP_CWORD": str(at), "_INGEST_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    return [line.partition(",")[2] for line in told.stdout.splitlines()], took


@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        ("ingest rep", 1, ["replay", "report"]),
        ("ingest run zend", 2, ["zendesk", "zendesk.users", "zendesk.tickets"]),
        ("ingest why mixpanel.e", 2, ["mixpanel.events"]),
        ("ingest check m", 2, ["mixpanel"]),
        ("ingest run stripe --ag", 3, ["--again"]),
    ],
)
def test_a_tab_offers_commands_options_sources_and_endpoints(
    here: Any, words: str, at: int, offered: list[str]
) -> None:
    found, seconds = completed(here, words, at)

    assert sorted(found) == sorted(offered)
    assert seconds < 0.3


def test_a_tab_imports_nothing_slow(here: Any) -> None:
    code = (
        "import os, sys\n"
        "os.environ.update(COMP_WORDS='ingest run stripe.', COMP_CWORD='2', _INGEST_COMPLETE='bash_complete')\n"
        "sys.argv = ['ingest']\n"
        "from ingest_assets.cli import entry\n"
        "try: entry()\n"
        "except SystemExit: print(sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr)\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code], env=here.environment, capture_output=True, text=True, check=True
    )

    slow = {"dagster", "duckdb", "pandas", "numpy", "pydantic", "requests", "pyarrow", "rich"}
    assert slow & set(eval(told.stderr)) == set()  # noqa: S307 -- a list that this very test printed
    assert "stripe.charges" in told.stdout


def test_a_tab_offers_just_what_the_catalog_has(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.folder / "sources" / "europe.yaml").write_text("like: stripe\nendpoints: {charges: null}\n")
    for name, value in here.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("INGEST_ONLY")

    sources = catalog.sources()

    assert names("", endpoints=False) == list(sources)
    for name, source in sources.items():
        assert sorted(names(f"{name}.", endpoints=True)) == sorted(f"{name}.{e}" for e in source.endpoints)


def test_a_wrong_file_offers_nothing_and_fails_nothing(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.folder / "sources" / "stripe.yaml").write_text("like: [\n")
    for name, value in here.environment.items():
        monkeypatch.setenv(name, value)

    assert names("stripe.", endpoints=True) == []
    assert names("zend", endpoints=False) == ["zendesk"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_the_installed_command(here: Any, shell: str) -> None:
    told = here.ingest("completion", shell)

    assert told.returncode == 0
    assert f"_INGEST_COMPLETE={shell}_complete" in told.stdout


def test_every_command_is_in_a_section_of_the_help(here: Any) -> None:
    told = here.ingest("--help").stdout

    assert [name for name in main.commands if f"\n  {name} " not in told] == []


@pytest.mark.parametrize("command", ["du", "verify"])
def test_a_misspelt_name_is_no_empty_success(here: Any, command: str) -> None:
    here.ingest("run", "stripe.customers")

    told = here.ingest(command, "stripe.customer")

    assert told.returncode == 2
    assert "nothing is stored of 'stripe.customer'; did you mean 'stripe.customers'?" in told.stderr
