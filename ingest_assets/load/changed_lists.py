"""Which lists of a fetch's rows are other than those that are there, where no id came twice.

A list that came just as it is there stays, whatever else of its record changed: its rows go on citing the record that
brought them. To write them anew would take longer than to write their records. Wide lists are written nevertheless: of
rows here and there DuckDB reads all columns of all that is around them, and to write a few rows takes less.
"""

from collections.abc import Mapping

from ingest_assets.load.child_rows import child_id
from ingest_assets.load.merging import Merge, texts
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec

_COME = ["inserted", "updated"]
_MOST_COLUMNS = 12  # of a list and those below it: so many are read in the time in which their rows are written


def search(at: Merge, spec: TableSpec, fates: Mapping[str, int]) -> str:
    """SQL: the decided rows whose list is to be written; the places of what goes are found, for `delete_found`.

    The target is one whose columns are those of the staged rows, in this order or in another.
    """
    has_list = quoted(spec.name)
    come = f"(FROM decided WHERE {has_list} AND fate IN ({texts(_COME)}))"
    if known := _known(at, fates):
        # A replaced table is its newest fetch, and cites that.
        compares = "updated" in known and at.contract.write == "merge" and _width(at, spec) <= _MOST_COLUMNS
        parents = f"SELECT _id FROM decided WHERE {has_list} AND fate IN ({texts(known)})"
        _find(at, spec, parents, with_values=compares)
        if compares:
            come = f"(FROM {come} WHERE _id NOT IN (FROM {_note_same(at, spec)}))"
    return come


def delete_found(at: Merge, spec: TableSpec, fates: Mapping[str, int]) -> None:
    """Delete the rows of a list, and those below them, that a search found to go."""
    if not _known(at, fates):
        return
    for inner in at.staged.below(spec.name):
        delete_found(at, inner, fates)
    at.run(f"DELETE FROM {at.target.table(spec.name)} WHERE rowid IN (SELECT _there FROM {_found(spec)})")


def _known(at: Merge, fates: Mapping[str, int]) -> list[str]:
    """The fates of rows that are there and whose lists may change."""
    return [fate for fate in ("updated", *["deleted"] * (at.contract.deletes == "hard")) if fates.get(fate)]


def _width(at: Merge, spec: TableSpec) -> int:
    return len(spec.columns) + sum(_width(at, below) for below in at.staged.below(spec.name))


def _find(at: Merge, spec: TableSpec, parents: str, *, with_values: bool) -> None:
    """Note the rows of a list that are below these parents, and what is below those."""
    inner, columns = at.staged.below(spec.name), ""
    if with_values:
        columns = "".join(f", {quoted(column.name)} AS c{number}" for number, column in enumerate(spec.columns))
        columns += ", _parent, _position"
    columns += ", _id" * bool(inner)  # a hash: it takes as long to read as all else together
    at.run(
        f"CREATE OR REPLACE TEMP TABLE {_found(spec)} AS SELECT rowid AS _there{columns} "
        f"FROM {at.target.table(spec.name)} WHERE _parent IN ({parents})"
    )
    for below in inner:
        _find(at, below, f"SELECT _id FROM {_found(spec)}", with_values=with_values)


def _note_same(at: Merge, spec: TableSpec) -> str:
    """The table of the rows whose list came just as it is there; what is below them is not among what goes any more."""
    same, updated = quoted(f"same {spec.name}"), f"(FROM decided WHERE {quoted(spec.name)} AND fate = 'updated')"
    other = _other(at, spec, updated, "_root_row")
    at.run(f"CREATE OR REPLACE TEMP TABLE {same} AS SELECT _id FROM {updated} WHERE _id NOT IN ({other})")
    _keep(at, spec, f"FROM {same}")
    return same


def _keep(at: Merge, spec: TableSpec, parents: str) -> None:
    for inner in at.staged.below(spec.name):
        _keep(at, inner, f"SELECT _id FROM {_found(spec)} WHERE _parent IN ({parents})")
    at.run(f"DELETE FROM {_found(spec)} WHERE _parent IN ({parents})")


def _other(at: Merge, spec: TableSpec, parents: str, link: str) -> str:
    """SQL: the ids of those parents whose list is not the one that is there, or something below it."""
    came, found = f"({_came(at, spec, parents, link)})", _found(spec)
    differ = " OR ".join(["m.came IS NULL", "t._there IS NULL", *_differences(spec)])
    other = f"SELECT _parent FROM {came} AS m FULL JOIN {found} AS t USING (_parent, _position) WHERE {differ}"
    for inner in at.staged.below(spec.name):
        below = _other(at, inner, came, "_parent_row")
        other += f" UNION SELECT _parent FROM (SELECT _id, _parent FROM {found} UNION SELECT _id, _parent FROM {came}) "
        other += f"WHERE _id IN ({below})"
    return other


def _came(at: Merge, spec: TableSpec, parents: str, link: str) -> str:
    """SQL: the staged rows of a list, as `_find` notes those that are there."""
    names = [f"c{number}" for number in range(len(spec.columns))]
    if spec.name not in at.staged.filled:
        nothing = "".join(f", NULL AS {name}" for name in names)
        return (
            "SELECT NULL::BIGINT AS _row, NULL::UUID AS _id, NULL::UUID AS _parent, NULL::BIGINT AS _position, "
            f"false AS came{nothing} WHERE false"
        )
    columns = "".join(f", c.{quoted(column.name)} AS {name}" for name, column in zip(names, spec.columns, strict=True))
    joined = f"{at.staged.table(spec.name)} AS c JOIN {parents} AS p ON p._row = c.{link}"
    identity = child_id(spec) if at.staged.below(spec.name) else "NULL::UUID"
    return f"SELECT c._row, {identity} AS _id, p._id AS _parent, c._position, true AS came{columns} FROM {joined}"


def _differences(spec: TableSpec) -> list[str]:
    differences = []
    for number, column in enumerate(spec.columns):
        differences.append(f"m.c{number} IS DISTINCT FROM t.c{number}")
        if column.type == "double":  # 0 and -0 are equal, and not the same
            differences.append(f"signbit(m.c{number}) IS DISTINCT FROM signbit(t.c{number})")
    return differences


def _found(spec: TableSpec) -> str:
    return quoted(f"places in {spec.name}")
