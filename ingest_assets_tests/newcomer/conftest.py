"""The booking system, a source file for it as a newcomer writes it, and the `ingest` command in this process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest_assets.cli import main
from ingest_assets.errors import IngestError
from ingest_assets_tests.newcomer.lodging import DAYS, FIRST, KEY, Server, serving

FILE = Path(__file__).parent / "lodging.yaml"
_URL = "http://127.0.0.1:8899"


@dataclass(frozen=True)
class Told:
    """What a command printed, and whether all was well."""

    text: str
    good: bool


@pytest.fixture
def server() -> Iterator[Server]:
    """The booking system with bookings of fixed days."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def today() -> Iterator[Server]:
    """The booking system whose bookings are of the days before this one, where `ingest check` looks."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with serving(midnight - timedelta(days=DAYS - 1)) as running:
        yield running


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Server], Path]:
    """Writes the source file for a server, into a folder that `ingest` works in."""
    for name in ("data", "limits", "tokens"):
        monkeypatch.setenv(f"INGEST_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "data" / "dagster"))
    monkeypatch.setenv("INGEST_SOURCES", str(tmp_path))
    monkeypatch.setenv("INGEST_ONLY", "lodging")
    monkeypatch.setenv("LODGING_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def written(text: str, server: Server) -> Path:
        path = tmp_path / "lodging.yaml"
        path.write_text(text.replace(_URL, server.url).replace("2026-01-05", str(FIRST.date())))
        return path

    return written


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """`ingest` with these arguments."""

    def run(*arguments: str) -> Told:
        try:
            main(list(arguments), standalone_mode=False)
            code: object = 0
        except SystemExit as end:
            code = end.code
        except IngestError as error:
            return Told(str(error), good=False)
        captured = capsys.readouterr()
        return Told(captured.out + captured.err, good=code == 0)

    return run
