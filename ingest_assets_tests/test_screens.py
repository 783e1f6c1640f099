"""What people see: every screen fits a terminal of 80 columns, whole lines in a pipe, and examples that are right."""

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from ingest_assets.cli.main import main
from ingest_assets.errors import IngestError

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_EXAMPLE = re.compile(r"^ *(?:[A-Z_]+=\S+ )?ingest (.*?)(?:  .*|>.*)?$", re.MULTILINE)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, those of groups too, by the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(main))
EXAMPLES = {
    (*path, number): shlex.split(example)
    for path, command in ALL.items()
    for number, example in enumerate(_EXAMPLE.findall(command.help or ""))
}


@pytest.fixture
def terminal(here: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Shows a command's screen, as a terminal of so many columns does, in this process."""
    monkeypatch.chdir(here.folder)

    def shown(*arguments: str, columns: int | None = 80) -> list[str]:
        for name, value in (here.environment | {"DAGSTER_HOME": str(here.folder / "home")}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", str(columns or 80))
        if columns:
            monkeypatch.setenv("FORCE_COLOR", "1")
        else:
            monkeypatch.delenv("FORCE_COLOR", raising=False)
        capsys.readouterr()
        with contextlib.suppress(SystemExit, IngestError, click.ClickException):
            main([*arguments], standalone_mode=False, terminal_width=columns)
        return [_COLOURS.sub("", line) for line in capsys.readouterr().out.splitlines()]

    return shown


def test_every_screen_that_looks_fits_eighty_columns(here: Any, terminal: Any) -> None:
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"
    here.ingest("run", "stripe.customers")
    del here.more["STRIPE_API_KEY"]
    here.ingest("run", "stripe.invoices", "zendesk.users", "stripe.customers")
    key = str(here.ask("SELECT id FROM stripe.invoices LIMIT 1")[0][0])
    screens = [
        ("status",),
        ("sources",),
        ("check", "zendesk"),
        ("preview", "zendesk.users"),
        ("why", "stripe.invoices__lines__data", key),
        ("why", "stripe.invoices", "none"),
        ("trace", "stripe"),
        ("verify",),
        ("report",),
        ("du",),
        ("reader", "publish"),
        ("quarantine", "list"),
        ("run", "stripe.customers"),
    ]

    shown = {" ".join(screen): terminal(*screen) for screen in screens}

    assert too_long(shown) == {}
    assert all(shown.values())
    cut = "\n".join(line for name, lines in shown.items() for line in lines if not name.startswith("preview"))
    assert "…" not in cut


def too_long(shown: dict[str, list[str]]) -> dict[str, list[str]]:
    """The lines of each screen that do not fit."""
    long = {name: [line for line in lines if len(line) > 80] for name, lines in shown.items()}
    return {name: lines for name, lines in long.items() if lines}


def test_every_screen_that_mends_fits_eighty_columns(here: Any, terminal: Any) -> None:
    file = here.folder / "sources" / "stripe.yaml"
    unfit = "endpoints: {charges: {columns: {currency: {type: varchar, values: [florin]}}}}\n"
    file.write_text(file.read_text().partition("endpoints:")[0] + unfit)
    here.ingest("run", "stripe.charges", "--partition", "2026-11-18")
    here.ingest("run", "stripe.customers")
    [[*place]] = here.ask("SELECT _fetch, _page, _position FROM _ingest.quarantine LIMIT 1")
    key = str(here.ask("SELECT id FROM stripe.customers LIMIT 1")[0][0])
    screens = [
        ("quarantine", "list"),
        ("quarantine", "show", "stripe.charges", "/".join(map(str, place))),
        ("quarantine", "replay"),
        ("status",),
        ("undo", "stripe.charges"),
        ("undo", "stripe.charges", "--yes"),
        ("forget", "stripe.customers", key),
        ("forget", "stripe.customers", key, "--yes"),
        ("forget", "stripe.customers", key, "--lift"),
        ("migrate", "stripe.customers"),
        ("replay", "stripe.customers"),
        ("rebuild",),
        ("backup", str(here.folder / "backup")),
    ]

    shown = {" ".join(screen): terminal(*screen) for screen in screens}

    assert too_long(shown) == {}
    assert [name for name, lines in shown.items() if not lines] == []


def test_in_a_pipe_a_finding_is_one_line_and_a_wide_terminal_is_used(here: Any, terminal: Any) -> None:
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"
    here.ingest("run", "stripe.customers", "zendesk.users")

    pipe = terminal("status", columns=None)
    wide = terminal("status", columns=200)

    [finding] = [line for line in pipe if line.startswith("! stripe.customers:")]
    assert finding.rstrip().endswith("ingest run stripe.customers")
    assert max(map(len, pipe)) > 80
    assert 80 < max(map(len, wide)) <= 200
    assert "\x1b" not in "".join(pipe)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_help_fits_eighty_columns_and_has_an_example(terminal: Any, path: tuple[str, ...]) -> None:
    lines = terminal(*path, "--help")

    assert [line for line in lines if len(line) > 80] == []
    assert any(line.strip().startswith("ingest " + " ".join(path)) or " ingest " in line for line in lines[1:])


@pytest.mark.parametrize("words", EXAMPLES.values(), ids=" ".join)
def test_each_example_is_a_command_line_that_is_understood(words: list[str]) -> None:
    context, command, rest = click.Context(main, info_name="ingest", obj="data"), main, words

    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    if rest:
        command.make_context(command.name, [*rest], parent=context)


def test_a_reader_that_has_enough_ends_a_command_without_a_traceback(here: Any) -> None:
    process = here.start("sources")
    process.stdout.close()

    _, told = process.communicate(timeout=60)

    assert "Traceback" not in told
    assert "BrokenPipe" not in told


def test_an_error_in_a_terminal_is_broken_between_words(here: Any) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ingest_assets.cli", "run", "stripe.charges", "--partition", "2019-01-01"]
    terminal = here.environment | {"COLUMNS": "80", "TERM": "xterm"}

    code = subprocess.run(command, env=terminal, stderr=theirs, stdout=subprocess.DEVNULL, check=False).returncode
    os.close(theirs)
    told = os.read(ours, 100_000).decode()
    os.close(ours)

    assert code == 2
    assert [line for line in _COLOURS.sub("", told).splitlines() if len(line) > 80] == []
    assert "Traceback" not in told
