"""A shop's API on loopback, its source file, and a lab that materializes it through real Dagster instances."""

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.job_execution_result import JobExecutionResult
from dagster._core.loader import LoadingContextForTest

from ingest_assets import catalog
from ingest_assets.assets.names import raw_key, table_key
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.load import warehouse as stored
from ingest_assets.source import Source
from ingest_assets_tests.loopback import Replying, serving

TOKEN = "tok-5ecret-0f-the-shop"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SHOP = """\
base_url: {url}
auth: {{type: bearer, token: {{env: SHOP_TOKEN}}}}
error_message: [error]
max_wait: PT0.1S
endpoints:
  orders:
    path: /orders
    records: data
    paginator: {{type: cursor, path: next, param: cursor, has_more: more}}
    window: {{from: from, until: until, format: date}}
    partitions: {{every: day, start: "2026-01-01"}}
    changes: immutable
    primary_key: id
    columns:
      id: {{type: bigint, required: true}}
      email: {{type: varchar, sensitive: true}}
    fresh_within: PT26H
  people:
    path: /people
    records: data
    primary_key: id
    write: replace
    columns:
      id: {{type: bigint, required: true, description: never given again}}
      email: {{type: varchar, sensitive: true}}
    fresh_within: PT26H
  news:
    path: /news
    records: data
    feed: {{from: since, start: "2026-01-01", position: at}}
    primary_key: id
    newest_by: at
    columns:
      id: {{type: bigint, required: true}}
      at: {{type: timestamptz, required: true}}
"""


@dataclass(frozen=True)
class Answer:
    """What the shop answers instead of records."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


# A failure that the client tries again, all at once.
DOWN = Answer(503, {"error": "down for repair"}, {"Retry-After": "0"})
REFUSED = Answer(403, {"error": "not for you"})
# A page without records that says that more follow.
HOLED = Answer(200, {"data": [], "more": True, "next": "there"})


class Shop:
    """The shop's records; what it answers instead, by day or by path, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """As at first: three orders a day, no failures, nothing asked."""
        self.orders: dict[str, list[Any]] = {}
        self.people: list[Any] = [{"id": 1, "email": "ann@private.example", "city": "Delft"}]
        self.news: list[Any] = [{"id": 1, "at": "2026-01-02T00:00:00Z"}]
        self.instead: dict[str, Answer | list[Answer]] = {}
        self.hooks: dict[str, Callable[[], object]] = {}
        self.asked: list[str] = []
        self.times: list[float] = []

    def of(self, day: str) -> list[Any]:
        """The orders of a day."""
        number = (date.fromisoformat(day) - date(2026, 1, 1)).days
        return self.orders.setdefault(
            day,
            [
                {"id": 10 * number + n, "email": f"buyer{n}@private.example", "lines": [{"sku": "a"}, {"sku": "b"}]}
                for n in range(1, 3 + number % 3)
            ],
        )

    @property
    def counted(self) -> Counter[str]:
        """How often each day or path was asked for."""
        return Counter(self.asked)

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Answer:
        """What is sent; remembers the request by its day, or by its path."""
        name = query["from"][0] if path == "/orders" else path
        self.asked.append(name)
        self.times.append(time.monotonic())
        if name in self.hooks:
            self.hooks[name]()
        instead = self.instead.get(name)
        if isinstance(instead, list):
            instead = instead.pop(0) if instead else None
        if instead is not None:
            return instead
        if path == "/people":
            return Answer(body={"data": self.people})
        if path == "/news":
            return Answer(body={"data": [one for one in self.news if one["at"] >= query["since"][0]]})
        return Answer(body={"data": self.of(name), "more": False, "next": None})


class _Handler(Replying):
    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        asked = urlsplit(self.path)
        answer = self.server.shop.answer(asked.path, parse_qs(asked.query))
        if f"Bearer {TOKEN}" != self.headers.get("Authorization") and "key" not in parse_qs(asked.query):
            answer = Answer(401, {"error": "who are you?"})
        with contextlib.suppress(ConnectionError):
            self.send(answer.status, answer.body, answer.headers, cut=answer.cut)


@contextlib.contextmanager
def opened_shop() -> Iterator[Shop]:
    """A shop on a free loopback port."""
    with serving(_Handler, shop=Shop()) as server:
        server.shop.url = server.url
        yield server.shop


@pytest.fixture(scope="session")
def running_shop() -> Iterator[Shop]:
    with opened_shop() as shop:
        yield shop


@pytest.fixture(scope="module")
def own_shop() -> Iterator[Shop]:
    """A shop for a module that leaves it open from test to test."""
    with opened_shop() as shop:
        yield shop


@pytest.fixture(scope="session")
def shop_file() -> tuple[str, str]:
    """The text of the shop's source file, to be formatted with its URL, and its token."""
    return SHOP, TOKEN


@pytest.fixture
def shop(running_shop: Shop) -> Shop:
    """The shop, as at first."""
    running_shop.reset()
    return running_shop


