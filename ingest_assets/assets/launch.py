"""Materializes endpoints through the Dagster instance, in this process, a run at a time."""

import contextlib
import logging
import os
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from yaml import YAMLError

from ingest_assets.assets.gathered import PLANNED, gathered
from ingest_assets.assets.jobs import days, newest_first
from ingest_assets.assets.members import add_listed
from ingest_assets.assets.names import raw_key, step_name, table_key, versions
from ingest_assets.assets.plan import Name, Range, keys_of
from ingest_assets.assets.processes import named_process
from ingest_assets.assets.progress import Watchers, watched
from ingest_assets.assets.project import definitions
from ingest_assets.assets.reconcile import Reconciler
from ingest_assets.assets.report import Reporter
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.assets.undone import Undone
from ingest_assets.errors import ConfigError, IngestError, NotBefore, StorageFailed
from ingest_assets.line import Unwatched, Watcher
from ingest_assets.locks import held
from ingest_assets.source import Source

_INSTANCE_SECONDS = 60
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Done:
    """The ids of the runs, and whether each succeeded; and how many were not begun, by the source that waits."""

    runs: tuple[str, ...]
    succeeded: bool
    later: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Heard(Unwatched):
    """Notes the sources that are to be left alone, and the endpoints of which a failure was told."""

    sources: set[str] = field(default_factory=set)
    failures: set[str] = field(default_factory=set)

    def failed(self, label: str, error: IngestError) -> None:
        self.failures.add(label.partition("[")[0])
        if isinstance(error, NotBefore) and error.everywhere:
            self.sources.add(label.partition(".")[0])


def materialize(
    sources: Mapping[str, Source],
    ranges: Iterable[Range],
    data: Path,
    watcher: Watcher,
    stop: Callable[[], None] = lambda: None,
    *,
    since: str = "",
    tables_only: bool = False,
    newest: bool = False,
) -> Done:
    """Materialize these ranges; each is a run of its own in Dagster, and `watcher` is told how it gets on.

    A range is taken once those before it have run. Where an API asks for a long pause, or is down, no
    further one of its source is begun.

    `stop` is called between runs, and raises where there shall be no more of them. `tables_only` replays what is
    stored, and sends no request. `newest` goes before backfills where both wait for a limit.
    """
    known = definitions(sources.values(), Api(data=str(data)), Warehouse(data=str(data)))
    job = known.resolve_implicit_global_asset_job_def()
    runs, succeeded = list[str](), True
    heard, later = _Heard(), Counter[str]()
    watchers = Watchers((watcher, heard))
    with _instance() as instance, named_process(instance, data) as process, watched(watchers):
        for wanted in ranges:
            stop()
            if not tables_only and wanted.endpoints[0][0] in heard.sources:
                later[wanted.endpoints[0][0]] += 1
                continue
            if tables_only and not _is_offered(sources, wanted):
                runs.append(str(uuid.uuid4()))
                succeeded = _replay(sources, wanted, data, runs[-1], watcher) and succeeded
                continue
            for source, endpoint in wanted.endpoints:
                add_listed(instance, Api(data=str(data)).line(sources[source], ""), endpoint)
            heard.failures.clear()
            with gathered(instance, PLANNED):
                result = job.execute_in_process(
                    instance=instance,
                    asset_selection=_keys(wanted, tables_only=tables_only),
                    run_config=_QUIET | _config(wanted, since),
                    tags=process | days(wanted) | (newest_first() if newest else {}),
                    raise_on_error=False,
                )
            runs.append(result.run_id)
            succeeded = succeeded and result.success
            stop()  # an interruption is no failure of what it interrupted
            _tell_untold(result, wanted, heard.failures, watcher)
    return Done(tuple(runs), succeeded and not later, later)


def _tell_untold(result: dg.ExecuteInProcessResult, wanted: Range, told: Collection[str], watcher: Watcher) -> None:
    """Tell the watcher of steps that failed before, or beside, all that steps tell of themselves."""
    for name in wanted.endpoints:
        failure, label = result.failure_data_for_node(step_name(*name)), ".".join(name)
        if failure is None or label in told:
            continue
        error = failure.error and (failure.error.cause or failure.error)  # Dagster's own words around ours say nothing
        said = error.message.strip() if error else "Dagster says no more"
        watcher.failed(label, IngestError(f"{label}: {said}. Next: look at run {result.run_id} by `ingest ui`"))


def _is_offered(sources: Mapping[str, Source], wanted: Range) -> bool:
    """Whether Dagster has these partitions: not those before a start that was moved, or of an account that left."""
    ((source, endpoint), *_) = wanted.endpoints
    return wanted.first is None or sources[source].endpoints[endpoint].offers(wanted.first)


