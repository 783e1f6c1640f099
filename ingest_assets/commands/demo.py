"""Three APIs on this machine, from nothing to Dagster's UI: what `make run` shows.

Everything is below one folder, in an environment of its own: no key of the user's is read, and the warehouse of the
demo is no other's. The sandbox's `now` is kept there too: the same days give the same records.
"""

import os
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ingest_assets import catalog
from ingest_assets.assets.launch import start_instance
from ingest_assets.assets.plan import Name, Wanted, chosen, plan
from ingest_assets.commands.environment import settle
from ingest_assets.commands.output import Output
from ingest_assets.commands.run import Outcome, ran
from ingest_assets.commands.ui import served
from ingest_assets.load.ledger import Fetch
from ingest_assets.sandbox.credentials import ENVIRONMENT
from ingest_assets.sandbox.process import Sandbox

DAYS = 7
_FACTOR = 100
# What a program needs of its surroundings; everything else, and so every key, stays outside.
_KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TERM",
    "TMPDIR",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "XDG_STATE_HOME",
    "VIRTUAL_ENV",
)
_LIKE = {
    "stripe": f"""\
# The shipped connector, led to the sandbox, whose limits are {_FACTOR} times as wide.
like: stripe
base_url: "{{sandbox}}/stripe/v1"
account: sandbox
settings: {{sandbox: {{env: INGEST_SANDBOX}}}}
rate_limit: {{requests: {25 * _FACTOR}, per: PT1S}}
""",
    "zendesk": f"""\
like: zendesk
base_url: "{{sandbox}}/zendesk/api/v2"
account: sandbox
settings: {{sandbox: {{env: INGEST_SANDBOX}}}}
rate_limit: {{requests: {200 * _FACTOR}, per: PT1M}}
endpoints:
  tickets:
    rate_limit: {{requests: {10 * _FACTOR}, per: PT1M}}
""",
    "mixpanel": f"""\
like: mixpanel
base_url: "{{sandbox}}/mixpanel"
account: sandbox
settings: {{sandbox: {{env: INGEST_SANDBOX}}}}
endpoints:
  events:
    rate_limit: [{{requests: {3 * _FACTOR}, per: PT1S}}, {{requests: {60 * _FACTOR}, per: PT1H}}]
  profiles:
    base_url: "{{sandbox}}/mixpanel/api/query"
    rate_limit: {{requests: {60 * _FACTOR}, per: PT1H}}
""",
}
_QUERY = """\
SELECT t.created_at::DATE AS day, count(*) AS tickets, count(DISTINCT c.id) AS of_paying_customers
FROM zendesk.tickets AS t
JOIN zendesk.users AS u ON u.id = t.requester_id
LEFT JOIN stripe.customers AS c ON lower(c.email) = lower(u.email)
GROUP BY day ORDER BY day DESC LIMIT 5"""


def demo(folder: Path, out: Output, *, ui: bool, port: int) -> bool:
    """Run the demo; whether all that was asked for is loaded. With `ui`, returns once Ctrl-C was pressed."""
    folder = folder.absolute()
    now = _now(folder)
    _surroundings(folder)
    with ExitStack() as ending:
        out.progress.print(f"Starting the sandbox: three APIs as of {now}, 00:00 UTC")
        sandbox = ending.enter_context(Sandbox(now=now, factor=_FACTOR))
        os.environ["INGEST_SANDBOX"] = sandbox.url
        data = settle(str(folder))
        start_instance()
        done = _ingest(data, now, out)
        out.progress.print("\nA query to try, on the copy that any DuckDB tool may open at any time:\n")
        out.progress.print(f"{_example(data)}\n", soft_wrap=True)
        if ui:
            _look(data, port, sandbox.url, out, ending)
        out.document(done.told, ok=done.succeeded and not done.failures)
        if ui:
            _until_interrupted()
    out.progress.print(f"Kept: {_shown(folder)} (remove it by: make clean-demo)")
    return done.succeeded


def _now(folder: Path) -> str:
    """The sandbox's midnight: the last one when the demo first began."""
    kept = folder / "now"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept.write_text(f"{datetime.now(UTC).date()}\n")
    return kept.read_text().strip()


def _surroundings(folder: Path) -> None:
    """Leave the user's environment, but for what a program needs, and write the demo's source files."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    for name, text in _LIKE.items():
        (sources / f"{name}.yaml").write_text(text, encoding="utf-8")
    os.environ.clear()
    os.environ.update(
        environment
        | ENVIRONMENT
        | {
            "INGEST_DATA": str(folder),
            "INGEST_SOURCES": str(sources),
            "INGEST_ONLY": "stripe,zendesk,mixpanel,dagster",
            "INGEST_LIMITS": str(folder / "limits"),
            "DAGSTER_HOME": str(folder / "dagster"),
        }
    )


def _ingest(data: Path, now: str, out: Output) -> Outcome:
    sources = {name: source for name, source in catalog.sources().items() if name != "dagster"}
    names = chosen(sources, [])
    last = date.fromisoformat(now) - timedelta(days=1)
    days = Wanted(str(last - timedelta(days=DAYS - 1)), str(last), again=True)
    moment = datetime.now(UTC)
    windows = plan(sources, [n for n in names if sources[n[0]].endpoints[n[1]].partitions], days, _none, moment)
    rest = plan(sources, [n for n in names if not sources[n[0]].endpoints[n[1]].partitions], Wanted(), _none, moment)
    out.progress.print(f"Ingesting the last {DAYS} closed days, {days.first} to {days.last}, through Dagster\n")
    return ran(sources, [*windows, *rest], data, out)


def _none(_: Name) -> list[Fetch]:
    return []


def _look(data: Path, port: int, sandbox: str, out: Output, ending: ExitStack) -> None:
    """The UI, with Dagster's own runs as one more source."""
    out.progress.print("Starting Dagster's UI …")
    url = ending.enter_context(served("127.0.0.1", port))
    os.environ["DAGSTER_URL"] = url
    sources = {name: source for name, source in catalog.sources().items() if name == "dagster"}
    names = chosen(sources, [])
    ranges = plan(sources, names, Wanted(), _none, datetime.now(UTC))
    ran(sources, ranges, data, replace(out, console=out.progress))
    out.progress.print(
        f"\nDagster: {url}\nSandbox: {sandbox} (it stays up: materialize and backfill more)\nCtrl-C ends both."
    )


def _until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _example(data: Path) -> str:
    file = _shown(data / "warehouse.duckdb")
    return (
        f".venv/bin/python -c \"import duckdb; print(duckdb.connect('{file}', read_only=True).sql('''\n{_QUERY}'''))\""
    )


def _shown(path: Path) -> str:
    """The path as a person would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
