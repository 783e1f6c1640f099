"""dlt's REST source into DuckDB, as it comes or (`tuned`) as its performance guide says: parquet, workers, buffers."""

import os
import sys
from pathlib import Path

_TUNED = {
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "EXTRACT__DATA_WRITER__BUFFER_MAX_ITEMS": "10000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "20000",
    "EXTRACT__NEXT_ITEM_MODE": "fifo",
    "LOAD__WORKERS": "2",
    "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": "10000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "NORMALIZE__START_METHOD": "spawn",
    "NORMALIZE__WORKERS": "2",
}


def main(url: str, kind: str, count: str, folder: Path, *, tuned: bool) -> None:
    """Fetch and load all records into `raw.*` of FOLDER/out.duckdb."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    if tuned:
        os.environ.update(_TUNED)
    import dlt
    from dlt.sources.rest_api import rest_api_source

    endpoint = {
        "path": f"{kind}/{count}",
        "params": {"limit": 1000},
        "data_selector": "data",
        "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
    }
    source = rest_api_source({"client": {"base_url": f"{url}/"}, "resources": [{"name": kind, "endpoint": endpoint}]})
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(folder / "out.duckdb")),
        dataset_name="raw",
    )
    pipeline.run(source, loader_file_format="parquet" if tuned else None)


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]), tuned="tuned" in sys.argv[5:])
