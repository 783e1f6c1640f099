"""By hand: requests, json, pandas.json_normalize, DuckDB from the frames."""

import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import requests


def fetched(url: str, kind: str, count: str) -> list[dict[str, Any]]:
    """All records, held in memory."""
    session, found, cursor = requests.Session(), list[dict[str, Any]](), None
    while True:
        query = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
        answer = session.get(f"{url}/{kind}/{count}", params=query, timeout=60)
        answer.raise_for_status()
        page = answer.json()
        found += page["data"]
        cursor = page["next"]
        if cursor is None:
            return found


def frames(kind: str, found: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The records as flat frames, by table."""
    if kind != "orders":
        return {kind: pd.json_normalize(found, sep="__")}
    orders = pd.json_normalize(found, sep="__").drop(columns=["lines", "tags"])
    lines = pd.json_normalize(found, "lines", ["id"], meta_prefix="order_").drop(columns=["taxes"])
    taxes = pd.json_normalize(found, ["lines", "taxes"], ["id", ["lines", "id"]], meta_prefix="order_", sep="_")
    tags = pd.json_normalize(found, "tags", ["id"], meta_prefix="order_").rename(columns={0: "value"})
    return {"orders": orders, "orders__lines": lines, "orders__lines__taxes": taxes, "orders__tags": tags}


def main(url: str, kind: str, count: str, folder: Path) -> None:
    """Fetch and load all records into FOLDER/out.duckdb."""
    with duckdb.connect(str(folder / "out.duckdb")) as connection:
        for name, frame in frames(kind, fetched(url, kind, count)).items():
            for column in frame.columns:  # what is mixed has to be text, or DuckDB does not take the frame
                if frame[column].dtype == object and len(frame[column].dropna().map(type).unique()) > 1:
                    frame[column] = frame[column].map(lambda v: v if v is None or v != v else str(v))
            connection.register("frame", frame)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
