"""The kinds of parameters that several commands share."""

import sys
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ingest_assets.errors import ConfigError, TransientFailure

if TYPE_CHECKING:
    from ingest_assets.commands.run import Outcome

FAILED, MEND, LATER, INTERRUPTED = 1, 2, 75, 130

Command = TypeVar("Command", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A day, as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or an error that says what was expected."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; expected such as 2026-01-31", param, ctx)


DAY = Day()


def json_option(command: Command) -> Command:
    """Adds `--json`, as parameter `as_json`: one JSON document on stdout, see `ingest_assets.commands.output`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")(command)


def end(outcome: "Outcome") -> None:
    """End with the code that says what to do."""
    failures = outcome.failures
    if failures and all(isinstance(failure, TransientFailure) for failure in failures):
        sys.exit(LATER)
    if any(isinstance(failure, ConfigError) for failure in failures):
        sys.exit(MEND)
    if not outcome.succeeded:
        sys.exit(FAILED)
