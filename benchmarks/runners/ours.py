"""Ours, as a library without Dagster: snapshot, learned types, quarantine, verdict, account, reader's copy."""

import os
import sys
from pathlib import Path

SOURCE = """
base_url: {url}
auth: {{type: bearer, token: {{env: BENCH_TOKEN}}}}
endpoints:
  {kind}:
    path: /{kind}/{count}
    params: {{limit: 1000}}
    records: data
    paginator: {{type: cursor, path: next, param: cursor}}
    primary_key: id
"""


def main(url: str, kind: str, count: str, folder: Path) -> None:
    """Fetch and load all records; the tables are in `shop.*` of FOLDER/data/warehouse.duckdb."""
    os.environ.setdefault("BENCH_TOKEN", "a-token-that-is-kept-out-of-snapshots")
    os.environ.setdefault("INGEST_LIMITS", str(folder / "limits"))
    from ingest_assets import catalog
    from ingest_assets.line import Line

    file = folder / "shop.yaml"
    file.write_text(SOURCE.format(url=url, kind=kind, count=count))
    line = Line(catalog.load(file), folder / "data", run="benchmark")
    with line.partition(kind, None):
        line.fetch(kind, None)
        (loaded,) = line.load(kind, None)
    line.publish()
    if loaded.account.inserted != int(count) or not loaded.account.adds_up:
        sys.exit(f"not all records were loaded: {loaded.account}")


if __name__ == "__main__":
    from ingest_assets.process import Process

    process = Process()
    main(*sys.argv[1:4], Path(sys.argv[4]))
    process.end(0)
