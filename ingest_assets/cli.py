"""The `ingest` command: what it can be asked. What it then does is in `ingest_assets.commands`.

Exit codes: 0 done; 1 something failed, or is wrong with the data; 2 mend a file, a setting or the command line;
75 try again later: an API or a lock asks for patience; 130 interrupted.
"""

import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from ingest_assets import catalog
from ingest_assets.errors import ConfigError, IngestError, TransientFailure
from ingest_assets.source import Source

if TYPE_CHECKING:
    from ingest_assets.commands.run import Outcome

FAILED, MEND, LATER, INTERRUPTED = 1, 2, 75, 130


class _Day(click.ParamType[date]):
    """A day, as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or an error that says what was expected."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; expected such as 2026-01-31", param, ctx)


_DAY = _Day()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data", envvar="INGEST_DATA", default="data", show_default=True, help="Folder of warehouse and snapshots."
)
@click.version_option(package_name="ingest-assets")
@click.pass_context
def main(context: click.Context, data: str) -> None:
    """HTTP APIs as Dagster assets, in DuckDB: one short YAML file a source.

    \b
    ingest check stripe                        is the file right, are the keys there?
    ingest run stripe.charges                  fetch and load what is due
    ingest status                              what is wrong, and what to do
    """
    context.obj = data


@main.command(short_help="Fetch and load what is due.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1)
@click.option("--partition", type=_DAY, help="One day.")
@click.option("--from", "first", type=_DAY, help="First day.")
@click.option("--to", "last", type=_DAY, help="Last day, included; by default the last closed one.")
@click.option("--again", is_flag=True, help="Fetch days that are complete, too.")
@click.option("--since", default="", help="Feeds that go on by time: begin again at this date or time.")
@click.pass_obj
def run(
    data: str,
    names: tuple[str, ...],
    partition: date | None,
    first: date | None,
    last: date | None,
    again: bool,
    since: str,
) -> None:
    """Fetch and load, through the Dagster instance.

    Without days: those since the newest one that is loaded, and those that may have changed since. Closed days that
    are complete are left alone, unless --again says otherwise. Safe to interrupt, and to repeat.

    \b
    ingest run stripe --from 2026-01-01 --to 2026-01-31
    ingest run stripe.charges --partition 2026-01-07 --again
    """
    from ingest_assets.assets.launch import catch_up
    from ingest_assets.assets.plan import Wanted, chosen, plan
    from ingest_assets.commands import environment
    from ingest_assets.commands import run as running

    if partition is not None and (first is not None or last is not None):
        raise click.UsageError("--partition names one day, --from and --to a range: say one of them")
    console, folder, sources = Console(highlight=False), environment.settle(data), catalog.sources()
    wanted = chosen(sources, names)
    days = Wanted(partition or first, partition or last, again)
    catch_up(sources, wanted, folder)
    ranges = plan(sources, wanted, days, lambda name: running.fetches(folder, sources, name), datetime.now(UTC))
    if not ranges:
        console.print("Nothing is due: all closed days are complete. Fetch them anyway by --again")
        return
    _end(running.run(sources, ranges, folder, console, since=since))


@main.command(short_help="Load again what is stored.")
@click.argument("name", metavar="SOURCE.ENDPOINT")
@click.option("--partition", type=_DAY, help="One day.")
@click.option("--all", "every", is_flag=True, help="All that is stored, not only what is out of date.")
@click.pass_obj
def replay(data: str, name: str, partition: date | None, every: bool) -> None:
    """Load again what is stored, with no request: after a contract changed, or to empty quarantine.

    \b
    ingest replay stripe.charges
    """
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import run as running
    from ingest_assets.commands.replay import ranges_to_replay

    console, folder, sources = Console(highlight=False), environment.settle(data), catalog.sources()
    wanted = one(sources, name)
    ranges = ranges_to_replay(sources[wanted[0]], wanted, folder, partition, every=every)
    if not ranges:
        console.print("Nothing is out of date or in quarantine. Replay all that is stored by --all")
        return
    _end(running.run(sources, ranges, folder, console, tables_only=True))


@main.command(short_help="What is wrong, and what to do.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1)
@click.pass_obj
def status(data: str, names: tuple[str, ...]) -> None:
    """What is incomplete, quarantined, late or out of date, since when, and the next step. Exit code 1 if anything is.

    \b
    ingest status stripe
    """
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment, status

    sources = catalog.sources()
    if not status.status(sources, chosen(sources, names), environment.settle(data), Console(highlight=False)):
        sys.exit(FAILED)


@main.command(short_help="List sources and endpoints.")
def sources() -> None:
    """The sources that there are, with their endpoints and files.

    \b
    INGEST_SOURCES=my/connectors ingest sources
    """
    from ingest_assets.commands.terminal import table

    files = catalog.files()
    rows = [
        (
            f"{source.name}.{name}",
            "window" if e.window else "feed" if e.feed else "listing",
            e.write,
            ", ".join(e.primary_key),
            str(files[source.name]),
        )
        for source in catalog.sources().values()
        for name, e in source.endpoints.items()
    ]
    Console(highlight=False).print(table(("endpoint", "changes come as", "write", "key", "file"), rows))


@main.command(short_help="Is a source file right? One page an endpoint.")
@click.argument("source")
def check(source: str) -> None:
    """Is the file right, are the secrets there, does the API answer? One page an endpoint; nothing is written.

    SOURCE is a name, or the path of a file.

    \b
    ingest check stripe
    ingest check my/connectors/github.yaml
    """
    from ingest_assets.commands.check import check

    if not check(_source(source), Console(highlight=False)):
        sys.exit(FAILED)


@main.command(short_help="The first records as rows, with types to declare.")
@click.argument("name", metavar="SOURCE.ENDPOINT")
@click.option("--rows", default=3, show_default=True, help="How many records to show.")
@click.option("--partition", type=_DAY, help="The day to ask for; by default the last closed one.")
def preview(name: str, rows: int, partition: date | None) -> None:
    """The first records as rows, with types to declare; nothing is written.

    \b
    ingest preview stripe.charges --rows 5
    """
    from ingest_assets.assets.plan import one
    from ingest_assets.commands.check import preview

    sources = catalog.sources()
    wanted = one(sources, name)
    day = partition.isoformat() if partition else None
    preview(sources[wanted[0]], wanted, rows, Console(highlight=False), day)


@main.command(short_help="Dagster's UI on this data.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True, help="This one, or the next that is free.")
@click.pass_obj
def ui(data: str, host: str, port: int) -> None:
    """Dagster's UI and daemon on this data, until Ctrl-C.

    \b
    ingest ui --port 3001
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.ui import serve

    catalog.sources()  # a wrong file is said here, in one line, and not in Dagster's traceback
    environment.settle(data)
    serve(host, port)


