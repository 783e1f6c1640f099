"""Commands that keep the data, and bring it back."""

import sys

import click

from ingest_assets.cli.options import FAILED, json_option


@click.command(short_help="Build a lost warehouse again from what is stored.")
@click.option("--partial", is_flag=True, help="Put it in place although some of what is stored cannot be loaded.")
@json_option
@click.pass_obj
def rebuild(data: str, partial: bool, as_json: bool) -> None:
    """Load all that is stored and not loaded, with no request: a lost warehouse as a whole, a restored one's rest.

    Safe to interrupt, and to repeat.

    \b
    ingest rebuild
    """
    from ingest_assets import catalog
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.rebuild import rebuild

    if not rebuild(catalog.sources(), environment.settle(data), output(as_json=as_json), partial=partial):
        sys.exit(FAILED)
