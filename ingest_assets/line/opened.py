"""The line of a source as its file and the environment say, for who asks for nothing else."""

from pathlib import Path

from ingest_assets.line.folders import data_folder
from ingest_assets.line.line import Line
from ingest_assets.line.pace import Pace
from ingest_assets.source import Source


def opened(source: Source, run: str, data: Path | None = None, *, warehouse: Path | None = None) -> Line:
    """The line of one source for one run; `warehouse` is the folder of the warehouse where it is another one."""
    pace = Pace(max_wait=source.max_wait)
    return Line(source, data_folder(str(data or "")), run=run, warehouse_folder=warehouse, pace=pace)
