"""The bare floor: what the machine and DuckDB need where types are given and nothing is promised or kept.

Pages are split into records without being parsed, written as lines, read by DuckDB under given types, and taken apart
by SQL. No types are learned, nothing is checked, stored or counted.
"""

import sys
from pathlib import Path

import duckdb
import msgspec
import urllib3

_ADDRESS = (
    "STRUCT(street VARCHAR, extra VARCHAR, town VARCHAR, post_code VARCHAR,"
    ' "at" STRUCT(latitude DOUBLE, longitude DOUBLE))'
)
_TAX = "STRUCT(name VARCHAR, rate DOUBLE, amount DOUBLE)"
TYPES = {
    "orders": {
        "id": "BIGINT",
        "name": "VARCHAR",
        "created_at": "VARCHAR",
        "updated_at": "VARCHAR",
        "state": "VARCHAR",
        "currency": "VARCHAR",
        "total": "DOUBLE",
        "rebate": "DOUBLE",
        "remark": "VARCHAR",
        "trial": "BOOLEAN",
        "cancelled_at": "VARCHAR",
        "customer": f"STRUCT(id BIGINT, email VARCHAR, name VARCHAR, phone VARCHAR, address {_ADDRESS})",
        "delivery": f'STRUCT("by" VARCHAR, name VARCHAR, "to" {_ADDRESS})',
        "client": "STRUCT(ip VARCHAR, agent VARCHAR, page VARCHAR)",
        "lines": "STRUCT(id BIGINT, article VARCHAR, title VARCHAR, quantity BIGINT, price DOUBLE, gift BOOLEAN, "
        f"taxes {_TAX}[])[]",
        "tags": "VARCHAR[]",
        "options": "JSON",
        "payment": "STRUCT(way VARCHAR, reference VARCHAR, captured BOOLEAN, fee DOUBLE)",
    },
    "events": {
        "id": "BIGINT",
        "at": "VARCHAR",
        "person": "BIGINT",
        "kind": "VARCHAR",
        "path": "VARCHAR",
        "milliseconds": "BIGINT",
        "amount": "DOUBLE",
        "country": "VARCHAR",
        "mobile": "BOOLEAN",
        "session": "VARCHAR",
    },
    "messy": {"id": "BIGINT"} | {f"field_{at}": "JSON" for at in range(10)},
}
_SQL = {
    "orders": """
        CREATE TABLE orders AS SELECT * EXCLUDE (customer, delivery, client, payment, lines, tags),
            unnest(customer, recursive := true), unnest(delivery, recursive := true), unnest(client), unnest(payment)
        FROM read;
        CREATE TABLE orders__lines AS SELECT id AS parent, unnest(range(len(lines))) AS position,
            unnest(list_transform(lines, lambda l: struct_pack(id := l.id, article := l.article, title := l.title,
            quantity := l.quantity, price := l.price, gift := l.gift)), max_depth := 2) FROM read;
        CREATE TABLE orders__lines__taxes AS SELECT parent, unnest(range(len(taxes))) AS position,
            unnest(taxes, max_depth := 2) FROM (SELECT id AS parent, unnest(lines).taxes AS taxes FROM read);
        CREATE TABLE orders__tags AS SELECT id AS parent, unnest(range(len(tags))) AS position, unnest(tags) AS value
        FROM read;
    """,
    "events": "CREATE TABLE events AS FROM read",
    "messy": "CREATE TABLE messy AS FROM read",
}


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None


def main(url: str, kind: str, count: str, folder: Path) -> None:
    """Fetch and load all records into FOLDER/out.duckdb."""
    pool, decoder, cursor = urllib3.PoolManager(), msgspec.json.Decoder(_Page), ""
    lines = folder / "lines.json"
    with lines.open("wb") as out:
        while cursor is not None:
            query = f"?limit=1000&cursor={cursor}" if cursor else "?limit=1000"
            page = decoder.decode(pool.request("GET", f"{url}/{kind}/{count}{query}").data)
            out.write(b"\n".join(page.data) + b"\n")
            cursor = page.next
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES[kind].items())
    with duckdb.connect(
        str(folder / "out.duckdb"), config={"threads": 2, "preserve_insertion_order": False}
    ) as connection:
        connection.execute(
            f"CREATE TEMP TABLE read AS FROM read_json('{lines}', format='newline_delimited', columns={{{types}}})"
        )
        connection.execute(_SQL[kind])


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
