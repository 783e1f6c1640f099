"""A staged fetch: its rows, each with its id and its rank among the versions of its key."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import duckdb
from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.load.warehouse import literal, quoted
from ingest_assets.normalize.registry import TableSpec

_LAST_MOMENT = "INTERVAL 1 SECOND"  # as far as an API may look that cuts its times to what the bound was written in
RANKED = "_ranked"
_NARROW = ("tinyint", "smallint", "integer", "bigint", "hugeint", "date")
ORDER = "_newest DESC NULLS LAST, _page DESC, _position DESC"


class Staged(Struct, frozen=True):
    """A staged fetch: its tables are in schema `f<fetch>` of the staging database. `filled` are those with rows.

    `started` is when its walk began; `since` is the first moment of its partition and `until` the first one after it,
    where it has any; `forgotten` counts records that were taken out of its pages, `dropped` values that the contract
    leaves out. `counts` are those of values, by column of the root table. `distinct` where it is known that no key, and
    once it is ranked, that no id comes twice in it. `views` stand in the place of tables, by name. It is `several`
    where it is many fetches put together (see `ingest_assets.load.together`).
    """

    fetch: int
    partition: str | None
    specs: tuple[TableSpec, ...]
    received: int
    quarantined: int
    filled: frozenset[str]
    started: datetime
    until: datetime | None = None
    forgotten: int = 0
    since: datetime | None = None
    dropped: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    distinct: bool = False
    views: Mapping[str, str] = field(default_factory=dict)
    several: bool = False

    def table(self, name: str) -> str:
        """The full name of one of its tables."""
        return self.views.get(name) or f"{quoted(f'f{self.fetch}')}.{quoted(name)}"

    @property
    def root(self) -> TableSpec:
        """The endpoint's own table."""
        return self.specs[0]

    @property
    def ranked(self) -> str:
        """The full name of the table that `rank` makes."""
        return self.table(RANKED)

    def below(self, name: str) -> list[TableSpec]:
        """The tables of the lists in the records of one of its tables."""
        return [spec for spec in self.specs if spec.parent == name]


def ranked(
    connection: duckdb.DuckDBPyConnection, staged: Sequence[Staged], contract: Contract, *, empty: bool
) -> list[Staged]:
    """The fetches with every staged row given its id, and its rank among the versions of its key (1 is the newest).

    A row's id is a hash of its primary key; where there is none, of its content and how often that came. Tables
    that are replaced by partition have the partition in it, so that partitions can't take each other's rows. Where
    all fetches are added, it is that of the fetch and of the key, or the place, in it; in a history, that of the key
    and of the moment from which the version holds.

    `empty` are the tables that the first of them comes into: then its ids are needed once, and not kept to be compared.
    """
    return [_ranked(connection, one, contract, once=empty and not number) for number, one in enumerate(staged)]


def _ranked(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract, *, once: bool) -> Staged:
    distinct = _is_distinct(connection, staged, contract)
    rank = "1" if distinct else f"row_number() OVER (PARTITION BY _id ORDER BY {ORDER})"
    key = hashed(_key(staged, contract)) if contract.write == "history" else "NULL::UUID"
    newest = quoted(contract.newest_by) if contract.newest_by else "NULL::BIGINT"
    lists = "".join(listed(spec, contract) for spec in staged.below(staged.root.name))
    lists += "".join(f", {quoted(name)} AS {quoted(as_)}" for as_, name in compared(staged, contract).items())
    connection.execute(f"""
        CREATE {"VIEW" if distinct and once and not _sorted(contract) else "TABLE"} {staged.ranked} AS
        SELECT *, {rank} AS _rank
        FROM (
            SELECT _row, {_id(staged, contract)} AS _id, {newest} AS _newest,
                {key} AS _key, CAST({staged.fetch} AS BIGINT) AS _of, _page, _position, _hash, _deleted{lists}
            FROM {staged.table(staged.root.name)}
            WHERE {_is_inside(staged, contract)}
        )""")
    return replace(staged, distinct=distinct)


