"""What the rules of the design say of any fetches, told again in a few lines of plain Python; and such fetches.

A fetch is its number, its partition, its pages and its verdict.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import xxhash
from hypothesis import strategies as st

AT = {"at": {"type": "bigint"}}
_MOMENT = {"at": {"type": "timestamptz", "format": "unix", "required": True}}
_GONE = {"path": "gone", "equals": True}
_DAILY = {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": "2026-01-01"}}
MODES: dict[str, dict[str, Any]] = {
    "by newest_by": {**_DAILY, "primary_key": "id", "newest_by": "at", "columns": AT, "deleted": _GONE},
    "by their order": {**_DAILY, "primary_key": "id", "columns": AT, "deleted": _GONE},
    "without tombstones": {**_DAILY, "primary_key": "id", "columns": AT},
    "replaced partitions": {**_DAILY, "primary_key": "id", "columns": AT, "write": "replace_partition"},
    "replaced without key": {**_DAILY, "columns": AT, "write": "replace_partition"},
    "replaced as a whole": {"primary_key": "id", "columns": AT, "write": "replace"},
    "added": {"columns": AT, "write": "append"},
    "added by key": {"primary_key": "id", "columns": AT, "write": "append"},
    "history by their order": {**_DAILY, "primary_key": "id", "columns": AT, "deleted": _GONE, "write": "history"},
    "history by newest_by": {
        **_DAILY, "primary_key": "id", "newest_by": "at", "columns": _MOMENT, "deleted": _GONE, "write": "history",
    },
    "swept": {"primary_key": "id", "columns": AT, "deleted": _GONE, "sweep": {"most": 1}},
    "swept softly": {"primary_key": "id", "columns": AT, "deleted": _GONE, "sweep": {"most": 1}, "deletes": "soft"},
    "swept history": {"primary_key": "id", "columns": AT, "deleted": _GONE, "sweep": {"most": 1}, "write": "history"},
}  # fmt: skip


def _records(ids: range) -> st.SearchStrategy[dict[str, Any]]:
    subs = st.lists(st.integers(0, 1), max_size=2)
    line = st.fixed_dictionaries({"n": st.integers(0, 1)}, optional={"subs": subs})
    halves = [{f"k{n}": n for n in range(first, first + 9)} for first in (0, 9)]  # no key in common, so one text
    wild = st.sampled_from([None, 1, 2, 0.5, 2**70, "x", True, {"c": 1}, [7]])
    return st.fixed_dictionaries(
        {"id": st.sampled_from([*ids, *ids, *ids, *ids, None])},
        optional={
            "at": st.sampled_from([1, 1, 2, 2, 3, 3, 4, None, "no number"]),
            "v": st.one_of(st.sampled_from([1, 2]), wild),
            "lines": st.one_of(st.none(), st.lists(line, max_size=2)),
            "gone": st.just(True),
            "late": st.sampled_from([None, "new column"]),
            "labels": st.sampled_from([None, {}, {"k8": 1}, *halves]),
        },
    )


@st.composite
def pages(draw: st.DrawFn, mode: str, partition: str | None) -> list[list[Any]]:
    """What a fetch of a partition brings."""
    model = MODES[mode]
    # Only newest_by makes sense of a key that comes in several partitions.
    ids = range(3) if "newest_by" in model or partition != "2026-01-02" else range(10, 13)
    found = draw(st.lists(st.lists(_records(ids), max_size=4), min_size=1, max_size=2))
    if model["columns"] is _MOMENT:  # a required column that no record of a fetch has is a matter of its own
        found[0].append({"id": 9, "at": 1})
    return found


def partitions(mode: str) -> list[str | None]:
    """Those that fetches of a mode are of."""
    return ["2026-01-01", "2026-01-02"] if "partitions" in MODES[mode] else [None]


VERDICTS = ["complete", "complete", "incomplete", "failed"]


def _parsed(raw: bytes) -> Any:
    return json.loads(raw, parse_float=Decimal)


def _versions(fetches: list[Any]) -> Iterator[tuple[tuple[int, int, int], str | None, bytes, dict[str, Any]]]:
    for number, partition, pages, _ in fetches:
        for page, records in enumerate(pages):
            for position, record in enumerate(records):
                raw = json.dumps(record).encode()
                yield (number, page, position), partition, raw, _parsed(raw)


def _fits(record: dict[str, Any], model: dict[str, Any]) -> bool:
    if model["columns"] is _MOMENT and record.get("at") is None and "gone" not in record:
        return False
    return ("primary_key" not in model or record["id"] is not None) and not isinstance(record.get("at"), str)


def _expected(mode: str, fetches: list[Any]) -> tuple[Counter[Any], dict[str, Counter[Any]]]:
    """Rows as (hash, record), and for each list its (hash, elements)."""
    model = MODES[mode]
    if model.get("write") in ("append", "history"):
        return _expected_of_all(model, fetches)
    if "sweep" in model:
        return _expected_of_swept(model, fetches)
    merged = "write" not in model
    counting = [f for f in fetches if f[3] == "complete" or (merged and f[3] == "incomplete")]
    if not merged:
        counting = list({f[1]: f for f in counting}.values())
    keys: dict[Any, list[Any]] = {}
    for place, partition, raw, record in _versions(counting):
        if _fits(record, model):
            key = (partition, place if "primary_key" not in model else record["id"]) if not merged else record["id"]
            at = record.get("at") if "newest_by" in model else None
            told = (at is not None, at or 0, place)
            keys.setdefault(key, []).append((told, _hash(raw), record, "deleted" in model and "gone" in record))
    rows: Counter[Any] = Counter()
    lists: dict[str, Counter[Any]] = {"lines": Counter(), "v": Counter()}
    for versions in keys.values():
        _, hash_, record, gone = max(versions, key=lambda version: version[0])
        if not gone:
            rows[hash_, _flat(record.get("v"))] += 1
        for name, found in lists.items():
            having = [v for v in versions if v[3] or isinstance(v[2].get(name), list)]
            having = having if merged else [max(versions, key=lambda version: version[0])]
            if having and not (newest := max(having, key=lambda version: version[0]))[3]:
                found.update(_listed(newest[2], name))
    return rows, lists


def _expected_of_all(model: dict[str, Any], fetches: list[Any]) -> tuple[Counter[Any], dict[str, Counter[Any]]]:
    rows: Counter[Any] = Counter()
    lists: dict[str, Counter[Any]] = {"lines": Counter(), "v": Counter()}
    kept = _added(model, fetches) if model["write"] == "append" else [row for row, _, _ in _held(model, fetches)]
    for hash_, record in kept:
        rows[hash_, _flat(record.get("v"))] += 1
        for name, found in lists.items():
            found.update(_listed(record, name))
    return rows, lists


def _fitting(
    model: dict[str, Any], fetches: list[Any]
) -> Iterator[tuple[tuple[int, int, int], uuid.UUID, dict[str, Any]]]:
    for place, _, raw, record in _versions([f for f in fetches if f[3] != "failed"]):
        if _fits(record, model):
            yield place, _hash(raw), record


def _added(model: dict[str, Any], fetches: list[Any]) -> list[tuple[uuid.UUID, dict[str, Any]]]:
    """All records, the last of each key in a fetch."""
    found = {}
    for place, hash_, record in _fitting(model, fetches):
        found[place if "primary_key" not in model else (place[0], record["id"])] = (hash_, record)
    return list(found.values())


def _held(model: dict[str, Any], fetches: list[Any]) -> list[tuple[tuple[uuid.UUID, Any], datetime, datetime | None]]:
    """All versions, since when and until when each held."""
    moments: dict[Any, dict[datetime, Any]] = {}
    swept = {f[0]: {r["id"] for page in f[2] for r in page} for f in fetches if _sweeps(model, f)}
    for place, hash_, record in _fitting(model, fetches):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=place[0])
        if "newest_by" in model and record.get("at") is not None:
            moment = datetime.fromtimestamp(record["at"], UTC)
        moments.setdefault(record["id"], {})[moment] = (hash_, record)  # of one moment, the last place
    rows = []
    for id_, versions in moments.items():
        for number in (number for number, ids in swept.items() if id_ not in ids):
            versions[datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)] = (None, {"gone": True})
        held: Any = None
        for moment, (hash_, record) in sorted(versions.items(), key=lambda told: told[0]):
            if held is not None and held[0][0] == hash_ and "gone" not in record:
                continue
            rows += [(*held, moment)] if held is not None else []
            held = None if "gone" in record else ((hash_, record), moment)
        rows += [(*held, None)] if held is not None else []
    return rows


def _expected_of_swept(model: dict[str, Any], fetches: list[Any]) -> tuple[Counter[Any], dict[str, Counter[Any]]]:
    """Fetch by fetch: what a complete one that fits did not bring goes, then come its versions."""
    soft, rows, lists = "deletes" in model, dict[Any, Any](), dict[Any, Any]()
    for fetch in [f for f in fetches if f[3] != "failed"]:
        came = [(hash_, record) for _, hash_, record in _fitting(model, [fetch])]
        gone = rows.keys() - {record["id"] for _, record in came} if _sweeps(model, fetch) else set()
        gone |= {id_ for id_, record in {r["id"]: r for _, r in came}.items() if "gone" in record}
        for hash_, record in came:
            if record["id"] not in gone:
                rows[record["id"]] = (hash_, record)
        for _, record in came:
            for name in ("lines", "v"):
                tells = isinstance(record.get(name), list) or ("gone" in record and not soft)
                if record["id"] not in gone and tells and not (soft and "gone" in record):
                    lists[record["id"], name] = record if "gone" not in record else {}
        if not soft:
            rows = {id_: row for id_, row in rows.items() if id_ not in gone}
            lists = {at: told for at, told in lists.items() if at[0] not in gone}
    found: dict[str, Counter[Any]] = {"lines": Counter(), "v": Counter()}
    for (_, name), record in lists.items():
        found[name].update(_listed(record, name))
    return Counter((hash_, _flat(record.get("v"))) for hash_, record in rows.values()), found


def _sweeps(model: dict[str, Any], fetch: Any) -> bool:
    fitting = all(_fits(record, model) for page in fetch[2] for record in page)
    return "sweep" in model and fetch[3] == "complete" and fitting


def _listed(record: dict[str, Any], name: str) -> Iterator[tuple[uuid.UUID, int, str]]:
    """The child rows of a list: the hash of the list, and place and value of each."""
    for number, item in enumerate(_items_of(record, name)):
        yield _hash(json.dumps(record[name]).encode()), number, _flat(item)


def _items_of(record: dict[str, Any], name: str) -> list[Any]:
    return value if isinstance(value := record.get(name), list) else []


def _hash(raw: bytes) -> uuid.UUID:
    return uuid.UUID(xxhash.xxh3_128_hexdigest(raw))


def _flat(value: Any) -> str:
    """A text that is the same for values that are the same, whatever type their column has."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        value = int(value) if value == int(value) else str(value.normalize())
    if isinstance(value, dict):
        value = {key: inner for key, inner in value.items() if inner != []}
        return json.dumps({key: _flat(inner) for key, inner in sorted(value.items())})
    return json.dumps(value, default=str)