@main.command(short_help="Compare stored responses with their hashes.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1)
@click.pass_obj
def verify(data: str, names: tuple[str, ...]) -> None:
    """Read every stored response and compare it with its hash. Exit code 1 where one is damaged.

    \b
    ingest verify stripe.charges
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.verify import verify

    if not verify(environment.settle(data), names, Console(highlight=False)):
        sys.exit(FAILED)


@main.command(short_help="Take a source's new address for the same data.")
@click.argument("source")
@click.pass_obj
def accept(data: str, source: str) -> None:
    """Say that a source's new base_url or account is the same data as before: the warehouse refuses it until then.

    \b
    ingest accept stripe
    """
    from ingest_assets.assets.resources import Warehouse
    from ingest_assets.commands import environment

    Warehouse(data=str(environment.settle(data))).accept(source)
    Console(highlight=False).print(f"{source}: the next fetch says anew whose rows these are")


@main.command(short_help="Three APIs on this machine to try things on.")
@click.option("--port", default=8765, show_default=True)
@click.option("--now", type=_DAY, help="Its midnight, UTC; by default the last one.")
@click.option("--scale", default=1.0, show_default=True, help="A factor on how much of everything there is.")
@click.option("--factor", default=1.0, show_default=True, help="A factor on the rate limits.")
def sandbox(port: int, now: date | None, scale: float, factor: float) -> None:
    """Three APIs on this machine to try things on, until Ctrl-C; prints what to export.

    \b
    ingest sandbox --factor 100
    """
    from ingest_assets.sandbox.credentials import ENVIRONMENT
    from ingest_assets.sandbox.server import run

    for name, value in ENVIRONMENT.items():
        click.echo(f"export {name}={value}")
    run(port=port, now=now, scale=scale, factor=factor)


@main.command(short_help="From nothing to the UI, with three APIs.")
@click.option("--ui/--no-ui", default=True, help="Whether Dagster's UI follows.")
@click.option("--port", default=3000, show_default=True, help="Of the UI: this one, or the next that is free.")
@click.option("--folder", default="data/demo", show_default=True, type=click.Path(path_type=Path))
def demo(ui: bool, port: int, folder: Path) -> None:
    """Three APIs of the sandbox, from nothing to the UI: what `make run` does.

    \b
    ingest demo --no-ui
    """
    from ingest_assets.commands.demo import demo

    if not demo(folder, Console(highlight=False), ui=ui, port=port):
        sys.exit(FAILED)


def _source(name: str) -> Source:
    if name.endswith((".yaml", ".yml")):
        return catalog.load(Path(name), [Path(name).parent, *catalog.folders()])
    files = catalog.files()
    if name not in files:
        raise ConfigError(f"{name!r} is no source; there are {', '.join(files)}")
    return catalog.load(files[name])


def _end(outcome: "Outcome") -> None:
    """End with the code that says what to do."""
    failures = outcome.failures
    if failures and all(isinstance(failure, TransientFailure) for failure in failures):
        sys.exit(LATER)
    if any(isinstance(failure, ConfigError) for failure in failures):
        sys.exit(MEND)
    if not outcome.succeeded:
        sys.exit(FAILED)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def guarded(command: Callable[[], object]) -> int:
    """The exit code of a command; an error raised on purpose is said in a line, without a traceback."""
    # Ended politely is interrupted, and a shell's `&` must not make it deaf to Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
    except ConfigError as error:
        click.echo(f"✗ {error}", err=True)
        return MEND
    except TransientFailure as error:
        click.echo(f"✗ {error}", err=True)
        return LATER
    except IngestError as error:
        click.echo(f"✗ {error}", err=True)
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What is fetched and loaded stays; run again for the rest", err=True)
        return INTERRUPTED
    return 0


def entry() -> None:
    """Where the installed command begins."""
    sys.exit(guarded(lambda: main(standalone_mode=False)))


if __name__ == "__main__":
    entry()