def compared(staged: Staged, contract: Contract) -> dict[str, str]:
    """Columns of a ranked fetch that are compared with those of rows that are there: of which column each is."""
    names = [(f"key {name}", name) for name in _narrow_key(staged, contract)]
    return dict([*names, *((f"given {name}", name) for name in _given(staged, contract))])


def same_row(staged: Staged, contract: Contract) -> str:
    """SQL: the row `t` of a merged table has the id of the ranked one `r`.

    Where the key is of narrow columns, these are compared: DuckDB reads less, and passes over what it stores together
    where all of it is beyond the keys that came. An id is a hash, and scattered.
    """
    narrow = _narrow_key(staged, contract)
    ids = ["t._id = r._id"] * (len(narrow) < len(contract.primary_key) or not narrow)
    return " AND ".join(ids + [f"t.{quoted(name)} = r.{quoted(f'key {name}')}" for name in narrow])


def _narrow_key(staged: Staged, contract: Contract) -> list[str]:
    """Columns of the key, if an id is made of that alone; none of them is ever null."""
    types = {column.name: column.type for column in staged.root.columns}
    return [name for name in contract.primary_key if contract.write == "merge" and types.get(name) in _NARROW]


def same_version(staged: Staged, contract: Contract) -> str:
    """SQL: row `t` is of the same record as the ranked one `r`, and both are of the same partition and parent."""
    given = ((f"t.{quoted(name)}", f"r.{quoted(f'given {name}')}") for name in _given(staged, contract))
    same = [f"{there} IS NOT DISTINCT FROM {came}" for there, came in given]
    return " AND ".join(["t._hash = r._hash", *same])


def _given(staged: Staged, contract: Contract) -> list[str]:
    """Columns of the root table whose values are no matter of the record."""
    columns = contract.columns
    return [column.name for column in staged.root.columns if column.name in columns and columns[column.name].given]


def rows(staged: Staged, contract: Contract) -> str:
    """SQL: the rows of a ranked fetch as they are inserted, with all columns of the contract."""
    names = "".join(f"s.{quoted(column.name)}, " for column in staged.root.columns)
    told, table = "_page, _position, _hash", f"{staged.table(staged.root.name)} AS s"
    if not (_sorted(contract) or staged.several):
        told = f"CAST({staged.fetch} AS BIGINT) AS _fetch, {told}"
        return f"SELECT {names}{_id(staged, contract)} AS _id, {told} FROM {table} WHERE {_is_inside(staged, contract)}"
    named = f"SELECT _row, _id, _of FROM {staged.ranked}"
    return f"SELECT {names}r._id, r._of AS _fetch, {told} FROM {table} JOIN ({named}) AS r USING (_row)"


