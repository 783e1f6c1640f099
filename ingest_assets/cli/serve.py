"""Commands that stay until Ctrl-C, or start what does."""

import contextlib
import sys
from datetime import date
from pathlib import Path

import click

from ingest_assets.cli.options import DAY, FACTOR, FAILED, FOLDER, HOST, LAST_PORT, PORT, json_option


@click.command(short_help="Dagster's UI on this data.")
@click.option("--host", type=HOST, default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, help="Just this one. By default 3000, or the next that is free.")
@json_option
@click.pass_obj
def ui(data: str, host: str, port: int | None, as_json: bool) -> None:
    """Dagster's UI and daemon on this data, until Ctrl-C.

    \b
    ingest ui --port 3001
    """
    from ingest_assets import catalog
    from ingest_assets.assets.plan import chosen
    from ingest_assets.commands import environment
    from ingest_assets.commands.output import output
    from ingest_assets.commands.report import tell
    from ingest_assets.commands.ui import serve
    from ingest_assets.errors import Locked, StorageFailed

    sources = catalog.sources()  # a wrong file is said here, in one line, and not in Dagster's traceback
    folder, out = environment.settle(data), output(as_json=as_json)
    with contextlib.suppress(Locked, StorageFailed):  # what runs tells for itself, and the UI is there to look
        tell(sources, chosen(sources, []), folder, out)
    serve(host, port, out)


@click.command(short_help="Three APIs on this machine to try things on.")
@click.option("--port", type=click.IntRange(0, LAST_PORT), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--now", type=DAY, help="Its midnight, UTC; by default the last one.")
@click.option(
    "--scale", type=FACTOR, default=1.0, show_default=True, help="A factor on how much of everything there is."
)
@click.option("--factor", type=FACTOR, default=1.0, show_default=True, help="A factor on the rate limits.")
@json_option
def sandbox(port: int, now: date | None, scale: float, factor: float, as_json: bool) -> None:
    """Three APIs on this machine to try things on, until Ctrl-C; prints what to export.

    \b
    ingest sandbox --factor 100
    """
    from ingest_assets.commands.output import output
    from ingest_assets.commands.ports import named_port
    from ingest_assets.sandbox.credentials import ENVIRONMENT
    from ingest_assets.sandbox.server import run

    out, host = output(as_json=as_json), "127.0.0.1"

    def tell(url: str) -> None:
        for name, value in ENVIRONMENT.items():
            out.console.print(f"export {name}={value}", soft_wrap=True)
        out.console.print(url, soft_wrap=True)
        out.document({"url": url, "environment": ENVIRONMENT})

    run(port=named_port(port, host), now=now, scale=scale, factor=factor, host=host, tell=tell)


@click.command(short_help="From nothing to the UI, with three APIs.")
@click.option("--ui/--no-ui", default=True, help="Whether Dagster's UI follows.")
@click.option(
    "--port", type=PORT, default=3000, show_default=True, help="Of the UI: this one, or the next that is free."
)
@click.option("--folder", default="data/demo", show_default=True, type=FOLDER)
@json_option
def demo(ui: bool, port: int, folder: Path, as_json: bool) -> None:
    """Three APIs of the sandbox, from nothing to the UI: what `make run` does.

    \b
    ingest demo --no-ui
    """
    from ingest_assets.commands.demo import demo
    from ingest_assets.commands.output import output

    if not demo(folder, output(as_json=as_json), ui=ui, port=port):
        sys.exit(FAILED)


@click.command(short_help="Complete commands and names by Tab.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes this shell complete commands, options, sources and endpoints by Tab.

    \b
    ingest completion bash >> ~/.bashrc
    ingest completion zsh >> ~/.zshrc
    ingest completion fish > ~/.config/fish/completions/ingest.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion of {shell}")
    click.echo(kind(click.get_current_context().find_root().command, {}, "ingest", "_INGEST_COMPLETE").source())
