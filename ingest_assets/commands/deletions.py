"""What a fetch would delete, accepted by a person."""

from pathlib import Path

from ingest_assets.assets.plan import Name
from ingest_assets.commands.output import Output
from ingest_assets.commands.report import tell
from ingest_assets.line import opened
from ingest_assets.source import Source


def accept_deletions(source: Source, name: Name, fetch: int, data: Path, out: Output) -> None:
    """Let a fetch delete all that it did not bring, load it, publish, and tell Dagster.

    ConfigError where the endpoint has no such fetch.
    """
    line = opened(source, "accept", data)
    loaded = line.accept(name[1], fetch)
    line.publish()
    removed = sum(one.account.removed for one in loaded)
    tell({source.name: source}, [name], data, out)
    out.console.print(f"{'.'.join(name)}: fetch {fetch} is loaded; {removed:,} rows that it did not bring are deleted")
    out.document({"endpoint": ".".join(name), "fetch": fetch, "removed": removed})
