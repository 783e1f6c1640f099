"""The line of three sources against the sandbox: their tables hold what the API's own truth says, value for value.

The flattening below is written anew for these tests and shares nothing with `ingest_assets.normalize`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_assets import catalog
from ingest_assets.contract import Column
from ingest_assets.errors import IngestError, RequestFailed, WalkIncomplete
from ingest_assets.line import Line
from ingest_assets.load.schema import FATES
from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import ENVIRONMENT
from ingest_assets.source import Endpoint

FACTOR = 10_000
DAYS = ("2026-11-18", "2026-11-19")
SOURCES = {
    "stripe": """\
like: stripe
base_url: {url}/stripe/v1
rate_limit: {{requests: 250000, per: PT1S}}
endpoints:
  customers: {{params: {{limit: 20}}}}
  charges: {{params: {{limit: 7}}}}
  invoices: {{params: {{limit: 5}}}}
""",
    "zendesk": """\
like: zendesk
base_url: {url}/zendesk/api/v2
rate_limit: {{requests: 2000000, per: PT1M}}
endpoints:
  tickets: {{rate_limit: {{requests: 100000, per: PT1M}}, params: {{per_page: 100}}}}
  users: {{params: {{"page[size]": 20}}}}
""",
    "mixpanel": """\
like: mixpanel
base_url: {url}/mixpanel
endpoints:
  events: {{rate_limit: [{{requests: 30000, per: PT1S}}]}}
  profiles: {{base_url: "{url}/mixpanel/api/query", rate_limit: {{requests: 600000, per: PT1H}}}}
