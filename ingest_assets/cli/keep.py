"""Commands that keep the data, and bring it back."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ingest_assets.cli.options import AGE, FAILED, FOLDER, SOURCES_AND_ENDPOINTS, agree, json_option, yes_option


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
@click.argument("folder", type=FOLDER)
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


@click.command(short_help="What takes the disk, by endpoint.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@json_option
@click.pass_obj
def du(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """What takes the disk: responses and tables by endpoint, the rest by folder, and what nothing needs any more.

    \b
    ingest du stripe
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.du import du
    from ingest_assets.commands.output import output

    du(environment.settle(data), names, output(as_json=as_json))


@click.command(short_help="Remove stored responses that nothing needs.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@click.option(
    "--keep", type=click.IntRange(1), default=1, show_default=True, help="Whole fetches of each partition to keep."
)
@click.option("--older-than", "age", type=AGE, help="Only fetches that began so long ago, such as P90D.")
@yes_option
@json_option
@click.pass_obj
def prune(data: str, names: tuple[str, ...], keep: int, age: timedelta | None, yes: bool, as_json: bool) -> None:
    """Remove fetches that later ones have superseded, and failed ones. No table changes, nor what is fetched next.

    Shows first what it would remove, and asks; without a terminal, --yes answers. What a row, a child row, a deletion,
    a version or a record in quarantine came from stays, and so does the newest fetch of each partition. Safe to
    interrupt, and to repeat.

    \b
    ingest prune stripe --older-than P90D
    ingest prune shop.orders --keep 3 --yes
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands import prune as asked
    from ingest_assets.commands.output import output

    out, before = output(as_json=as_json), datetime.now(UTC) - age if age is not None else None
    pruning = asked.plan(environment.settle(data), names, keep, before)
    told = asked.show(pruning, out)
    if not told["fetches"]:
        out.document(told | {"done": True})
        return
    agree(told, out, yes=yes, as_json=as_json)
    out.document(told | {"fetches": asked.prune(pruning, out), "done": True})


@click.group(short_help="The copy of the warehouse that everybody reads.")
def reader() -> None:
    """The copy of the warehouse that everybody reads.

    \b
    ingest reader publish
    """


@reader.command(short_help="Bring the reader's copy up to date now.")
@json_option
@click.pass_obj
def publish(data: str, as_json: bool) -> None:
    """Bring the reader's copy up to date now, as each run does at its end; says what was published, or why not.

    \b
    ingest reader publish
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.reader import publish

    if not publish(environment.settle(data), output(as_json=as_json)):
        sys.exit(FAILED)