@dataclass
class Lab:
    """One source file in a data folder of its own, and a Dagster instance."""

    folder: Path
    instance: dg.DagsterInstance
    text: str
    more: list[Any] = field(default_factory=list)
    chosen: list[dg.AssetKey] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def source(self) -> Source:
        """As the file says now."""
        file = self.folder / "shop.yaml"
        file.write_text(self.text)
        return catalog.load(file, [self.folder])

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(data=str(self.data))

    def definitions(self) -> dg.Definitions:
        """Of the file as it is now, with `more` assets."""
        known = definitions([self.source], Api(data=str(self.data)), self.warehouse)
        return dg.Definitions.merge(known, dg.Definitions(assets=self.more)) if self.more else known

    def run(
        self,
        first: str | None = None,
        last: str | None = None,
        *,
        keys: Sequence[dg.AssetKey] = (),
        config: Mapping[str, Any] | None = None,
        checks: bool = False,
        fails: bool = False,
        retries: dg.RetryPolicy | None = None,
        **more: Any,
    ) -> dg.ExecuteInProcessResult:
        """Materialize `keys`, by default both assets of orders, for a day or a range of days."""
        days = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        self.chosen = list(keys) or [self.raw(), self.table()]
        selection = dg.AssetSelection.assets(*self.chosen)
        if not checks:
            selection = selection.without_checks()
        result = self._job(selection, retries).execute_in_process(
            instance=self.instance,
            tags=(days if first else {}) | more.pop("tags", {}),
            run_config=QUIET | dict(config or {}),
            raise_on_error=False,
            **more,
        )
        assert result.success is not fails, failures(result)
        return result

    def run_again(self, former: dg.DagsterRun) -> JobExecutionResult:
        """Execute the last run again, as the button in the UI does: `former` is its parent."""
        job = self._job(dg.AssetSelection.assets(*self.chosen).without_checks())
        run = self.instance.create_run_for_job(
            job,
            run_config=QUIET,
            tags=former.tags,
            parent_run_id=former.run_id,
            root_run_id=former.root_run_id or former.run_id,
        )
        return execute_run(InMemoryJob(job), run, self.instance)

    def _job(self, selection: dg.AssetSelection, retries: dg.RetryPolicy | None = None) -> dg.JobDefinition:
        job = dg.define_asset_job("chosen", selection, op_retry_policy=retries)
        return dg.Definitions.merge(self.definitions(), dg.Definitions(jobs=[job])).resolve_job_def("chosen")

    def raw(self, endpoint: str = "orders") -> dg.AssetKey:
        return raw_key("shop", endpoint)

    def table(self, endpoint: str = "orders") -> dg.AssetKey:
        return table_key("shop", endpoint)

    def events(self, key: dg.AssetKey, partition: str | None = None) -> list[dg.AssetMaterialization]:
        """What Dagster was told of an asset, or of one partition of it, in order."""
        where = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
        records = self.instance.fetch_materializations(where, limit=1000, ascending=True).records
        return [record.asset_materialization for record in records]

    def told(self, key: dg.AssetKey, partition: str | None = None) -> dict[str, Any]:
        """The metadata of the newest event."""
        return {name: value.value for name, value in self.events(key, partition)[-1].metadata.items()}

    def statuses(self, key: dg.AssetKey, *days: str) -> dict[str, str | None]:
        """What Dagster's bar of partitions shows."""
        partitions = self.definitions().get_assets_def(key).partitions_def
        found = self.instance.get_status_by_partition(key, days, partitions) or {}
        return {day: found[day].name if found.get(day) else None for day in days}

    def stale(self, key: dg.AssetKey, partition: str | None = None) -> list[str]:
        """Why Dagster calls a partition out of date; nothing where it is fresh."""
        graph = self.definitions().resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        status = resolver.get_status(key, partition).value
        reasons = [cause.reason for cause in resolver.get_stale_causes(key, partition)]
        assert bool(reasons) == (status != "FRESH")
        return reasons

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query on the reader's copy."""
        with self.warehouse.reading() as connection:
            return connection.execute(query).fetchall()

    def spoil(self, statement: str) -> None:
        """Change the warehouse behind the project's back, and publish it."""
        warehouse = stored.Warehouse(self.data)
        with warehouse.session("spoiling") as connection:
            connection.execute(statement)
        warehouse.publish()

    def check(self, endpoint: str, *names: str) -> dict[str, dg.AssetCheckEvaluation]:
        """Run an endpoint's checks, all or some, and nothing else."""
        keys = [dg.AssetCheckKey(self.table(endpoint), name) for name in names]
        every = dg.AssetSelection.checks_for_assets(self.table(endpoint))
        job = self._job(dg.AssetSelection.checks(*keys) if keys else every)
        result = job.execute_in_process(instance=self.instance, run_config=QUIET)
        return {one.check_name: one for one in result.get_asset_check_evaluations()}


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """What failed in a run, as Dagster shows it, causes included."""
    errors = [e.event_specific_data.error for e in result.all_events if e.is_step_failure]
    return [one.to_string() for one in errors]


@pytest.fixture(scope="session")
def in_memory() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def lab(tmp_path: Path, shop: Shop, in_memory: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The shop's source in a folder of its own, with an instance in memory that knows nothing."""
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    in_memory.wipe()
    return Lab(tmp_path, in_memory, SHOP.format(url=shop.url))


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an instance that knows nothing; making them takes longer than a run."""
    home = tmp_path_factory.mktemp("home")
    with dg.instance_for_test(temp_dir=str(home)):
        return home


@pytest.fixture
def kept_lab(lab: Lab, empty_home: Path) -> Iterator[Lab]:
    """The same with an instance on disk, as `dagster dev` has it."""
    home = shutil.copytree(empty_home, lab.folder / "dagster")
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        lab.instance = instance
        yield lab


@pytest.fixture(scope="session")
def days() -> Callable[[str, str], list[str]]:
    """All days of a range, both ends included."""

    def between(first: str, last: str) -> list[str]:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]

    return between


@pytest.fixture(scope="session")
def down() -> Answer:
    return DOWN


@pytest.fixture(scope="session")
def refused() -> Answer:
    return REFUSED


@pytest.fixture(scope="session")
def holed() -> Answer:
    return HOLED


@pytest.fixture(scope="session")
def answer() -> type[Answer]:
    return Answer