""",
}
ENDPOINTS = [
    *(("stripe", name) for name in ("customers", "charges", "invoices", "events")),
    *(("zendesk", name) for name in ("tickets", "users")),
    *(("mixpanel", name) for name in ("events", "profiles")),
]
TRUTH_NAMES = {"mixpanel/events": "export", "mixpanel/profiles": "engage"}
# Two keys of a profile ask for one name, and the one that came first has it.
SECOND_NAMES = {("mixpanel", "profiles", ("$properties", "City")): "properties__city_2"}
_EVERYTHING = 'SELECT * FROM {}."{}" ORDER BY _fetch, _page, _position'
MIDDLE = {
    "stripe": "/stripe/v1/customers",
    "zendesk": "/zendesk/api/v2/users.json",
}


@dataclass
class Lab:
    """Three source files in a folder of their own, led to a sandbox."""

    box: Sandbox
    folder: Path
    ahead: timedelta = timedelta(0)
    _reading: Any = None
    _open: ExitStack = field(default_factory=ExitStack)

    def line(self, source: str, run: str = "run-1") -> Line:
        """The line of one source, in a run of this name."""
        now = lambda: datetime.now(UTC) + self.ahead  # noqa: E731 -- a clock, set here alone
        return Line(catalog.sources()[source], self.folder / "data", run=run, now=now)

    def ingest(
        self, source: str, endpoint: str, days: tuple[str, ...] = DAYS, *, patiently: bool = False, run: str = "run-1"
    ) -> None:
        """Fetch and load all partitions of an endpoint; `patiently` again and again until it is done."""
        self.close()
        line = self.line(source, run)
        model = line.source.endpoints[endpoint]
        for partition in days if model.partitions else (None,):
            for tries_left in reversed(range(20 if patiently else 1)):
                try:
                    with line.partition(endpoint, partition):
                        line.fetch(endpoint, partition)
                        line.load(endpoint, partition)
                    break
                except IngestError:
                    if not tries_left:
                        raise

    def records(self, source: str, endpoint: str, days: tuple[str, ...] = DAYS) -> list[Any]:
        """What the sandbox's truth tells of an endpoint, or of some days of it."""
        name = TRUTH_NAMES.get(f"{source}/{endpoint}", endpoint)
        model = catalog.sources()[source].endpoints[endpoint]
        bounds: list[dict[str, object]] = [{}]
        if model.partitions and source == "stripe":
            bounds = [{"created[gte]": unix(day), "created[lt]": unix(day, 1)} for day in days]
        elif model.partitions:
            bounds = [{"from_date": day, "to_date": day} for day in days]
        told = [record for bound in bounds for record in self.box.truth(source, name, **bound)]
        return [self.whole(invoice) for invoice in told] if (source, endpoint) == ("stripe", "invoices") else told

    def whole(self, invoice: Any) -> Any:
        """An invoice with all of its lines, of which it holds ten."""
        made = dict.fromkeys(("created[gte]", "created[lte]"), invoice["created"])
        lines = [line for line in self.box.truth("stripe", "invoice_lines", **made) if line["invoice"] == invoice["id"]]
        return {**invoice, "lines": {**invoice["lines"], "data": lines}}

    def truth(self, source: str, endpoint: str, days: tuple[str, ...] = DAYS) -> list[Any]:
        """The rows, with their child rows, that an endpoint's table should hold; deleted records left out."""
        model = catalog.sources()[source].endpoints[endpoint]
        flat = Flat(source, endpoint, model, self.json_columns(source, endpoint))
        return flat.newest(self.records(source, endpoint, days))

    def rows(self, source: str, endpoint: str) -> list[Any]:
        """The rows of an endpoint's table, with their child rows."""
        names = self.tables(source, endpoint)
        kinds = self.columns(source)
        rows, by_id = [], {}
        for name in sorted(names, key=len):
            for told in self.select(_EVERYTHING.format(source, name)):
                row = {
                    column: json.loads(value) if kinds[name, column] == "JSON" else value
                    for column, value in told.items()
                    if value is not None and not column.startswith("_")
                }
                by_id[told["_id"]] = row
                if name == endpoint:
                    rows.append(row)
                else:
                    by_id[told["_parent"]].setdefault(f"[{name}]", []).append(row)
        return ordered(rows)

    def select(self, query: str) -> list[dict[str, Any]]:
        """All rows of a query on the reader's copy, which is brought up to date where something was loaded."""
        if self._reading is None:
            line = self.line("stripe")
            line.publish()
            self._reading = self._open.enter_context(line.warehouse.reading())
            self._reading.execute("SET TimeZone = 'UTC'")
        found = self._reading.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def close(self) -> None:
        """Close the reader's copy: there is a newer one, or nobody reads any more."""
        self._reading = None
        self._open.close()

    def tables(self, source: str, endpoint: str) -> list[str]:
        """An endpoint's table and its child tables."""
        found = {table for table, _ in self.columns(source)}
        return [name for name in found if name == endpoint or name.startswith(f"{endpoint}__")]

    def columns(self, source: str) -> dict[tuple[str, str], str]:
        """The type of each column, by table and name."""
        found = self.select("SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()")
        return {
            (one["table_name"], one["column_name"]): one["data_type"] for one in found if one["schema_name"] == source
        }

    def json_columns(self, source: str, endpoint: str) -> set[str]:
        """The columns of an endpoint's tables that hold JSON, by table and name: a list there has no table."""
        return {f"{table}.{name}" for (table, name), kind in self.columns(source).items() if kind == "JSON"}

    def hashes(self, source: str) -> dict[str, str]:
        """A hash of all columns of all rows of each table."""
        names = {table for table, _ in self.columns(source)}
        query = "SELECT md5(string_agg(t::VARCHAR, '|' ORDER BY t::VARCHAR)) AS hash FROM {}.\"{}\" AS t"
        return {name: self.select(query.format(source, name))[0]["hash"] for name in sorted(names)}

    def fetches(self) -> list[dict[str, Any]]:
        """All that `_ingest.fetches` tells."""
        return self.select("SELECT * FROM _ingest.fetches ORDER BY _fetch")


def unix(day: str, later: int = 0) -> int:
    return int(datetime.combine(date.fromisoformat(day) + timedelta(days=later), datetime.min.time(), UTC).timestamp())


def ordered(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))


