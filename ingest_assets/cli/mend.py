"""Commands that mend what came wrong."""

import sys

import click

from ingest_assets.cli.options import FAILED, end, json_option


@click.group(short_help="Records that did not fit: list, show, replay.")
def quarantine() -> None:
    """Records that did not fit, and were set aside with their reason.

    \b
    ingest quarantine list
    ingest quarantine show stripe.charges 12/0/3
    ingest quarantine replay stripe.charges      after the columns are mended
    """


@quarantine.command("list", short_help="By endpoint and reason, newest first.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1)
@json_option
@click.pass_obj
def list_(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """What is in quarantine by endpoint and reason, newest first; the place is that of the newest record.

    \b
    ingest quarantine list stripe
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.quarantine import list_kinds

    list_kinds(chosen(catalog.sources(), names), environment.settle(data), output(as_json=as_json))


@quarantine.command(short_help="The records as they came, sensitive values masked.")
@click.argument("name", metavar="SOURCE.ENDPOINT")
@click.argument("place", required=False)
@click.option("--most", default=3, show_default=True, help="How many records to show.")
@json_option
@click.pass_obj
def show(data: str, name: str, place: str | None, most: int, as_json: bool) -> None:
    """The newest records in quarantine, or the one at PLACE (FETCH/PAGE/POSITION), with what was expected of them.

    \b
    ingest quarantine show stripe.charges
    ingest quarantine show stripe.charges 12/0/3
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import quarantine as asked
    from ingest_assets.commands.output import output

    sources = catalog.sources()
    wanted = one(sources, name)
    asked.show(sources[wanted[0]], wanted, environment.settle(data), place, most, output(as_json=as_json))


@quarantine.command("replay", short_help="After mending the columns: do they fit now?")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1)
@json_option
@click.pass_obj
def replay_(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """Load again the partitions of records in quarantine whose columns were mended since; sends no request.

    Says how many fit now. Exit code 1 if some still do not.

    \b
    ingest quarantine replay stripe.charges
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment
    from ingest_assets.commands import quarantine as asked
    from ingest_assets.commands.output import output

    sources = catalog.sources()
    outcome = asked.replay(sources, chosen(sources, names), environment.settle(data), output(as_json=as_json))
    end(outcome.run)
    if outcome.still:
        sys.exit(FAILED)
