"""The kinds of parameters that several commands share."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ingest_assets.errors import ConfigError, TransientFailure
from ingest_assets.periods import ANY_PERIOD

if TYPE_CHECKING:
    from ingest_assets.commands.output import Output
    from ingest_assets.commands.run import Outcome

FAILED, MEND, LATER, INTERRUPTED = 1, 2, 75, 130

LAST_PORT = 65_535
PORT = click.IntRange(1, LAST_PORT)
SHOWN = click.IntRange(1, 1_000_000)
"""How many of something to show at most."""

_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)
_MOST_TIMES = 1_000_000
_OLDEST = timedelta(days=365 * 1000)

Command = TypeVar("Command", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A day, as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or an error that says what was expected."""
        try:
            told = value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; expected such as 2026-01-31", param, ctx)
        if not _FIRST_DAY <= told <= _LAST_DAY:
            self.fail(f"{value!r} is none of the days from {_FIRST_DAY} to {_LAST_DAY}", param, ctx)
        return told


DAY = Day()


class Said(click.ParamType[str]):
    """A text that is not empty: that would be taken for an option that was not given, or for something else."""

    def __init__(self, name: str, such_as: str) -> None:
        self.name, self._such_as = name, such_as

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself, or an error that says what was expected."""
        if not value.strip():
            self.fail(f"{value!r} is no {self.name}; expected such as {self._such_as}", param, ctx)
        return value


PARTITION = Said("partition", "2026-01-31")
HOST = Said("host", "127.0.0.1")


class Folder(click.ParamType[Path]):
    """The path of a folder, which may be missing."""

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, or an error that says what was expected."""
        if not str(value).strip():
            self.fail(f"{value!r} is no folder; expected a path, or . for this one", param, ctx)
        return Path(value)


FOLDER = Folder()


class Factor(click.ParamType[float]):
    """A number to multiply by, above 0."""

    name = "factor"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or an error that says what was expected."""
        try:
            told = float(value)
        except ValueError:
            told = 0.0
        if not 0 < told <= _MOST_TIMES:
            self.fail(f"{value!r} is no factor; expected a number above 0 and up to {_MOST_TIMES:,}", param, ctx)
        return told


FACTOR = Factor()


class Age(click.ParamType[timedelta]):
    """A duration, as a source file writes it."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration, or an error that says what was expected."""
        from pydantic import TypeAdapter, ValidationError

        from ingest_assets.durations import Duration

        try:
            told: timedelta = TypeAdapter(Duration).validate_python(value)
        except ValidationError as error:
            self.fail(f"{value!r} is no duration: {error.errors()[0]['msg'].removeprefix('Value error, ')}", param, ctx)
        if told > _OLDEST:
            self.fail(f"{value!r} is no age; expected one of up to {_OLDEST.days // 365} years", param, ctx)
        return told


AGE = Age()


class Moment(click.ParamType[datetime]):
    """A day, or a time with or without its offset; UTC where that is not said."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time in UTC, or an error that says what was expected."""
        try:
            told = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        except (ValueError, OverflowError):  # in UTC, it may be before the year 1 or after 9999
            self.fail(f"{value!r} is no time; expected such as 2026-01-31 or 2026-01-31T18:00Z", param, ctx)


MOMENT = Moment()


class Time(click.ParamType[str]):
    """A month, a day, or an hour, as a person writes it."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself, or an error that says what was expected."""
        try:
            ANY_PERIOD.span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


TIME = Time()


class Member(click.ParamType[tuple[str, str]]):
    """A dimension and one of its values, as NAME=VALUE."""

    name = "name=value"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Name and value, or an error that says what was expected."""
        if isinstance(value, tuple):
            return value
        name, sign, told = value.partition("=")
        if not (name and sign and told):
            self.fail(f"{value!r} is no NAME=VALUE; expected such as account=eu", param, ctx)
        return name, told


MEMBER = Member()


class Names(click.ParamType[str]):
    """The name of a source, or with `endpoints` of one of its endpoints; the shell offers those that there are."""

    name = "name"

    def __init__(self, *, endpoints: bool) -> None:
        self.endpoints = endpoints

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin so."""
        from ingest_assets.commands.completing import names

        return [CompletionItem(name) for name in names(incomplete, endpoints=self.endpoints)]


SOURCES = Names(endpoints=False)
SOURCES_AND_ENDPOINTS = Names(endpoints=True)


def json_option(command: Command) -> Command:
    """Adds `--json`, as parameter `as_json`: one JSON document on stdout, see `ingest_assets.commands.output`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")(command)


def yes_option(command: Command) -> Command:
    """Adds `--yes`: do what removes something without asking."""
    return click.option("--yes", is_flag=True, help="Do it without asking.")(command)


def end(outcome: "Outcome") -> None:
    """End with the code that says what to do."""
    failures = outcome.failures
    if failures and all(isinstance(failure, TransientFailure) for failure in failures):
        sys.exit(LATER)
    if any(isinstance(failure, ConfigError) for failure in failures):
        sys.exit(MEND)
    if not outcome.succeeded:
        sys.exit(FAILED)


def agree(told: dict[str, Any], out: "Output", *, yes: bool, as_json: bool) -> None:
    """Go on with what was shown, as --yes says or who sits at the terminal; else end here."""
    if yes:
        return
    if sys.stdin.isatty() and not as_json:
        if click.confirm("\nGo on?"):
            return
        click.echo("Nothing is done", err=True)
    else:
        click.echo("\nNothing is done yet. Say --yes to do it", err=True)
    out.document(told | {"done": False}, ok=False)
    sys.exit(MEND)
