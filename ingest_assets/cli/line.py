"""Commands that fetch and load."""

from datetime import datetime

import click

from ingest_assets.cli.options import MEMBER, MOMENT, PARTITION, SOURCES, SOURCES_AND_ENDPOINTS, TIME, end, json_option


@click.command(short_help="Fetch and load what is due.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@click.option("--partition", help="One partition: a day, an hour, a month, or a key such as 'eu|2026-01-07'.")
@click.option("--from", "first", type=TIME, help="First day, hour or month.")
@click.option("--to", "last", type=TIME, help="Last one, included; by default the last closed one.")
@click.option("--by", "members", type=MEMBER, multiple=True, help="One account or the like alone: account=eu.")
@click.option("--again", is_flag=True, help="Fetch partitions that are complete, too.")
@click.option("--since", type=MOMENT, help="Feeds: begin again at this date or time.")
@json_option
@click.pass_obj
def run(
    data: str,
    names: tuple[str, ...],
    partition: str | None,
    first: str | None,
    last: str | None,
    members: tuple[tuple[str, str], ...],
    again: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Fetch and load, through the Dagster instance.

    Without days: at first the last closed ones (24 hours, 7 days, 4 weeks, 3 months); later those since the first one
    that is loaded which are missing or may have changed. Closed periods that are complete are left alone, unless
    --again says otherwise. Safe to interrupt, and to repeat.

    \b
    ingest run stripe --from 2026-01-01 --to 2026-01-31
    ingest run stripe.charges --partition 2026-01-07 --again
    ingest run shop.orders --by account=eu --from 2026-01
    """
    from ingest_assets import catalog
    from ingest_assets.assets.launch import catch_up
    from ingest_assets.assets.plan import chosen, meant
    from ingest_assets.commands import environment
    from ingest_assets.commands import run as running
    from ingest_assets.commands.output import output

    if partition is not None and (first is not None or last is not None):
        raise click.UsageError("--partition names one day, --from and --to a range: say one of them")
    out, folder, sources = output(as_json=as_json), environment.settle(data), catalog.sources()
    wanted = chosen(sources if names else environment.in_use(sources, folder), names)
    what = meant(sources, wanted, partition, (first, last), dict(members), again=again)
    catch_up(sources, wanted, folder)
    running.tell_left_out(sources, wanted, what, out)
    ranges = running.planned(folder, sources, wanted, what)
    if not ranges:
        running.nothing(out)
        return
    is_newest = what.first is None and what.last is None
    end(running.run(sources, ranges, folder, out, since=since.isoformat() if since else "", newest=is_newest))


@click.command(short_help="Load again what is stored.")
@click.argument("name", metavar="SOURCE.ENDPOINT", type=SOURCES_AND_ENDPOINTS)
@click.option("--partition", type=PARTITION, help="One partition: its key, such as 2026-01-07.")
@click.option("--all", "every", is_flag=True, help="All that is stored, not only what is out of date.")
@click.option("--as-of", "moment", type=MOMENT, help="The table as it was then, into a database file of its own.")
@json_option
@click.pass_obj
def replay(data: str, name: str, partition: str | None, every: bool, moment: datetime | None, as_json: bool) -> None:
    """Load again what is stored, with no request: after a contract changed, or to empty quarantine.

    With --as-of, the tables stay as they are: the one of that time goes into a file below the data folder.

    \b
    ingest replay stripe.charges
    ingest replay stripe.charges --as-of 2026-11-01
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands import run as running
    from ingest_assets.commands.as_of import as_of
    from ingest_assets.commands.output import output
    from ingest_assets.commands.replay import ranges_to_replay

    out, folder, sources = output(as_json=as_json), environment.settle(data), catalog.sources()
    wanted = one(sources, name)
    if moment is not None:
        if partition is not None or every:
            raise click.UsageError("--as-of builds the whole table: leave --partition and --all out")
        as_of(sources[wanted[0]], wanted, moment, folder, out)
        return
    ranges = ranges_to_replay(sources[wanted[0]], wanted, folder, partition, every=every)
    if not ranges:
        out.console.print("Nothing is out of date or in quarantine. Replay all that is stored by --all")
        out.document(running.NOTHING)
        return
    end(running.run(sources, ranges, folder, out, tables_only=True))


@click.command(short_help="Take a source's new address, or a fetch's many deletions.")
@click.argument("name", metavar="SOURCE[.ENDPOINT]", type=SOURCES_AND_ENDPOINTS)
@click.option("--deletions", "fetch", type=int, help="Let this fetch of the endpoint delete all that it did not bring.")
@json_option
@click.pass_obj
def accept(data: str, name: str, fetch: int | None, as_json: bool) -> None:
    """Say that a source's new base_url or account is the same data as before: the warehouse refuses it until then.

    Or that what a fetch did not bring is gone, however much that is: the fetch is refused until then.

    \b
    ingest accept stripe
    ingest accept stripe.customers --deletions 12
    """
    if fetch is not None:
        _accept_deletions(data, name, fetch, as_json=as_json)
        return
    _accept_address(data, name, as_json=as_json)


def _accept_deletions(data: str, name: str, fetch: int, *, as_json: bool) -> None:
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands import environment
    from ingest_assets.commands.deletions import accept_deletions
    from ingest_assets.commands.output import output

    sources = catalog.sources()
    wanted = one(sources, name)
    accept_deletions(sources[wanted[0]], wanted, fetch, environment.settle(data), output(as_json=as_json))


def _accept_address(data: str, source: str, *, as_json: bool) -> None:
    from ingest_assets import catalog
    from ingest_assets.assets.resources import Warehouse
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output

    if source not in catalog.sources():
        raise click.UsageError(f"{source!r} is no source; with an endpoint, say --deletions FETCH")
    out = output(as_json=as_json)
    Warehouse(data=str(environment.settle(data))).accept(source)
    out.console.print(f"{source}: the next fetch says anew whose rows these are")
    out.document({"source": source})


@click.command(short_help="Let a source in, once, by a browser.")
@click.argument("name", metavar="SOURCE", type=SOURCES)
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@click.option("--paste", is_flag=True, help="The browser is on another machine: paste the address that it ends at.")
@json_option
@click.pass_obj
def auth(data: str, name: str, no_browser: bool, paste: bool, as_json: bool) -> None:
    """Ask a person for permission in a browser, once; its refresh token is kept beside the tokens, never among data.

    \b
    ingest auth shop
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.auth import auth
    from ingest_assets.commands.check import named
    from ingest_assets.commands.output import output
    from ingest_assets.line import opened

    environment.settle(data)
    source = named(name)
    ask = (lambda: str(click.prompt("The address that the browser ended at", err=True))) if paste else None
    auth(source, opened(source, "auth"), output(as_json=as_json), browser=not (no_browser or paste), ask=ask)
