"""Which sources a command means that names none."""

from pathlib import Path

import pytest

from ingest_assets import catalog
from ingest_assets.commands.environment import in_use
from ingest_assets.errors import ConfigError

OWN = "base_url: https://api.example.com\nendpoints: {a: {path: /a, write: replace}}\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, in an environment that says nothing of sources."""
    for name in ("INGEST_ONLY", "INGEST_SOURCES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data"


def meant(data: Path) -> list[str]:
    """The names of the sources in use."""
    return [*in_use(catalog.sources(), data)]


def test_at_first_none_is_in_use_and_the_message_says_what_to_do(data: Path) -> None:
    with pytest.raises(ConfigError, match="Name one, such as `ingest run stripe`"):
        meant(data)


def test_a_shipped_source_is_in_use_once_it_was_fetched(data: Path) -> None:
    (data / "raw" / "github" / "issues").mkdir(parents=True)
    (data / "raw" / "a_source_that_is_gone").mkdir()

    assert meant(data) == ["github"]


def test_own_sources_are_in_use_and_shipped_ones_beside_them_are_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("shop", "stripe"):
        (tmp_path / f"{name}.yaml").write_text(OWN if name == "shop" else "like: stripe\n")
    monkeypatch.setenv("INGEST_SOURCES", str(tmp_path))

    assert meant(data) == ["shop", "stripe"]


def test_what_is_named_in_the_environment_is_in_use(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_ONLY", "open_meteo,github")

    assert meant(data) == ["github", "open_meteo"]