def _is_distinct(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract) -> bool:
    """Whether no id comes twice, as its key tells: what is more costly to find out, is not."""
    if contract.write == "history":
        return False
    if staged.distinct or not contract.primary_key:
        return True
    there = {column.name for column in staged.root.columns}
    names = ", ".join(quoted(name) for name in contract.primary_key if name in there)
    twice = connection.execute(
        f"SELECT 1 FROM {staged.table(staged.root.name)} WHERE {_is_inside(staged, contract)} "
        f"{f'GROUP BY {names}' if names else ''} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    return twice is None


def _sorted(contract: Contract) -> bool:
    """Whether ids take a sort of all rows, as that by content does."""
    return not contract.primary_key and contract.write != "append"


def _id(staged: Staged, contract: Contract) -> str:
    return hashed(_identity(staged, contract))


def _is_inside(staged: Staged, contract: Contract) -> str:
    """SQL: the row is of its fetch's partition, and not of the next one, whose first moment the API told too.

    What lies farther outside is left in: the next partition would not bring it. But for collections that take no lower
    bound, where each partition brings all that is newer: there whatever is outside of it is another one's.
    """
    name = contract.within or contract.position
    there = {column.name for column in staged.root.columns}
    if staged.since is None or staged.until is None or name is None or name not in there:
        return "true"
    since, until = (f"CAST({literal(at.isoformat())} AS TIMESTAMPTZ)" for at in (staged.since, staged.until))
    if contract.within is not None:
        return f"coalesce({quoted(name)} >= {since} AND {quoted(name)} < {until}, true)"
    beyond = f"{quoted(name)} >= {until} AND {quoted(name)} < {until} + {_LAST_MOMENT}"
    return f"NOT coalesce({beyond}, false)"


def _identity(staged: Staged, contract: Contract) -> str:
    """SQL: the text that makes a row this one and no other."""
    if contract.write == "history":
        moment = literal(f"fetch {staged.fetch}")
        if contract.newest_by:
            moment = f"coalesce(CAST(epoch_us({quoted(contract.newest_by)}) AS VARCHAR), {moment})"
        texts = [moment, "'/'", _key(staged, contract)]
    elif contract.write == "append":
        own = _key(staged, contract) if contract.primary_key else "concat(_page, '/', _position)"
        texts = [str(staged.fetch), "'/'", own]
    elif contract.replaces:
        texts = [literal(staged.partition or ""), "'/'", _key(staged, contract)]
    else:
        return _key(staged, contract)
    return f"concat({', '.join(texts)})"


def _key(staged: Staged, contract: Contract) -> str:
    """SQL: the text of a row's primary key; where there is none, of its content and how often that came."""
    if contract.primary_key:
        there = {column.name for column in staged.root.columns}  # a key not seen yet has no column, and no row has it
        parts = [f"CAST({quoted(n) if n in there else 'NULL'} AS VARCHAR)" for n in contract.primary_key]
        return key_text(parts)
    return "concat(_hash, ':', row_number() OVER (PARTITION BY _hash ORDER BY _page, _position))"


def hashed(text: str) -> str:
    """SQL: the hash of a text, as ids are made of it."""
    return f"CAST(md5_number({text}) AS UUID)"  # to write digits and read them again takes as long as the hash


def child_id(table: str) -> str:
    """SQL: the id of a row `c` of a list, which follows from that of its parent `p` and its place.

    The parent's is a hash already, so it need not be hashed again: its bits are turned over by a multiple of a number
    that is the table's own. That is as distinct, and takes an eighth of the time. A place has less than 32 bits, and
    the number 96.
    """
    number = int.from_bytes(hashlib.sha256(table.encode()).digest()[:12], "big") | 1
    return f"CAST(xor(CAST(p._id AS UHUGEINT), CAST(c._position + 1 AS UHUGEINT) * {number}::UHUGEINT) AS UUID)"


def key_text(parts: Sequence[str]) -> str:
    """SQL: what is hashed for the id of a row with a primary key; `parts` are its values, as text."""
    if len(parts) == 1:
        return parts[0]
    told = ", ".join(f"length({part}), ':', {part}" for part in parts)
    return f"concat({told})"


def listed(spec: TableSpec, contract: Contract, *, came: bool = True) -> str:
    """SQL: columns of a ranked fetch: whether a row says what this list is, and the hash of it, if it `came` with any.

    Their names are the list's table and its `list_hash`.
    """
    told = list_hash(spec) if came else "NULL::UUID"
    # A replaced table knows its newest fetch only, so there a list that is absent is as good as empty.
    emptied = " OR _deleted" if contract.deletes == "hard" else ""
    says = f"({told} IS NOT NULL{emptied})" if contract.write == "merge" else "true"
    return f", {says} AS {quoted(spec.name)}, {told} AS {list_hash(spec)}"


def list_hash(spec: TableSpec) -> str:
    """SQL: the column of a staged root table, and of a ranked fetch, that has the hash of a list as it came."""
    return quoted(spec.list_hash or "")


def held(specs: Sequence[TableSpec]) -> tuple[TableSpec, ...]:
    """The tables without columns that held only null so far: these may still become anything, also several columns."""
    return tuple(replace(spec, columns=tuple(c for c in spec.columns if not c.empty)) for spec in specs)
