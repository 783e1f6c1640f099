"""What the README shows is so: its source file loads, its commands exist and run, its SQL and its asset work."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from ingest_assets import catalog
from ingest_assets.assets.resources import Warehouse
from ingest_assets.cli.main import main
from ingest_assets_tests.loopback import Replying, serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The README's examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shop(here: Any) -> None:
    """The README's source file, led to this test's sandbox."""
    text = blocks("yaml")[0].replace("http://127.0.0.1:8765", here.url).replace("requests: 25,", "requests: 2500,")
    (here.folder / "sources" / "shop.yaml").write_text(text)
    here.more["INGEST_ONLY"] = "shop"


def test_the_source_file_has_fifteen_lines_and_loads(tmp_path: Path) -> None:
    lines = [line for line in blocks("yaml")[0].splitlines() if not line.startswith("#")]
    file = tmp_path / "shop.yaml"
    file.write_text("\n".join(lines))

    source = catalog.load(file)

    assert len(lines) == 15
    assert list(source.endpoints) == ["charges"]


def test_the_source_file_is_checked_previewed_and_run_and_its_query_tells_where_rows_came_from(here: Any) -> None:
    shop(here)

    told = [here.ingest(*command) for command in (("check", "shop"), ("preview", "shop.charges"), ("run", "shop"))]
    rows = here.ask(blocks("sql")[0])

    assert [one.returncode for one in told] == [0, 0, 0], told
    assert len(rows) == 3


def test_the_asset_reads_a_partition_as_a_data_frame(here: Any, capsys: Any) -> None:
    shop(here)
    here.ingest("run", "shop", "--from", "2026-11-18", "--to", "2026-11-19")
    text = blocks("python")[0].replace("2026-01-07", "2026-11-18")
    defined: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), defined)  # noqa: S102 -- the README's own example

    result = dg.materialize([defined["revenue"]], resources={"warehouse": Warehouse(data=str(here.data))})

    expected = here.ask(
        "SELECT sum(amount)::BIGINT FROM shop.charges JOIN _ingest.fetches USING (_fetch) "
        "WHERE partition = '2026-11-18'"
    )[0][0]
    assert result.success
    assert str(expected) in capsys.readouterr().out


def test_every_ingest_command_of_the_readme_is_one_with_these_options(here: Any) -> None:
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("ingest ")]
    known = {name: here.ingest(name, "--help").stdout for name in {command[1] for command in commands}}

    assert len(commands) >= 6
    for command in commands:
        for option in (word for word in command[2:] if word.startswith("--")):
            assert option in known[command[1]], command


def test_the_file_of_partitions_is_one_with_the_keys_that_are_told(tmp_path: Path) -> None:
    text = next(block for block in blocks("yaml") if block.startswith("# connectors/ledger.yaml"))
    (tmp_path / "ledger.yaml").write_text(text)
    entries = catalog.load(tmp_path / "ledger.yaml").endpoints["entries"]

    (key,) = re.findall(r'--partition "(.*?)"', README)

    assert entries.partitions is not None
    assert entries.partitions.dimensions == ("account", "hour")
    assert [moment.isoformat() for moment in entries.bounds(key) or ()] == [
        "2026-01-07T05:00:00+01:00",
        "2026-01-07T06:00:00+01:00",
    ]
    assert entries.periods is not None
    assert all(entries.periods.holds(told) for told in re.findall(r"`(2026-10-25-02:00\S*)`", README))


def test_every_make_target_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", README, re.MULTILINE))

    assert {"run", "test", "check", "clean-demo", "test-long"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_the_message_of_a_mistake_is_the_one_shown(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(blocks("yaml")[0].replace("has_more: has_more", "has_mor: has_more"))
    shown = re.search(r"connectors/shop\.yaml:(\d+: .*)", README)

    try:
        catalog.load(file)
    except Exception as error:  # noqa: BLE001 -- whatever it is, its text is compared
        told = str(error)

    assert shown is not None
    assert shown[1] in told


def test_every_picture_and_page_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\(([^)#]+)\)", README)

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_shown_reader_copy_is_one_that_opens(here: Any) -> None:
    shop(here)
    here.ingest("run", "shop", "--partition", "2026-11-19")

    with duckdb.connect(str(here.data / "warehouse.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM shop.charges").fetchall()[0][0] > 0


def test_the_table_of_commands_names_them_all() -> None:
    rows = re.findall(r"^\| (`ingest .*?) \|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(?:ingest )?([a-z]+)", row)}

    assert named == set(main.commands)


def examples(word: str) -> list[str]:
    """The lines of the README's examples for a shell that hold a word, without what is said of them."""
    lines = (line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines())
    return [line for line in lines if word in line]


