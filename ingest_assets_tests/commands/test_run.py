"""What a run says of the tables that it loaded."""

import json
from dataclasses import replace
from typing import Any

SOURCE = """
base_url: {url}
endpoints:
  users: {{path: /, primary_key: id}}
"""


def test_rows_that_were_written_anew_are_counted_once(here: Any, ingest: Any, answering: Any) -> None:
    users = [[{"id": 1}, {"id": 2}], [{"id": 1, "v": 1}, {"id": 2}]]
    api = answering([json.dumps(told) for told in users])
    shop = replace(here, more={"INGEST_ONLY": "shop"})
    (shop.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))

    runs = [json.loads(ingest(shop, "run", "shop.users", "--json").stdout)["endpoints"][0] for _ in users]

    assert [one["rows"] for one in runs] == [2, 2]
