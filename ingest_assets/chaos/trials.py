"""All trials of a source: each endpoint, and each fault that can happen to it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ingest_assets.chaos.bench import PACE, bench
from ingest_assets.chaos.faults import FAULTS, Fault
from ingest_assets.chaos.loaded import NAME, loaded, loads
from ingest_assets.chaos.trial import Tried
from ingest_assets.errors import ConfigError
from ingest_assets.source import Source


@dataclass(frozen=True)
class Chosen:
    """What is tried: names of endpoints, of faults or groups of faults; all of them where there are none."""

    endpoints: Collection[str] = ()
    only: Collection[str] = ()
    seed: int = 0

    @property
    def loads(self) -> bool:
        """Whether what came without a fault is loaded, too."""
        return not self.only or NAME in self.only or "none" in self.only

    def faults(self) -> tuple[Fault, ...]:
        """The faults, the first of which is none."""
        known = {one.name for one in FAULTS} | {one.group for one in FAULTS} | {NAME}
        if unknown := [name for name in self.only if name not in known]:
            raise ConfigError(f"{unknown[0]!r} is no fault; expected one of {', '.join(one.name for one in FAULTS)}")
        return tuple(one for one in FAULTS if not self.only or one.name in self.only or one.group in self.only)


def trials(
    source: Source, chosen: Chosen | None = None, began: Callable[[str, str], None] = lambda *_: None
) -> Iterator[Tried]:
    """The trials of a source, one after another; `began` is told endpoint and fault before each.

    Without a fault, everything has to come: an endpoint that fails at that is tried no further.
    """
    chosen = chosen or Chosen()
    first, *others = FAULTS
    wanted = {one.name for one in chosen.faults()}
    for name in chosen.endpoints or source.endpoints:
        with bench(source, name, chosen.seed) as here:
            began(name, first.name)
            tried = here.run(first)
            pages = here.pages()
            if first.name in wanted or tried.verdict != "kept":
                yield tried
            if tried.verdict != "kept":
                continue
            if chosen.loads and loads(here):
                began(name, NAME)
                yield loaded(here, PACE)
            for fault in others:
                if fault.name in wanted and here.fits(fault, pages):
                    began(name, fault.name)
                    yield here.run(fault)
