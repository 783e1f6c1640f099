"""Processes that run in Dagster's name without its daemon: each can be seen to be alive.

A lock that is held stands for life: the kernel gives it back at any death, and a process id may come again.
"""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from ingest_assets.errors import Locked
from ingest_assets.locks import held

PROCESS_TAG = "ingest/process"
_GOING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@contextlib.contextmanager
def named_process(instance: dg.DagsterInstance, data: Path) -> Iterator[str]:
    """A name for this process, to tag its runs with; runs of dead ones are told to Dagster as failed."""
    bury(instance, data)
    name = uuid.uuid4().hex
    with held(_folder(data) / f"{name}.lock", "ingest run", 0):
        try:
            yield name
        finally:
            (_folder(data) / f"{name}.lock").unlink(missing_ok=True)


def bury(instance: dg.DagsterInstance, data: Path) -> None:
    """Tell Dagster that the runs of dead processes have failed: it has nobody to ask after them."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_GOING)):
        # A run that executes another one again has its tags, and is Dagster's own.
        if (name := run.tags.get(PROCESS_TAG)) is None or run.parent_run_id is not None:
            continue
        lock = _folder(data) / f"{name}.lock"
        with contextlib.suppress(Locked), held(lock, "looking for the dead", 0):
            instance.report_run_failed(run, "Its process died. What it has loaded stays; run again for the rest")
            lock.unlink(missing_ok=True)


def _folder(data: Path) -> Path:
    return data / "locks" / "processes"
