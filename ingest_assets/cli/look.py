"""Commands that look and tell."""

import sys

import click

from ingest_assets.cli.options import FAILED, PARTITION, SHOWN, SOURCES, SOURCES_AND_ENDPOINTS, json_option


@click.command(short_help="What is wrong, and what to do.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@json_option
@click.pass_obj
def status(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """What is incomplete, quarantined, late or out of date, since when, and the next step. Exit code 1 if anything is.

    \b
    ingest status stripe
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment, status
    from ingest_assets.commands.output import output

    sources, folder = catalog.sources(), environment.settle(data)
    wanted = chosen(sources if names else environment.in_use(sources, folder), names)
    if not status.status(sources, wanted, folder, output(as_json=as_json)):
        sys.exit(FAILED)


@click.command(short_help="List sources and endpoints.")
@json_option
def sources(as_json: bool) -> None:
    """The sources that there are, with their endpoints and files.

    \b
    INGEST_SOURCES=my/connectors ingest sources
    """
    from ingest_assets import catalog
    from ingest_assets.commands.output import output
    from ingest_assets.commands.sources import list_sources

    list_sources(catalog.sources(), catalog.files(), output(as_json=as_json))


@click.command(short_help="Is a source file right? One page an endpoint.")
@click.argument("source", type=SOURCES)
@json_option
def check(source: str, as_json: bool) -> None:
    """Is the file right, are the secrets there, does the API answer? One page an endpoint; nothing is written.

    SOURCE is a name, or the path of a file.

    \b
    ingest check stripe
    ingest check my/connectors/github.yaml
    """
    from ingest_assets.commands.check import check, named
    from ingest_assets.commands.output import output

    if not check(named(source), output(as_json=as_json)):
        sys.exit(FAILED)


@click.command("test", short_help="A source file against an API that does everything wrong.")
@click.argument("name", metavar="SOURCE[.ENDPOINT]", type=SOURCES_AND_ENDPOINTS)
@click.option("--only", multiple=True, metavar="FAULT", help="Only this fault, or this group of faults; repeatable.")
@click.option("--seed", default=0, show_default=True, help="Other numbers of records; the same seed, the same trials.")
@click.option("--details", is_flag=True, help="What happened in each trial.")
@json_option
@click.pass_obj
def try_out(data: str, name: str, only: tuple[str, ...], seed: int, details: bool, as_json: bool) -> None:
    """A source file against an API on this machine that speaks as the file says, and does everything wrong.

    No request leaves the machine, no secret is needed, and nothing is written. Of each fault either all records have to
    come, each once, or a failure has to say why. SOURCE is a name, or the path of a file. Exit code 1 where a promise
    is broken. What is stored of the source's responses is compared with the file, too.

    \b
    ingest test stripe
    ingest test my/connectors/shop.yaml --only paging
    ingest test stripe.charges --only empty_page --details
    """
    from ingest_assets.chaos.trials import Chosen
    from ingest_assets.commands.output import output
    from ingest_assets.commands.test import chosen, try_faults
    from ingest_assets.line import data_folder

    source, endpoints = chosen(name)
    wanted, out = Chosen(endpoints, only, seed), output(as_json=as_json)
    if not try_faults(source, wanted, data_folder(data), out, details=details):
        sys.exit(FAILED)


@click.command(short_help="The first records as rows, with types to declare.")
@click.argument("name", metavar="SOURCE.ENDPOINT", type=SOURCES_AND_ENDPOINTS)
@click.option("--rows", type=SHOWN, default=3, show_default=True, help="How many records to show.")
@click.option("--partition", type=PARTITION, help="The partition to ask for; by default the last closed one.")
@json_option
def preview(name: str, rows: int, partition: str | None, as_json: bool) -> None:
    """The first records as rows, with types to declare; nothing is written.

    \b
    ingest preview stripe.charges --rows 5
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import one
    from ingest_assets.commands.check import preview
    from ingest_assets.commands.output import output

    sources = catalog.sources()
    wanted = one(sources, name)
    preview(sources[wanted[0]], wanted, rows, output(as_json=as_json), partition)


@click.command(short_help="Compare stored responses with their hashes.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@json_option
@click.pass_obj
def verify(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """Read every stored response and compare it with its hash. Exit code 1 where one is damaged.

    \b
    ingest verify stripe.charges
    """
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.verify import verify

    if not verify(environment.settle(data), names, output(as_json=as_json)):
        sys.exit(FAILED)


@click.command(short_help="Tell Dagster what is loaded and it does not show.")
@click.argument("names", metavar="[SOURCE[.ENDPOINT]]...", nargs=-1, type=SOURCES_AND_ENDPOINTS)
@json_option
@click.pass_obj
def report(data: str, names: tuple[str, ...], as_json: bool) -> None:
    """Tell Dagster of what is loaded and it does not show: its database is new, or its events were wiped.

    Sends no request, and changes no table.

    \b
    ingest report stripe
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.report import report

    sources = catalog.sources()
    report(sources, chosen(sources, names), environment.settle(data), output(as_json=as_json))


@click.command(short_help="The stored response a row came from.")
@click.argument("table", metavar="TABLE", type=SOURCES_AND_ENDPOINTS)
@click.argument("key", metavar="KEY...", nargs=-1, required=True)
@click.option("--rows", type=SHOWN, default=3, show_default=True, help="How many rows to show at most.")
@click.option("--show-sensitive", is_flag=True, help="Values of sensitive columns, too.")
@json_option
@click.pass_obj
def why(data: str, table: str, key: tuple[str, ...], rows: int, show_sensitive: bool, as_json: bool) -> None:
    """The stored response a row came from: its fetch, page, URL, time and run, and the record as the API sent it.

    KEY is the primary key, its values in the order of the source file, or COLUMN=VALUE. The rows of a list are found
    by the key of the record that the list stands in. Exit code 1 where there is no such row.

    \b
    ingest why stripe.charges ch_1
    ingest why stripe.invoices__lines__data in_1
    ingest why stripe.charges customer=cus_1 --rows 10
    """
    from ingest_assets import catalog
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.why import why

    folder, out = environment.settle(data), output(as_json=as_json)
    if not why(catalog.sources(), table, key, folder, out, most=rows, show_sensitive=show_sensitive):
        sys.exit(FAILED)


@click.command(short_help="The last requests to an API.")
@click.argument("name", metavar="SOURCE[.ENDPOINT]", type=SOURCES_AND_ENDPOINTS)
@click.option("--last", type=SHOWN, default=20, show_default=True, help="How many requests to show.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@json_option
@click.pass_obj
def trace(data: str, name: str, last: int, failed: bool, as_json: bool) -> None:
    """The last requests to an API, also those that failed: time, status, milliseconds, bytes, attempt, wait and URL.

    Some thousands are kept for each source, of all processes; without headers, bodies, and values of secrets.

    \b
    ingest trace stripe --failed
    ingest trace stripe.charges --last 50
    """
    from ingest_assets import catalog
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.trace import trace

    trace(catalog.sources(), name, environment.settle(data), output(as_json=as_json), most=last, failed=failed)
