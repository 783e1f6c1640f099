"""The list of sources."""

from pathlib import Path

import pytest
from rich.console import Console

from ingest_assets import catalog
from ingest_assets.commands.output import Output
from ingest_assets.commands.sources import list_sources


def test_a_shipped_source_is_called_so_and_an_own_one_by_its_path_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "two.yaml").write_text("like: stripe\n")
    monkeypatch.chdir(tmp_path)
    environ = {"INGEST_SOURCES": str(tmp_path / "connectors"), "INGEST_ONLY": "two,github"}
    console = Console(width=80, record=True)

    list_sources(catalog.sources(environ), catalog.files(environ), Output(console, console))

    told = dict(line.split() for line in console.export_text().splitlines() if len(line.split()) == 2)
    assert told == {"github": "shipped", "two": "connectors/two.yaml"}
