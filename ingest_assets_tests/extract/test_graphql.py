"""GraphQL connections: their nodes or their edges become rows, page by page."""

import duckdb
import pytest

from ingest_assets.line import Line

QUERY = "query($first: Int, $page: PageInput) { … }"


@pytest.mark.parametrize(("listed", "key"), [("nodes", "id"), ("edges", "node__id")])
def test_nodes_and_edges_become_rows(lab, api, answer, monkeypatch, listed, key):
    def page(query):
        after = int(query["variables"].get("page", {}).get("after", 0))
        found = [{"id": n, "title": f"issue {n}"} for n in range(after, min(after + 2, 5))]
        if listed == "edges":
            found = [{"cursor": str(node["id"]), "node": node} for node in found]
        info = {"hasNextPage": after + 2 < 5, "endCursor": str(after + 2)}
        return answer({"data": {"repository": {"issues": {listed: found, "pageInfo": info}}}})

    api.answer = page
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    path = "data.repository.issues"
    source = lab.source(
        {
            "method": "POST",
            "body": {"query": QUERY, "variables": {"first": 2}},
            "records": f"{path}.{listed}",
            "paginator": {"type": "graphql", "path": f"{path}.pageInfo", "variable": "page.after"},
            "primary_key": key,
        }
    )
    line = Line(source, lab.folder)

    line.fetch("things", None)
    line.load("things", None)
    line.publish()

    with duckdb.connect(str(lab.folder / "warehouse.duckdb"), read_only=True) as reader:
        title = key.replace("id", "title")
        rows = reader.execute(f"SELECT {key}, {title} FROM shop.things ORDER BY 1").fetchall()  # noqa: S608 -- ours
    assert rows == [(n, f"issue {n}") for n in range(5)]
