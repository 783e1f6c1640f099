"""The sources that there are."""

from collections.abc import Mapping
from pathlib import Path

from ingest_assets.catalog import SHIPPED
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import facts, table
from ingest_assets.source import Endpoint, Source


def list_sources(sources: Mapping[str, Source], files: Mapping[str, Path], out: Output) -> None:
    """Print every endpoint: how its changes come, how it is written, its key and its file."""
    names = [(source, name, e) for source in sources.values() for name, e in source.endpoints.items()]
    told = [
        {
            "endpoint": f"{source.name}.{name}",
            "changes_come_as": _changes(e),
            "write": e.write,
            "primary_key": list(e.primary_key),
            "file": str(files[source.name]),
        }
        for source, name, e in names
    ]
    rows = [(f"{source.name}.{name}", _changes(e), e.write, ", ".join(e.primary_key)) for source, name, e in names]
    out.console.print(table(("endpoint", "changes come as", "write", "key"), rows))
    out.console.print()
    out.console.print(facts([(name, _shown(files[name])) for name in sources]))
    out.document({"endpoints": told})


def _changes(endpoint: Endpoint) -> str:
    return "window" if endpoint.window else "feed" if endpoint.feed else "listing"


def _shown(file: Path) -> str:
    """The file as a person would type it from here; of a shipped one its place says little."""
    if file.parent == SHIPPED:
        return "shipped"
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
