"""How many jobs of a source may be at work at once, over all processes of the machine: a lock for each place."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from ingest_assets.durations import spoken
from ingest_assets.errors import Locked
from ingest_assets.locks import held

_LOOK_SECONDS = 2.0


@contextlib.contextmanager
def place(
    folder: Path, most: int, what: str, longest: timedelta, pause: Callable[[float, str], None]
) -> Iterator[None]:
    """Hold one of `most` places while inside; wait for one by `pause`, and raise Locked after `longest`."""
    began = time.monotonic()
    while True:
        for number in range(most):
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(held(folder / f"{number}.lock", what, 0))
                except Locked:
                    continue
                yield
                return
        waited = time.monotonic() - began
        if waited > longest.total_seconds():
            raise Locked(f"{what}: waited {spoken(waited)} for one of {most} places for jobs (`jobs_at_once`)")
        pause(min(_LOOK_SECONDS, longest.total_seconds()), f"{most} jobs are at work, as many as `jobs_at_once` allows")