def _replay(sources: Mapping[str, Source], wanted: Range, data: Path, run: str, watcher: Watcher) -> bool:
    """Load again what is stored of partitions that Dagster does not have; whether all went well."""
    good = True
    for source, endpoint in wanted.endpoints:
        line = Api(data=str(data)).line(sources[source], run, watcher=watcher)
        for key in keys_of(sources[source].endpoints[endpoint], wanted):
            try:
                with line.partition(endpoint, key):
                    line.load(endpoint, key, replay=True)
                watcher.loaded(line.label(endpoint, key))
            except IngestError as error:
                watcher.failed(line.label(endpoint, key), error)
                good = False
        line.publish(paced=True)
    return good


def catch_up(
    sources: Mapping[str, Source],
    names: Sequence[Name],
    data: Path,
    *,
    thorough: bool = False,
    show: Callable[[Name, int, int], None] = lambda *_: None,
) -> dict[Name, int]:
    """Tell Dagster what the warehouse has of these endpoints and it does not know; how many partitions, by endpoint.

    What was undone is told first. `thorough` looks at what Dagster shows too, and not only at what it was told. `show`
    is given the numbers of partitions that are told and to be told, now and then.
    """
    told: dict[Name, int] = {}
    with _instance() as instance:
        for source, endpoint in names:
            line = Api(data=str(data)).line(sources[source], "")
            if not line.warehouse.writer.exists():
                continue
            report = Reporter(line, endpoint, versions(line.source, endpoint), instance)
            Undone(report).tell()
            reconciler = Reconciler(report, logging.getLogger(__name__))
            told[source, endpoint] = reconciler.catch_up(thorough=thorough, show=partial(show, (source, endpoint)))
    return told


def untold_undone(source: Source, endpoint: str, data: Path) -> list[int]:
    """Fetches of an endpoint that are undone, and that Dagster still takes for loaded."""
    line = Api(data=str(data)).line(source, "")
    with _instance() as instance:
        instance_id = Reporter(line, endpoint, versions(source, endpoint), instance).instance_id
    return [fetch.fetch for fetch in line.untold_undone(endpoint, instance_id)]


def forget(name: Name) -> None:
    """Make Dagster forget what it shows of an endpoint's two assets."""
    with _instance() as instance:
        instance.wipe_assets([raw_key(*name), table_key(*name)])


def _keys(wanted: Range, *, tables_only: bool) -> list[dg.AssetKey]:
    kinds = (table_key,) if tables_only else (raw_key, table_key)
    return [kind(*name) for name in wanted.endpoints for kind in kinds]


def _config(wanted: Range, since: str) -> dict[str, Any]:
    steps = [step_name(source, endpoint) for source, endpoint in wanted.endpoints]
    return {"ops": {step: {"config": {"since": since}} for step in steps}} if since else {}


@contextlib.contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME, but that prints stay in this terminal.

    To capture them, Dagster starts two processes a step, which cost time and speak up when Ctrl-C reaches them.
    """
    prints = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    }
    with _making_files():
        made = dg.DagsterInstance.from_ref(
            InstanceRef.from_dir(os.environ["DAGSTER_HOME"], overrides={"compute_logs": prints})
        )
    with _sound_databases(), made as instance:
        yield instance


def start_instance() -> None:
    """Make the instance's files before Dagster's own processes look for them."""
    with _making_files(), dg.DagsterInstance.get():
        pass


@contextlib.contextmanager
def _making_files() -> Iterator[None]:
    """Alone: of two processes that find no database, one would fail to make it.

    ConfigError where Dagster cannot read its settings.
    """
    home = Path(os.environ["DAGSTER_HOME"])
    with (
        held(home / "instance.lock", "opening Dagster's instance", _INSTANCE_SECONDS),
        _sound_databases(),
    ):
        try:
            yield
        except (dg.DagsterInvalidConfigError, ValueError, YAMLError) as error:
            # Of what stands in the file only where it is wrong: it may name a database and its password.
            told = " ".join(str(error).split("\n")[:2]) if isinstance(error, YAMLError) else type(error).__name__
            raise ConfigError(
                f"{home / 'dagster.yaml'}: Dagster cannot read its settings: {told}. Mend the file; or remove it, and "
                "it is written again as it was at first"
            ) from error


@contextlib.contextmanager
def _sound_databases() -> Iterator[None]:
    """StorageFailed for what SQLite says of Dagster's databases inside: they are opened when they are first asked."""
    try:
        yield
    except Exception as error:
        if not isinstance(error.__cause__, sqlite3.Error):
            raise
        home = os.environ["DAGSTER_HOME"]
        raise StorageFailed(
            f"{home}: Dagster's database cannot be used: {error.__cause__}. Nothing is decided by it: move the folder "
            "away, then `ingest report` shows Dagster again what is loaded"
        ) from error
