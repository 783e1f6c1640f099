"""Commands that keep the data, and bring it back."""

import sys
from pathlib import Path

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


@click.command(short_help="Copy all that cannot be had again.")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def backup(data: str, folder: Path, as_json: bool) -> None:
    """Bring FOLDER up to date with the data folder: stored responses and warehouse, verified; runs may go on meanwhile.

    Only what is new is copied. FOLDER is a data folder itself: to restore, copy it, then `ingest rebuild`.

    \b
    ingest backup /mnt/backup/ingest
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.backup import backup
    from ingest_assets.commands.output import output

    if not backup(environment.settle(data), folder, output(as_json=as_json)):
        sys.exit(FAILED)
