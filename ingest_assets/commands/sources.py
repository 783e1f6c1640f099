"""The sources that there are."""

from collections.abc import Mapping
from pathlib import Path

from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import table
from ingest_assets.source import Source


def list_sources(sources: Mapping[str, Source], files: Mapping[str, Path], out: Output) -> None:
    """Print every endpoint: how its changes come, how it is written, its key and its file."""
    told = [
        {
            "endpoint": f"{source.name}.{name}",
            "changes_come_as": "window" if e.window else "feed" if e.feed else "listing",
            "write": e.write,
            "primary_key": list(e.primary_key),
            "file": str(files[source.name]),
        }
        for source in sources.values()
        for name, e in source.endpoints.items()
    ]
    rows = [(t["endpoint"], t["changes_come_as"], t["write"], ", ".join(t["primary_key"]), t["file"]) for t in told]
    out.console.print(table(("endpoint", "changes come as", "write", "key", "file"), rows))
    out.document({"endpoints": told})