def _found(things: Any) -> tuple[Counter[Any], dict[str, Counter[Any]]]:
    tables = things.tables()
    types = things.columns() if "things" in tables else {}
    lists = {"lines": Counter(_lines(things, tables)), "v": Counter(_items(things, tables))}
    if not types:
        return Counter(), lists
    names = ["_hash", *(name for name in types if name.startswith("v"))]
    quoted = ", ".join(f'"{name}"' for name in names)
    rows = Counter()
    for values in things.rows(f"SELECT {quoted} FROM w.shop.things"):  # noqa: S608 -- the test's own names
        row = dict(zip(names, values, strict=True))
        value = row.get("v")
        if types.get("v") == "JSON" and value is not None:
            value = _parsed(value)
        elif row.get("v__c") is not None:
            value = {"c": row["v__c"]}
        rows[row["_hash"], _flat(value)] += 1
    return rows, lists


def _lines(things: Any, tables: list[str]) -> Iterator[Any]:
    if "things__lines" not in tables:
        return
    subs: dict[Any, dict[int, int]] = {}
    if "things__lines__subs" in tables and "value" in things.columns("things__lines__subs"):
        for parent, position, value in things.rows("SELECT _parent, _position, value FROM w.shop.things__lines__subs"):
            subs.setdefault(parent, {})[position] = value
    n = "n" if "n" in things.columns("things__lines") else "NULL"
    for id_, hash_, position, value in things.rows(
        f"SELECT _id, _hash, _position, {n} FROM w.shop.things__lines"  # noqa: S608 -- the test's own names
    ):
        below = [value for _, value in sorted(subs.pop(id_, {}).items())]
        yield hash_, position, _flat({"n": value, "subs": below})
    assert not subs, "child rows without a parent"


