"""Processes that run in Dagster's name without its daemon: each can be seen to be alive.

A lock that is held stands for life: the kernel gives it back at any death, and a process id may come again.
"""

import contextlib
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from ingest_assets.errors import Locked
from ingest_assets.locks import held

PROCESS_TAG, _DATA_TAG = "ingest/process", "ingest/data"
_GOING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@contextlib.contextmanager
def named_process(instance: dg.DagsterInstance, data: Path) -> Iterator[dict[str, str]]:
    """The tags of this process's runs; runs of dead ones are told to Dagster as failed."""
    bury(instance, data)
    name = uuid.uuid4().hex
    lock = _folder(data) / f"{name}.lock"
    with held(lock, "ingest run", 0):
        try:
            yield {PROCESS_TAG: name, _DATA_TAG: _known_as(data)}
        finally:
            _tell_failed(instance, name)  # once its lock is gone, nobody can tell that it is dead
            lock.unlink(missing_ok=True)


def bury(instance: dg.DagsterInstance, data: Path) -> None:
    """Tell Dagster that the runs of dead processes have failed: it has nobody to ask after them."""
    for name, folder in {run.tags[PROCESS_TAG]: run.tags.get(_DATA_TAG) for run in _going(instance)}.items():
        lock = _folder(data) / f"{name}.lock"
        # Of another data folder of the same Dagster, where it may live; else somebody emptied the folder of locks.
        if not lock.exists() and folder != _known_as(data):
            continue
        with contextlib.suppress(Locked), held(lock, "looking for the dead", 0):
            _tell_failed(instance, name)
            lock.unlink(missing_ok=True)


def _tell_failed(instance: dg.DagsterInstance, name: str) -> None:
    """Tell that a process's runs failed; asked for under its lock, since it may have ended well meanwhile."""
    for run in _going(instance):
        if run.tags[PROCESS_TAG] == name:
            instance.report_run_failed(run, "Its process died. What it has loaded stays; run again for the rest")


def _going(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs of named processes that have not ended; one that executes another one again has its tags only."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_GOING))
    return [run for run in runs if PROCESS_TAG in run.tags and run.parent_run_id is None]


def _folder(data: Path) -> Path:
    return data / "locks" / "processes"


def _known_as(data: Path) -> str:
    """What tells a data folder from others of one Dagster: machines and containers may use the same path."""
    return f"{socket.gethostname()}:{data.resolve()}"
