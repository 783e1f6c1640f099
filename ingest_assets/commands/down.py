"""Which APIs count as down, as people are told of it."""

from collections.abc import Iterable, Mapping

from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import note
from ingest_assets.errors import ConfigError
from ingest_assets.line import opened
from ingest_assets.source import Source


def down(sources: Mapping[str, Source], names: Iterable[str]) -> dict[str, list[str]]:
    """Of those of these sources whose API is down: since when, why, and until when nothing is asked of it."""
    return {name: told for name in dict.fromkeys(names) if (told := _down(sources[name]))}


def print_down(found: Mapping[str, Iterable[str]], out: Output) -> None:
    """A line for each."""
    for source, lines in found.items():
        for line in lines:
            out.console.print(note("!", f"{source}: {line}"))


def _down(source: Source) -> list[str]:
    try:
        return opened(source, "").clients.down()
    except ConfigError:  # a setting is missing, and so the address is not known
        return []
