"""Commands that mend what came wrong."""

import sys

import click

from ingest_assets.cli.options import (
    FAILED,
    PARTITION,
    SHOWN,
    SOURCES_AND_ENDPOINTS,
    agree,
    end,
    json_option,
    yes_option,
)


@click.group(short_help="Records that did not fit: list, show, replay.")
def quarantine() -> None:
    """Records that did not fit, and were set aside with their reason.

    \b
    ingest quarantine list
    ingest quarantine show stripe.charges 12/0/3
    ingest quarantine replay stripe.charges      after the columns are mended
    """


@quarantine.command("list", short_help="By endpoint and reason, newest first.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
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
@click.argument("name", metavar="SOURCE.ENDPOINT", type=SOURCES_AND_ENDPOINTS)
@click.argument("place", required=False)
@click.option("--most", type=SHOWN, default=3, show_default=True, help="How many records to show.")
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
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
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


@click.command(short_help="Back to the state before a fetch.")
@click.argument("name", metavar="SOURCE.ENDPOINT", type=SOURCES_AND_ENDPOINTS)
@click.option("--fetch", type=int, help="The fetch to give up; by default the newest.")
@click.option("--partition", type=PARTITION, help="The newest fetch of this partition.")
@yes_option
@json_option
@click.pass_obj
def undo(data: str, name: str, fetch: int | None, partition: str | None, yes: bool, as_json: bool) -> None:
    """Give a fetch up for good: the tables are made again from the others, with no request.

    Shows first what it would do, and asks; without a terminal, --yes answers. A feed goes back too: later fetches go
    with the one that is given up, and the next run fetches from there.

    \b
    ingest undo stripe.charges
    ingest undo stripe.charges --fetch 12 --yes
    ingest undo stripe.charges --partition 2026-01-07
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import undo as asked
    from ingest_assets.commands.output import output

    out, folder, sources = output(as_json=as_json), environment.settle(data), catalog.sources()
    wanted = one(sources, name)
    undoing = asked.plan(sources[wanted[0]], wanted, folder, fetch, partition)
    if undoing is None:
        out.console.print(f"Fetch {fetch} is given up already")
        out.document({"endpoint": name, "fetches": [], "done": True})
        return
    told = asked.show(undoing, folder, out)
    agree(told, out, yes=yes, as_json=as_json)
    asked.undo(undoing, folder, out)
    out.document(told | {"done": True})


@click.command(short_help="Erase a person, and keep them out.")
@click.argument("table", metavar="SOURCE.ENDPOINT", type=SOURCES_AND_ENDPOINTS)
@click.argument("key", nargs=-1, required=True)
@click.option("--lift", is_flag=True, help="Let a forgotten key in again, from the next fetch on.")
@yes_option
@json_option
@click.pass_obj
def forget(data: str, table: str, key: tuple[str, ...], lift: bool, yes: bool, as_json: bool) -> None:
    """Erase a person's records: rows, child rows, quarantine, stored responses, and the free space of the database.

    KEY is the primary key's value, or COLUMN=VALUE. Shows first what it would do, and where else the value occurs; it
    asks, and without a terminal --yes answers. Later fetches leave the key out, and count it as filtered.

    \b
    ingest forget stripe.customers cus_123
    ingest forget mixpanel.events distinct_id=cus_123 --yes
    ingest forget stripe.customers cus_123 --lift
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import forget as asked
    from ingest_assets.commands.output import output

    out, folder, sources = output(as_json=as_json), environment.settle(data), catalog.sources()
    wanted = one(sources, table)
    if lift:
        asked.lift(sources[wanted[0]], wanted, folder, key, out)
        return
    forgetting = asked.plan(sources[wanted[0]], wanted, folder, key)
    told = asked.show(forgetting, folder, out)
    if forgetting.done:
        out.document(told | {"done": True})
        return
    agree(told, out, yes=yes, as_json=as_json)
    asked.forget(forgetting, folder, out)
    out.document(told | {"done": True})


@click.command(short_help="After the partitions of a file were changed.")
@click.argument("name", metavar="SOURCE.ENDPOINT")
@yes_option
@json_option
@click.pass_obj
def migrate(data: str, name: str, yes: bool, as_json: bool) -> None:
    """Give up what is kept under another partitioning, so that an endpoint can be fetched anew.

    Shows first what it would do, and asks; without a terminal, --yes answers. The responses are moved to the archive
    beside the data, not removed.

    \b
    ingest migrate stripe.charges
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import migrate as asked
    from ingest_assets.commands.output import output

    out, folder, sources = output(as_json=as_json), environment.settle(data), catalog.sources()
    wanted = one(sources, name)
    migration = asked.plan(sources[wanted[0]], wanted, folder)
    told = asked.show(migration, out)
    if not migration.foreign:
        out.document(told | {"done": False})
        return
    agree(told, out, yes=yes, as_json=as_json)
    asked.migrate(migration, out)
    out.document(told | {"done": True})
