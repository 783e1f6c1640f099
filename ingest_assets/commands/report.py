"""What the warehouse has, told to a Dagster that does not know it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest_assets.assets.launch import catch_up
from ingest_assets.assets.plan import Name
from ingest_assets.commands.output import Output
from ingest_assets.source import Source


def report(sources: Mapping[str, Source], names: Sequence[Name], data: Path, out: Output) -> None:
    """Tell Dagster of the newest load of each partition that it does not show, and say how many there were."""
    told = tell(sources, names, data, out, thorough=True)
    if not any(told.values()):
        out.console.print("Dagster shows all that is loaded" if told else "Nothing is loaded yet. Next: ingest run")
    out.document({"endpoints": [{"endpoint": ".".join(name), "partitions": count} for name, count in told.items()]})


def tell(
    sources: Mapping[str, Source], names: Sequence[Name], data: Path, out: Output, *, thorough: bool = False
) -> dict[Name, int]:
    """The same without the document: how many partitions were told, by endpoint.

    Without `thorough`, of those alone that this instance was never told of.
    """
    with out.progress.status("comparing the warehouse with Dagster") as status:

        def show(name: Name, done: int, wanted: int) -> None:
            status.update(f"{'.'.join(name)}: {done:,} of {wanted:,} partitions told")

        told = catch_up(sources, names, data, thorough=thorough, show=show)
    for name, count in told.items():
        if count:
            partitions = "1 partition" if count == 1 else f"{count:,} partitions"
            out.console.print(f"{'.'.join(name)}: Dagster was told of {partitions}")
    return told