class Ledger(Replying):
    """Two accounts, and an entry an hour in each of them."""

    def get(self) -> None:
        entries = self.path.endswith("/accounts") is False
        self.send(200, [{"id": "e-1", "amount": 5}] if entries else [{"id": "eu"}, {"id": "us"}])


def test_the_commands_on_partitions_run_and_changed_ones_are_migrated(here: Any) -> None:
    file = here.folder / "sources" / "ledger.yaml"
    text = next(block for block in blocks("yaml") if block.startswith("# connectors/ledger.yaml"))
    with serving(Ledger) as server:
        file.write_text(text.replace("https://ledger.example/v1", server.url))
        here.more["INGEST_ONLY"] = "ledger"
        listed = here.ingest("run", "ledger.accounts")
        commands = [shlex.split(line)[1:] for line in examples("ingest run ledger")]
        # The first one asks for ten weeks of hours: two of them are enough here.
        commands[0] = [{"2026-03-15": "2026-01-01-01:00"}.get(word, word) for word in commands[0]]

        told = [here.ingest(*command) for command in commands]
        fetched = here.ask("SELECT partition[:2], count(*) FROM _ingest.fetches WHERE endpoint = 'entries' GROUP BY 1")

    file.write_text(file.read_text().replace("every: hour", "every: day"))
    refused = here.ingest("run", "ledger.entries", "--by", "account=eu", "--from", "2026-01-01", "--to", "2026-01-01")
    migrated = here.ingest("migrate", "ledger.entries", "--yes")

    assert [listed.returncode, *(one.returncode for one in told)] == [0, 0, 0], told
    assert fetched == [("eu", 3)]
    assert (refused.returncode, "ingest migrate ledger.entries" in refused.stdout + refused.stderr) == (2, True)
    assert migrated.returncode == 0
    assert list((here.data / "archive").glob("*/*/*"))


def test_the_commands_that_forget_a_person_erase_the_rows(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    here.ingest("run", "stripe.charges")
    ((person,),) = here.ask("SELECT customer FROM stripe.charges JOIN stripe.customers AS c ON c.id = customer LIMIT 1")
    commands = [shlex.split(line.replace("cus_123", person))[1:] for line in examples("ingest forget")]

    told = [here.ingest(*command) for command in commands]

    assert [one.returncode for one in told] == [2, 0, 0], told
    assert (person,) not in here.ask("SELECT id FROM stripe.customers")
    assert (person,) not in here.ask("SELECT customer FROM stripe.charges")


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed here")
def test_the_documents_are_what_the_shown_programs_of_jq_read(here: Any) -> None:
    here.ingest("run", "stripe.charges", "--partition", "2026-11-19")
    ((charge,),) = here.ask("SELECT id FROM stripe.charges LIMIT 1")
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"
    told = {}

    for line in examples("| jq"):
        command, _, program = line.replace("ch_1", str(charge)).partition(" | ")
        document = here.ingest(*shlex.split(command)[1:]).stdout
        told[shlex.split(command)[1]] = subprocess.run(
            shlex.split(program), input=document, text=True, capture_output=True, check=True
        ).stdout

    assert '"endpoint": "stripe.customers"' in told["status"]
    assert told["why"].startswith(f"{here.url}/stripe/v1/charges?")
    assert "HTTP 401" in told["run"]
