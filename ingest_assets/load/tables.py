"""The columns a table has, and what it takes to give it others.

A target is the set of tables of one endpoint, in the warehouse or in a database where they are built anew:

    <schema>.<endpoint>            rows:        columns of the contract, then _id _fetch _page _position _hash
    <schema>.<endpoint>__<list>    child rows:  columns of the contract, then _id _parent _fetch _page _position _hash
                                   where deletions are soft, also _deleted
                                   of a history also _key valid_from valid_until current
    <versions>                     where the order of loads must not decide: the newest version of each row (part ''),
                                   of each of its lists (part: the list's table), and its newest tombstone (_deleted)
    <ends>                         of a history: when keys ended, and by which version
"""

from collections.abc import Collection, Mapping, Sequence

import duckdb
from msgspec import Struct

from ingest_assets.contract import VALIDITY, Contract
from ingest_assets.errors import ConfigError
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.widened import widened
from ingest_assets.normalize.registry import TableSpec

ROOT, TOMBSTONE = "", "_deleted"

_ROOT_COLUMNS = {"_id": "UUID", "_fetch": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID"}
_HISTORY_COLUMNS = {"_key": "UUID", **dict.fromkeys(VALIDITY[:2], "TIMESTAMPTZ"), VALIDITY[2]: "BOOLEAN"}
_CHILD_COLUMNS = {"_id": "UUID", "_parent": "UUID", **{k: v for k, v in _ROOT_COLUMNS.items() if k != "_id"}}


class Target(Struct, frozen=True):
    """Where the tables of one endpoint are: `database` and its `schema`; and schema and name of those beside them."""

    database: str
    schema: str
    versions_at: tuple[str, str]
    ends_at: tuple[str, str]

    def table(self, name: str) -> str:
        """The full name of a table."""
        return self.named(self.schema, name)

    @property
    def versions(self) -> str:
        """The full name of the versions table."""
        return self.named(*self.versions_at)

    @property
    def ends(self) -> str:
        """The full name of the table of ends."""
        return self.named(*self.ends_at)

    def named(self, schema: str, name: str) -> str:
        """The full name of a table of another schema."""
        return f"{quoted(self.database)}.{quoted(schema)}.{quoted(name)}"


def in_warehouse(source: str, endpoint: str) -> Target:
    """The tables of an endpoint in the warehouse attached as `w`."""
    beside = ((("_ingest", f"{kind}:{source}.{endpoint}")) for kind in ("versions", "ends"))
    return Target("w", source, *beside)


def in_stage(connection: duckdb.DuckDBPyConnection) -> Target:
    """The tables of an endpoint while they are built anew in the connection's own database."""
    row = connection.execute("SELECT current_database()").fetchone()
    return Target(row[0] if row else "", "build", ("build", "the versions"), ("build", "the ends"))


def versioned(contract: Contract) -> bool:
    """Whether versions are remembered: `newest_by` may order them otherwise than loads, and tombstones leave no row."""
    if contract.write == "history":
        return contract.newest_by is not None
    tombstones = contract.deleted is not None and contract.deletes == "hard"
    return contract.write == "merge" and (contract.newest_by is not None or tombstones)


def beside(target: Target, contract: Contract) -> list[tuple[str, str]]:
    """Schema and name, in a target, of the tables that a contract has beside those of its records."""
    return [target.versions_at] * versioned(contract) + [target.ends_at] * (contract.write == "history")


def present(connection: duckdb.DuckDBPyConnection, target: Target, names: Collection[str]) -> dict[str, dict[str, str]]:
    """Of these tables, those that are there: the type of each column by name."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND list_contains(?, table_name) ORDER BY column_index",
        [target.database, target.schema, list(names)],
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}.get(kind, kind)
    return tables


def citing(connection: duckdb.DuckDBPyConnection, target: Target, names: Collection[str]) -> list[str]:
    """The full names of those of these tables, and of the ones beside them, that are there."""
    there = [target.table(name) for name in present(connection, target, names)]
    for name, at in ((target.versions, target.versions_at), (target.ends, target.ends_at)):
        found = connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
            [target.database, *at],
        ).fetchone()
        there += [name] * (found is not None)
    return there


def create(
    connection: duckdb.DuckDBPyConnection, target: Target, specs: Sequence[TableSpec], contract: Contract
) -> None:
    """Make all tables of a target that has none."""
    make_schema(connection, target)
    for spec in specs:
        connection.execute(f"CREATE TABLE {target.table(spec.name)} ({_definition(spec, contract)})")
    _create_beside(connection, target, contract)


def adapt(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    specs: Sequence[TableSpec],
    contract: Contract,
    known: Collection[str],
) -> bool:
    """Give the target the tables and columns of `specs`; False, and nothing done, where only a rebuild gives them.

    `known` are the names of the tables that are the endpoint's own so far. ConfigError where another table has the
    name of one of `specs`.
    """
    names = {spec.name for spec in specs}
    there = present(connection, target, names | set(known))
    refuse_foreign(target, there, known)
    if there.keys() - names:
        return False
    statements: list[str] = []
    for spec in specs:
        if spec.name not in there:
            statements.append(f"CREATE TABLE {target.table(spec.name)} ({_definition(spec, contract)})")
            continue
        changes = _changes(connection, target, spec, there[spec.name], contract)
        if changes is None:
            return False
        statements += changes
    make_schema(connection, target)
    for statement in statements:
        connection.execute(statement)
    _create_beside(connection, target, contract)
    return True


def refuse_foreign(target: Target, there: Collection[str], known: Collection[str]) -> None:
    """ConfigError where a table is there that is not among the endpoint's `known` ones."""
    if foreign := sorted(set(there) - set(known)):
        raise ConfigError(
            f"table {target.schema}.{foreign[0]} is there already and belongs to another endpoint: a list's table is "
            "named <endpoint>__<list>. Give one of the two endpoints another name"
        )


def make_schema(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    """Make the target's schema where it is missing."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(target.database)}.{quoted(target.schema)}")


def _create_beside(connection: duckdb.DuckDBPyConnection, target: Target, contract: Contract) -> None:
    if versioned(contract):
        newest = contract.columns[contract.newest_by].type if contract.newest_by else "bigint"
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {target.versions} (_id UUID, part VARCHAR, newest {newest}, "
            "_fetch BIGINT, _page BIGINT, _position BIGINT, _hash UUID)"
        )
    if contract.write == "history":
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {target.ends} (_key UUID, _id UUID, ended TIMESTAMPTZ, _fetch BIGINT)"
        )


def _changes(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    spec: TableSpec,
    there: Mapping[str, str],
    contract: Contract,
) -> list[str] | None:
    """What gives a table the columns of its spec, or None where it takes a rebuild."""
    wanted = _columns(spec, contract)
    if there.keys() - wanted.keys():
        return None
    table = target.table(spec.name)
    statements = []
    for name, kind in wanted.items():
        if name not in there:
            statements.append(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
        elif there[name] != kind:
            values = _given(connection, table, name, there[name], kind)
            # A row's id is a hash of its key, and 1 and 1.0 are different texts.
            if values is None or (spec.parent is None and name in contract.primary_key):
                return None
            statements.append(f"ALTER TABLE {table} ALTER {quoted(name)} TYPE {kind} USING {values}")
    return statements


def _given(connection: duckdb.DuckDBPyConnection, table: str, column: str, former: str, wanted: str) -> str | None:
    """SQL: the values of a column in its new type; None where only a rebuild gives them."""
    values = widened(quoted(column), former, wanted)
    if values is not None:
        return values
    no_value = connection.execute(f"SELECT count({quoted(column)}) FROM {table}").fetchone() == (0,)
    return f"CAST(NULL AS {wanted})" if no_value else None


def _definition(spec: TableSpec, contract: Contract) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in _columns(spec, contract).items())


def _columns(spec: TableSpec, contract: Contract) -> dict[str, str]:
    columns = {column.name: column.type.upper() for column in spec.columns}
    if spec.parent is not None:
        return columns | _CHILD_COLUMNS
    own = {"_deleted": "TIMESTAMPTZ"} if contract.deletes == "soft" else {}
    return columns | _ROOT_COLUMNS | (_HISTORY_COLUMNS if contract.write == "history" else own)
