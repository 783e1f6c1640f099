"""Where data and Dagster's own state are: set for this process and all that it starts."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ingest_assets import catalog
from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.line import data_folder
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.source import Source


def settle(data: str = "") -> Path:
    """Make INGEST_DATA and DAGSTER_HOME absolute, and see that Dagster finds its settings; the data folder.

    DAGSTER_HOME is `<data>/dagster` unless it is set: with a folder that stays, a restart of the UI shows everything.
    """
    folder = data_folder(data)
    home = Path(os.environ.get("DAGSTER_HOME") or folder / "dagster").expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["INGEST_DATA"], os.environ["DAGSTER_HOME"] = str(folder), str(home)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_bytes(files("ingest_assets").joinpath("dagster.yaml").read_bytes())
    return folder


def in_use(sources: Mapping[str, Source], data: Path) -> dict[str, Source]:
    """The sources that a command means which names none: the user's own, and shipped ones that were fetched once.

    Where INGEST_ONLY names sources, these and no others. Raises ConfigError where there is none.
    """
    files, fetched = catalog.files(), _fetched(data)
    own = {name for name in sources if files[name].parent != catalog.SHIPPED}
    wanted = set(sources) if os.environ.get("INGEST_ONLY", "").strip() else own | fetched
    if not wanted & set(sources):
        raise ConfigError(
            "no source is in use yet. Name one, such as `ingest run stripe` (`ingest sources` lists them), or say "
            "where your own files are: export INGEST_SOURCES=…"
        )
    return {name: source for name, source in sources.items() if name in wanted}


def _fetched(data: Path) -> set[str]:
    """The sources of which something is stored or loaded."""
    stored = {folder.name for folder in (data / "raw").glob("*") if folder.is_dir()}
    try:
        with Warehouse(data).reading() as connection:
            return stored | {
                name for (name,) in connection.sql("SELECT DISTINCT source FROM _ingest.fetches").fetchall()
            }
    except StorageFailed:
        return stored
