"""Where data and Dagster's own state are: set for this process and all that it starts."""

import os
from importlib.resources import files
from pathlib import Path

from ingest_assets.assets.resources import data_folder


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
        settings.write_text(files("ingest_assets").joinpath("dagster.yaml").read_text())
    return folder
