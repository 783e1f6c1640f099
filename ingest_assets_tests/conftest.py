"""A sandbox, a folder with source files that lead to it, and the `ingest` command: here, or as a program."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from hypothesis import settings

from ingest_assets.cli.main import guarded, main
from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import ENVIRONMENT
from ingest_assets_tests.loopback import Loopback, Replying, serving
from ingest_assets_tests.whole import Api, Whole, api_of_its_own, state_in

# The short form asks the same of every change; the long form looks for what nobody thought of.
# How long an example takes is the machine's matter, and what else it does.
settings.register_profile("short", derandomize=True, deadline=None)
settings.register_profile("long", deadline=None)
settings.load_profile("long" if "INGEST_LONG" in os.environ else "short")

NOW = "2026-11-20"
_SOURCES = {
    "stripe": """
like: stripe
base_url: "{url}/stripe/v1"
rate_limit: {{requests: 25000, per: PT1S}}
""",
    "zendesk": """
like: zendesk
base_url: "{url}/zendesk/api/v2"
rate_limit: {{requests: 200000, per: PT1M}}
endpoints: {{tickets: {{rate_limit: {{requests: 10000, per: PT1M}}}}}}
""",
    "mixpanel": """
like: mixpanel
base_url: "{url}/mixpanel"
endpoints:
  events: {{rate_limit: {{requests: 3000, per: PT1S}}}}
  profiles: {{base_url: "{url}/mixpanel/api/query", rate_limit: {{requests: 10000, per: PT1M}}}}
""",
}


@dataclass(frozen=True)
class Place:
    """A data folder beside source files, and the environment in which `ingest` uses both."""

    folder: Path
    url: str
    more: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        """What `ingest` is started with: nothing of this process but what programs need."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        own = {
            "INGEST_SOURCES": str(self.folder / "sources"),
            "INGEST_ONLY": "stripe,zendesk,mixpanel",
            "INGEST_DATA": str(self.data),
            "INGEST_LIMITS": str(self.folder / "limits"),
            "COLUMNS": "200",
        }
        return kept | ENVIRONMENT | own | self.more

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`ingest` in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "ingest_assets.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    @contextmanager
    def midway(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """`ingest`, once it has stored a page; whatever fails then, no process of it is left."""
        with self.start(*arguments) as process:
            try:
                until = time.monotonic() + 60
                while not self._stored_a_page() and process.poll() is None and time.monotonic() < until:
                    time.sleep(0.01)
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def _stored_a_page(self) -> bool:
        # Not by rglob: before Python 3.13 it fails where a folder vanishes while it is read.
        return any("index.jsonl" in files for _, _, files in os.walk(self.data / "raw"))

    def ingest(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`ingest`, run to its end in this process, which has imported all of it; there is no terminal."""
        out, err = io.StringIO(), io.StringIO()
        with _surrounded(self), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = guarded(lambda: main(arguments, standalone_mode=False), as_json="--json" in arguments)
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def program(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`ingest`, run to its end in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "ingest_assets.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )

    def tables(self, *, lineage: bool = True) -> dict[str, tuple[object, ...]]:
        """Number of rows and a hash of all columns of each table; without `_ingest`, and `_fetch` unless `lineage`."""
        excluded = "" if lineage else " EXCLUDE (_fetch)"
        with duckdb.connect(str(self.data / "warehouse.duckdb"), read_only=True) as reader:
            names = reader.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> '_ingest' ORDER BY ALL"
            ).fetchall()
            found = {}
            for schema, name in names:
                query = (
                    f'SELECT count(*), sum(hash(t)::HUGEINT) FROM (SELECT *{excluded} FROM "{schema}"."{name}") AS t'  # noqa: S608 -- ours
                )
                found[f"{schema}.{name}"] = reader.execute(query).fetchall()[0]
        return found

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Rows of a query on the reader's copy."""
        with duckdb.connect(str(self.data / "warehouse.duckdb"), read_only=True) as reader:
            return reader.execute(query).fetchall()


@contextmanager
def _surrounded(here: Place) -> Iterator[None]:
    """While inside, the environment and folder of a place, and no other; signals are handled as before afterwards."""
    before, handled = dict(os.environ), {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    os.environ.clear()
    os.environ.update(here.environment)
    try:
        with contextlib.chdir(here.folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        for number, handler in handled.items():
            signal.signal(number, handler)


def place(folder: Path, url: str, **more: str) -> Place:
    """A place with source files that lead to this sandbox."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for name, text in _SOURCES.items():
        (sources / f"{name}.yaml").write_text(text.format(url=url))
    return Place(folder, url, more)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """A sandbox of few records and wide limits."""
    with Sandbox(now=NOW, scale=0.2, factor=1000.0) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, box: Sandbox) -> Place:
    """An empty place that leads to the sandbox."""
    return place(tmp_path / "here", box.url)


@pytest.fixture
def elsewhere(tmp_path: Path, box: Sandbox) -> Place:
    """Another one, to compare with."""
    return place(tmp_path / "elsewhere", box.url)


@pytest.fixture(scope="module")
def places(box: Sandbox) -> Callable[[Path], Place]:
    """More of them, by their folder."""
    return lambda folder: place(folder, box.url)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An API of a test's own, and a folder of its own for limits and tokens."""
    with state_in(tmp_path), api_of_its_own() as running:
        yield running


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Callable[..., Whole]:
    """Makes the line of an endpoint of that API."""
    return lambda endpoint, **source: Whole(tmp_path / "here", api.url, endpoint, source)


@pytest.fixture
def answering() -> Iterator[Callable[[Sequence[str | tuple[int, str]]], Loopback]]:
    """Starts servers that give these answers in turn, the last one for ever: a body, or a status and a body."""
    with ExitStack() as ending:
        yield lambda answers: ending.enter_context(_answering(list(answers)))


def _answering(answers: list[str | tuple[int, str]]) -> AbstractContextManager[Loopback]:
    class Handler(Replying):
        def get(self) -> None:
            told = answers.pop(0) if len(answers) > 1 else answers[0]
            status, body = (200, told) if isinstance(told, str) else told
            self.send(status, body.encode())

    return serving(Handler)
