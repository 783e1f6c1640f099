"""A whole fetch and load by a token: what is on disk after it."""

import base64

import duckdb
from backports import zstd

from ingest_assets import catalog
from ingest_assets.line import Line

SECRET = "s3cr:t/+%x1"
FILE = """\
base_url: {url}
auth:
  type: oauth2_client_credentials
  token_url: "{url}/token"
  client_id: {{env: CLIENT}}
  client_secret: {{env: SECRET}}
endpoints:
  orders:
    path: /orders
    records: data
    paginator: {{type: last_record, param: after, field: id, has_more: more}}
    primary_key: id
"""


def test_a_whole_fetch_renews_on_its_way_and_leaves_no_secret_among_data(world, tmp_path, monkeypatch):
    for name, value in {
        "INGEST_LIMITS": tmp_path / "limits",
        "INGEST_TOKENS": tmp_path / "tokens",
        "CLIENT": "client:one",
        "SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "shop.yaml").write_text(FILE.format(url=world.url))
    line = Line(catalog.load(tmp_path / "shop.yaml", [tmp_path]), tmp_path / "data", run="test")

    with line.partition("orders", None):
        line.fetch("orders", None)
        line.load("orders", None)
    line.publish()

    with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb"), read_only=True) as reader:
        rows = reader.execute("SELECT id, asked_with FROM shop.orders ORDER BY id").fetchall()
    assert rows == [(number, "~hidden.SECRET_token.plain.") for number in (1, 2, 3)]
    assert world.statuses == [200, 200, 401, 200]
    assert len(world.issued) == 2
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    snapshots = b"".join(
        zstd.decompress(file.read_bytes()) for file in (tmp_path / "data").rglob("*.zst") if file.stat().st_size
    )
    secrets = [SECRET, base64.b64encode(SECRET.encode()).decode(), *world.issued]
    assert not [text for text in secrets if text.encode() in stored + snapshots]
    assert b"SECRET_token" in snapshots