@dataclass
class Flat:
    """Records as rows: objects flattened, lists as lists of rows under their table's name."""

    source: str
    endpoint: str
    model: Endpoint
    json_columns: set[str]

    def newest(self, records: list[Any]) -> list[Any]:
        """The last record of each key, flat; without those that tell that they are deleted."""
        gone = self.model.deleted
        rows = {}
        for record in records:
            row = self.row(record)
            key = tuple(str(row[name]) for name in self.model.primary_key)
            rows[key] = None if gone and record.get(gone.path) == gone.equals else row
        return ordered([row for row in rows.values() if row is not None])

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """One record as a row of the endpoint's table."""
        return self._flat(record, self.endpoint, ())

    def _flat(self, value: Any, table: str, path: tuple[str, ...]) -> dict[str, Any]:
        name, declared = self._column(table, path)
        if value is None:
            return {}
        if declared is not None or (path and f"{table}.{name}" in self.json_columns):
            return {name: moment(value, declared) if declared and declared.type == "timestamptz" else value}
        if isinstance(value, dict):
            parts = [self._flat(inner, table, (*path, key)) for key, inner in value.items()]
            assert sum(map(len, parts)) == len({key for part in parts for key in part}), "two values of one name"
            return {key: inner for part in parts for key, inner in part.items()}
        if isinstance(value, list):
            below = "__".join([table, *map(cleaned, path)])
            rows = [
                self._flat(item, below, ()) or ({} if isinstance(item, dict) else {"value": item}) for item in value
            ]
            return {f"[{below}]": rows} if rows else {}
        return {name: value}

    def _column(self, table: str, path: tuple[str, ...]) -> tuple[str, Column | None]:
        if not path:
            return "value", None
        plain = "__".join(map(cleaned, path))
        if table == self.endpoint:
            for name, column in self.model.columns.items():
                if (column.path or "").split(".") == list(path) or (column.path is None and name == plain):
                    return name, column
        return SECOND_NAMES.get((self.source, self.endpoint, path), plain), None