def _items(things: Any, tables: list[str]) -> Iterator[Any]:
    if "things__v" in tables:
        for hash_, position, value in things.rows("SELECT _hash, _position, value FROM w.shop.things__v"):
            yield hash_, position, _flat(value)


def check_rules(things: Any, mode: str, fetches: list[Any]) -> None:
    """The tables hold what the rules say of these fetches."""
    expected_rows, expected_lists = _expected(mode, fetches)
    rows, lists = _found(things)
    if "things__v" in things.tables():
        without = Counter({(hash_, "null"): 0 for hash_, _ in expected_rows})
        for (hash_, _), count in expected_rows.items():
            without[hash_, "null"] += count
        expected_rows = +without
    else:
        expected_lists["v"] = Counter()
    assert rows == expected_rows
    assert lists == expected_lists
    if MODES[mode].get("write") == "history" and "things" in things.tables():
        _check_validity(things, MODES[mode], fetches)


def _check_validity(things: Any, model: dict[str, Any], fetches: list[Any]) -> None:
    found = things.rows("SELECT _hash, valid_from, valid_until, current FROM w.shop.things")
    expected = Counter((row[0], since, until, until is None) for row, since, until in _held(model, fetches))
    assert Counter(found) == expected


def check_lineage(things: Any, fetches: list[Any]) -> None:
    """Rows cite a fetch, page and position that brought just this record; child rows a page that brought their list."""
    versions = list(_versions(fetches))
    brought = {(place, _hash(raw)) for place, _, raw, _ in versions}
    lists = {
        (place[:2], _hash(json.dumps(record[name]).encode()))
        for place, _, _, record in versions
        for name in ("lines", "v")
        if _items_of(record, name)
    }
    for table in things.tables():
        root = table == "things"
        for *place, hash_ in things.rows(
            f'SELECT _fetch, _page, _position, _hash FROM w.shop."{table}"'  # noqa: S608 -- the test's own names
        ):
            assert (tuple(place), hash_) in brought if root else (tuple(place[:2]), hash_) in lists
