"""What the README shows is so: its source file loads, its commands exist and run, its SQL and its asset work."""

import re
import shlex
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from ingest_assets import catalog
from ingest_assets.assets.resources import Warehouse
from ingest_assets.cli.main import main

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