def cleaned(key: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return re.sub(r"[^a-z0-9_]+", "_", snake.lower()).strip("_")


def moment(value: Any, column: Column) -> datetime:
    if column.format in ("unix", "unix_ms"):
        return datetime.fromtimestamp(value / (1000 if column.format == "unix_ms" else 1), UTC)
    told = datetime.fromisoformat(value)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(now="2026-11-20", scale=0.2, factor=FACTOR) as box:
        yield box


@pytest.fixture
def own_box() -> Iterator[Sandbox]:
    """A sandbox whose days may go by."""
    with Sandbox(now="2026-11-20", scale=0.2, factor=FACTOR) as box:
        yield box


def settled(box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    own = folder / "sources"
    own.mkdir()
    for name, text in SOURCES.items():
        (own / f"{name}.yaml").write_text(text.format(url=box.url))
    monkeypatch.setenv("INGEST_LIMITS", str(folder / "limits"))
    monkeypatch.setenv("INGEST_SOURCES", str(own))
    monkeypatch.setenv("INGEST_ONLY", "stripe,zendesk,mixpanel")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Lab(box, folder)


@pytest.fixture
def lab(running: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A new data folder, and the sandbox without faults."""
    running.clear_faults()
    lab = settled(running, tmp_path, monkeypatch)
    yield lab
    lab.close()
    running.clear_faults()


@pytest.fixture
def own_lab(own_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A new data folder, and a sandbox of its own."""
    lab = settled(own_box, tmp_path, monkeypatch)
    yield lab
    lab.close()


def difference(found: list[Any], expected: list[Any]) -> dict[str, Any]:
    """Where two tables differ first: the counts, or the columns of the first row that is not the same."""
    if len(found) != len(expected):
        return {"rows": (len(found), len(expected))}
    for one, other in zip(found, expected, strict=True):
        if one != other:
            names = sorted(one.keys() | other.keys())
            return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}
    return {}


def assert_accounts_add_up(lab: Lab) -> None:
    loaded = [fetch for fetch in lab.fetches() if fetch["loaded"] is not None]
    assert loaded
    for fetch in loaded:
        assert fetch["received"] == fetch["records"] == sum(fetch[fate] for fate in FATES), fetch
        assert fetch["quarantined"] == 0, fetch


@pytest.mark.parametrize(("source", "endpoint"), ENDPOINTS)
def test_a_table_holds_what_the_api_holds(lab: Lab, source: str, endpoint: str) -> None:
    lab.ingest(source, endpoint)

    rows = lab.rows(source, endpoint)
    assert difference(rows, lab.truth(source, endpoint)) == {}
    assert len(rows) > 20
    assert_accounts_add_up(lab)


def test_a_second_run_changes_no_table(lab: Lab) -> None:
    for source, endpoint in ENDPOINTS:
        lab.ingest(source, endpoint)
    before = {source: lab.hashes(source) for source in SOURCES}

    for source, endpoint in ENDPOINTS:
        lab.ingest(source, endpoint, run="run-2")

    assert {source: lab.hashes(source) for source in SOURCES} == before
    assert {fetch["run"] for fetch in lab.fetches()} == {"run-1", "run-2"}
    assert_accounts_add_up(lab)


FAULTS: dict[str, dict[str, object]] = {
    "429_storm": {"every": 5, "retry_after": 0},
    "cut_body": {"every": 4, "times": 2},
    "500": {"every": 6, "retry_after": 0},
    "slow_body": {"every": 2, "seconds": 0.002},
    "cut_body_chunked": {"every": 3, "times": 2},
    "502": {"every": 2, "times": 2},
}


# Mixpanel answers a day with one page: there are as many requests as days, and each fault has to meet some.
FAULTY_DAYS = {"mixpanel": tuple(f"2026-11-{day:02}" for day in range(13, 20))}


@pytest.mark.parametrize("source", SOURCES)
def test_under_faults_the_tables_are_those_of_a_quiet_day(lab: Lab, source: str) -> None:
    for fault, details in FAULTS.items():
        lab.box.fault(fault, path=f"/{source}", **details)
    endpoints, days = [endpoint for name, endpoint in ENDPOINTS if name == source], FAULTY_DAYS.get(source, DAYS)

    for endpoint in endpoints:
        lab.ingest(source, endpoint, days, patiently=True)

    assert {fault["fault"] for fault in lab.box.faults() if fault["struck"]} == set(FAULTS)
    for endpoint in endpoints:
        assert difference(lab.rows(source, endpoint), lab.truth(source, endpoint, days)) == {}
    assert_accounts_add_up(lab)


@pytest.mark.skipif("INGEST_LONG" not in os.environ, reason="takes minutes; set INGEST_LONG=1 to run it")
@pytest.mark.parametrize("seed", range(10))
def test_under_any_mix_of_faults_the_tables_are_those_of_a_quiet_day(lab: Lab, seed: int) -> None:
    days = tuple(f"2026-11-{day:02}" for day in range(12, 20))
    lab.box.fault("all_faults", seed=seed, seconds=0.005)
    lab.box.fault("repeated_cursor", every=89)
    # An empty export is a day without events: nothing in it tells that it should not be.
    lab.box.fault("empty_page", every=97, path="/stripe")
    lab.box.fault("expired_token", every=101)

    for source, endpoint in ENDPOINTS:
        lab.ingest(source, endpoint, days, patiently=True)

    for source, endpoint in ENDPOINTS:
        assert difference(lab.rows(source, endpoint), lab.truth(source, endpoint, days)) == {}, endpoint
    assert_accounts_add_up(lab)


@pytest.mark.parametrize(("source", "secret"), [("stripe", "STRIPE_API_KEY"), ("zendesk", "ZENDESK_TOKEN")])
def test_an_expired_token_fails_clearly_and_the_walk_is_made_again_later(lab: Lab, source: str, secret: str) -> None:
    endpoint = {"stripe": "customers", "zendesk": "users"}[source]
    lab.box.fault("expired_token", path=f"/{source}", times=1)

    with pytest.raises(RequestFailed, match="401") as raised:
        lab.ingest(source, endpoint)
    failed = lab.line(source).fetches(endpoint)
    lab.ingest(source, endpoint)

    assert secret in str(raised.value)
    assert ENVIRONMENT[secret] not in str(raised.value)
    assert [(fetch.verdict, fetch.loaded) for fetch in failed] == [("failed", None)]
    assert difference(lab.rows(source, endpoint), lab.truth(source, endpoint)) == {}


@pytest.mark.parametrize("fault", ["repeated_cursor", "empty_page"])
@pytest.mark.parametrize("source", MIDDLE)
def test_a_walk_that_goes_nowhere_is_not_loaded_and_made_again_later(lab: Lab, source: str, fault: str) -> None:
    endpoint = MIDDLE[source].removesuffix(".json").rpartition("/")[2]
    lab.box.fault(fault, path=MIDDLE[source], times=1)

    with pytest.raises(WalkIncomplete, match="page"):
        lab.ingest(source, endpoint)
    failed = lab.line(source).fetches(endpoint)
    lab.ingest(source, endpoint)

    assert [(fetch.verdict, fetch.loaded) for fetch in failed] == [("failed", None)]
    assert difference(lab.rows(source, endpoint), lab.truth(source, endpoint)) == {}


def test_a_repeated_cursor_of_a_feed_does_not_move_the_feed(lab: Lab) -> None:
    lab.box.fault("repeated_cursor", path="/zendesk/api/v2/incremental", times=1)

    with pytest.raises(WalkIncomplete):
        lab.ingest("zendesk", "tickets")
    lab.ingest("zendesk", "tickets")

    assert difference(lab.rows("zendesk", "tickets"), lab.truth("zendesk", "tickets")) == {}


@pytest.mark.parametrize("source", SOURCES)
def test_days_that_went_by_are_brought_in(own_lab: Lab, source: str) -> None:
    endpoints = [endpoint for name, endpoint in ENDPOINTS if name == source]
    for endpoint in endpoints:
        own_lab.ingest(source, endpoint)
    former = own_lab.truth("stripe", "events") if source == "stripe" else []
    before = {endpoint: own_lab.rows(source, endpoint) for endpoint in endpoints}
    own_lab.box.advance(2)
    own_lab.ahead = timedelta(days=2)
    days = (*DAYS, "2026-11-20", "2026-11-21")

    for endpoint in endpoints:
        own_lab.ingest(source, endpoint, days, run="run-2")

    for endpoint in endpoints:
        expected = own_lab.truth(source, endpoint, days)
        if (source, endpoint) == ("stripe", "events"):  # it forgets the oldest; the table does not
            known = {row["id"] for row in expected}
            expected = ordered([*expected, *(row for row in former if row["id"] not in known)])
        assert difference(own_lab.rows(source, endpoint), expected) == {}, endpoint
        assert own_lab.rows(source, endpoint) != before[endpoint], endpoint
    assert_accounts_add_up(own_lab)


def test_a_feed_asks_only_for_what_is_new(own_lab: Lab) -> None:
    own_lab.ingest("zendesk", "tickets")
    own_lab.box.advance(10)

    own_lab.ingest("zendesk", "tickets", run="run-2")

    first, second = own_lab.fetches()
    assert 0 < second["records"] < first["records"] / 2
    assert second["deleted"] > 0


def test_a_feed_by_time_asks_again_for_its_overlap_only(lab: Lab) -> None:
    lab.ingest("stripe", "events")
    lab.box.forget_seen()

    lab.ingest("stripe", "events", run="run-2")

    position = max(row["created"] for row in lab.rows("stripe", "events"))
    asked = lab.box.seen()[0]["query"]["created[gte]"]
    assert int(asked) == int((position - timedelta(minutes=5)).timestamp())


def test_a_feed_by_time_can_be_moved_back(lab: Lab) -> None:
    lab.ingest("stripe", "events")
    lab.box.forget_seen()
    line = lab.line("stripe", "run-2")

    with line.partition("events", None):
        line.fetch("events", None, since=datetime(2026, 11, 1, tzinfo=UTC))
        line.load("events", None)

    assert int(lab.box.seen()[0]["query"]["created[gte]"]) <= unix("2026-11-01")
    lab.close()
    assert difference(lab.rows("stripe", "events"), lab.truth("stripe", "events")) == {}


def test_a_feed_by_cursor_can_be_moved_back_and_goes_on_by_a_cursor_again(lab: Lab) -> None:
    lab.ingest("zendesk", "tickets")
    lab.box.forget_seen()
    line = lab.line("zendesk", "run-2")

    with line.partition("tickets", None):
        line.fetch("tickets", None, since=datetime(2026, 11, 1, tzinfo=UTC))
        line.load("tickets", None)
    lab.ingest("zendesk", "tickets")

    first, *_, last = lab.box.seen()
    assert int(first["query"]["start_time"]) == unix("2026-11-01")
    assert "cursor" in last["query"]
    lab.close()
    assert difference(lab.rows("zendesk", "tickets"), lab.truth("zendesk", "tickets")) == {}


def test_lines_that_an_invoice_does_not_hold_are_read_on(lab: Lab) -> None:
    cut = next(one for one in lab.box.truth("stripe", "invoices") if one["lines"]["has_more"])
    day = datetime.fromtimestamp(cut["created"], UTC).date().isoformat()
    line = lab.line("stripe")

    with line.partition("invoices", day):
        line.fetch("invoices", day)
        line.load("invoices", day)

    lab.close()
    assert difference(lab.rows("stripe", "invoices"), lab.truth("stripe", "invoices", (day,))) == {}
    assert len(lab.select("SELECT * FROM stripe.invoices__lines__data")) > len(cut["lines"]["data"])


def test_a_look_at_the_first_page_writes_nothing(lab: Lab) -> None:
    peek = lab.line("stripe").peek("invoices", DAYS[0])

    assert peek.records == 5
    assert peek.first is not None
    assert not (lab.folder / "data").exists()


def test_tables_can_be_made_again_with_no_request(lab: Lab) -> None:
    lab.ingest("stripe", "invoices")
    before = lab.hashes("stripe")
    lab.box.forget_seen()
    line = lab.line("stripe", "run-2")

    for day in DAYS:
        with line.partition("invoices", day):
            line.load("invoices", day, replay=True)

    lab.close()
    assert lab.box.seen() == []
    assert lab.hashes("stripe") == before


INGEST = """\
import sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.line import Line

line = Line(catalog.sources()["stripe"], Path(sys.argv[1]), run=sys.argv[2])
sys.stdin.readline()
for day in sys.argv[3:]:
    with line.partition("charges", day):
        line.fetch("charges", day)
        line.load("charges", day)
"""


def test_processes_that_ingest_at_once_keep_the_limit_and_make_the_tables_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [f"2026-11-{day:02}" for day in range(16, 20)]
    with Sandbox(now="2026-11-20", scale=0.2, factor=0.4) as box:
        lab = settled(box, tmp_path, monkeypatch)
        file = tmp_path / "sources" / "stripe.yaml"
        text = file.read_text().replace("250000", "10").replace("{limit: 7}", "{limit: 1}")
        file.write_text(text)

        processes = [
            subprocess.Popen(
                [sys.executable, "-c", INGEST, str(tmp_path / "data"), f"run-{n}", *days[n::4]],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(4)
        ]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate()[1] for process in processes]

        assert [process.returncode for process in processes] == [0] * 4, told
        assert difference(lab.rows("stripe", "charges"), lab.truth("stripe", "charges", tuple(days))) == {}
        assert sum(fetch["limit_wait_seconds"] for fetch in lab.fetches()) > 0, "the limit did not bind"
        bucket = next(one for one in box.limits().values() if one["requests"])
        assert bucket["worst"] <= bucket["limit"] == 10
        assert bucket["refused"] == 0
        lab.close()
