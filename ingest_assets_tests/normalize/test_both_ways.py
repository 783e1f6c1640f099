"""The quick way and the exact way, block sizes and orders: all give the same tables."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.column import Money
from ingest_assets.contract import Children, Column, Contract, Tombstone
from ingest_assets.http.decoders import Block
from ingest_assets.modes import Modes
from ingest_assets.normalize.normalize import Batch, Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.together import Placed, batches

CONTRACTS = {
    "bare": Contract(),
    "keyed": Contract(primary_key=("id",), deleted=Tombstone(path="o.a", equals=1), children={"t": Children()}),
    "declared": Contract(
        columns={
            "id": Column(type="bigint"),
            "at": Column(type="timestamptz", path="a"),
            "amount": Column(type="decimal(9,2)", path="b"),
            "deep": Column(type="double", path="o.a"),
            "all": Column(type="json", path="c"),
            "part": Column(type="varchar", path="c.a"),
        },
        children={
            "l": Children(columns={"n": Column(type="hugeint", path="b")}),
            "o.l": Children(columns={"value": Column(type="varchar")}),
        },
        primary_key=("id",),
        deleted=Tombstone(path="gone", equals=True),
    ),
}
CONTRACTS["of a partition"] = Contract(
    columns={
        "a": Column(type="varchar", from_partition="account"),
        "day": Column(type="date", from_partition="day"),
        "id": Column(type="bigint"),
    },
    primary_key=("a", "id"),
)
CONTRACTS["ruled"] = Contract(
    columns={
        "id": Column(type="bigint", max=2),
        "at": Column(type="timestamptz", path="a", max="2026-01-02T03:04:05", default="2026-01-01"),
        "amount": Column(type="decimal(9,3)", path="b", money=Money(currency_from="code"), max=1000),
        "code": Column(
            type="varchar", path="c", values={"EUR": ["x", "1.5", True], "JPY": [1], "KWD": []}, default="EUR"
        ),
        "deep": Column(type="double", path="o.a", min=0, max="1.5", default=0.25),
        "n": Column(type="decimal(20,2)", min="0.10", default=17),
    },
    children={
        "l": Children(columns={"n": Column(type="hugeint", path="a", min=1, default=5)}),
        "t": Children(columns={"value": Column(type="varchar", pattern="x|y+", default="y")}),
    },
    primary_key=("id",),
)
CONTRACTS["written in plain forms"] = Contract(
    columns={
        "id": Column(type="bigint"),
        "due": Column(type="decimal(9,2)", path="b", money=Money(currency_from="code", unit="major")),
        "code": Column(type="varchar", path="c"),
        "since": Column(type="timestamptz", path="n", format="unix"),
        "deep": Column(type="decimal(5,2)", path="o.a"),
    },
    children={"l": Children(columns={"a": Column(type="timestamp", format="unix_ms"), "b": Column(type="uuid")})},
    primary_key=("id",),
)
CONTRACTS["dropping"] = Contract(
    columns={
        "id": Column(type="bigint"),
        "at": Column(type="timestamptz", path="a"),
        "n": Column(type="decimal(9,2)", min=1),
        "deep": Column(type="bigint", path="o.a", default=7),
        "must": Column(type="varchar", path="c", unfit="quarantine"),
    },
    children={
        "l": Children(columns={"a": Column(type="bigint")}),
        "t": Children(columns={"value": Column(type="varchar", pattern="x")}, contract="evolve"),
    },
    primary_key=("id",),
    modes=Modes(tables="drop", columns="drop", types="drop"),
    deleted=Tombstone(path="gone", equals=True),
)
CONTRACTS["dropping what says that a key is gone"] = Contract(
    columns={"id": Column(type="bigint"), "must": Column(type="varchar", path="c", required=True)},
    modes=Modes(tables="drop", columns="drop"),
    deleted=Tombstone(path="o.a", equals=1),
)
CONTRACTS["closed"] = Contract(
    columns={"id": Column(type="bigint"), "b": Column(type="json"), "deep": Column(type="json", path="o.a")},
    children={"l": Children(columns={"a": Column(type="bigint")}, contract={"tables": "drop", "types": "drop"})},
    primary_key=("id",),
    modes=Modes(tables="quarantine", columns="quarantine"),
)
CONTRACTS["without new lists"] = Contract(
    columns={"b": Column(type="varchar", unfit="drop")}, modes=Modes(tables="drop", columns="evolve")
)
CONTRACTS["lists of anything"] = Contract(
    children={
        "l": Children(columns={"value": Column(type="json")}, contract="quarantine"),
        "t": Children(columns={"value": Column(type="json", default="none")}),
        "c": Children(columns={"value": Column(type="json")}, contract="drop"),
    },
    primary_key=("id",),
)
PARTITION = {"account": "a/1", "day": "2026-01-07"}
KEYS = ["a", "b", "c", "o", "l", "A", "a_b", "é", "", "$x y", 'q"', "order", "gone", "id"]
NUMBERS = [
    "0",
    "-0",
    "1",
    "-7",
    "1.0",
    "1.50",
    "-0.0",
    "0.1",
    "1e3",
    "1E-5",
    "9007199254740993",
    "9223372036854775808",
    "123456789012345678901234567890",
    "1e50",
    "1" + "0" * 50,
    "1" * 60,
    "0.12345678901234567891",
    "12345678901234567890.12",
    "1e400",
    "1e-400",
    "1e-310",
    "1.7976931348623157e308",
    "0.30000000000000004",
]
TEXTS = [
    '"x"',
    '""',
    '":"',
    '"n:1111111111111111e99999999999999999999"',
    '"2026-01-02T03:04:05Z"',
    '"1.5"',
    '"\\u00e9\\n\\u0000"',
    '"a\\":b"',
    '"\\ud83d\\ude00"',
]
BAD = ['"\\ud800"', "NaN", "1e-99999999999999999999", "01", '{"a":1,"a":2}', "[" * 210 + "]" * 210]
BAD += ['"\udcff"', '{"\udcff":1}', '[{"a":"\udcff"}]']  # `cut` writes them as bytes that are not UTF-8


def twins(spaces: list[str]) -> str:
    """An object whose key `a` stands twice, each key with its own space before the colon."""
    return "{" + ",".join(f'"{key}"{space}:1' for key, space in zip("aabc", spaces, strict=True)) + "}"


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=4, unique_by=lambda pair: pair[0])
    space = st.sampled_from(["", " ", "\n"])
    return st.builds(
        lambda pairs, s: "{" + f",{s}".join(f"{json.dumps(k)}{s}:{s}{v}" for k, v in pairs) + "}", pairs, space
    )


SCALARS = st.sampled_from(["null", "null", "true", "false", *NUMBERS, *TEXTS])
VALUES = st.recursive(
    SCALARS, lambda inner: objects(inner) | st.lists(inner, max_size=3).map(lambda v: f"[{','.join(v)}]"), max_leaves=8
)
# Records that agree on most of their kinds, as those of an API do: else all columns end as json.
PLAIN = st.fixed_dictionaries(
    {"id": st.sampled_from(["1", "2", "-3"])},
    optional={
        "a": st.sampled_from(['"2026-01-02T03:04:05Z"', '"2026-01-02 03:04:05.1234567+02:00"', "null", '"x"']),
        "b": st.sampled_from(["1", "1.5", "0.25", '"12.30"', "null", "1e3"]),
        "o": objects(st.sampled_from(["1", "2.5", "null", "0.1"])),
        "l": st.lists(objects(st.sampled_from(["1", "null", "9007199254740993"])) | st.just("null"), max_size=3).map(
            lambda items: f"[{','.join(items)}]"
        ),
        "c": VALUES | st.sampled_from(['"x"', '"KWD"', "1", "true", "1.0", '"JPY"']),
        "gone": st.sampled_from(["true", "false", "1", "null"]),
        "n": st.sampled_from(["1", "17", "9223372036854775807", "1.5", "1.25", "null"]),
        "t": st.lists(st.sampled_from(['"x"', '"y"', "null"]), max_size=3).map(lambda items: f"[{','.join(items)}]"),
    },
).map(lambda record: "{" + ",".join(f'"{key}":{value}' for key, value in record.items()) + "}")
SPACES = st.lists(st.sampled_from(["", " ", "\n", "  ", "\t \n"]), min_size=4, max_size=4)
RECORDS = st.lists(
    PLAIN | PLAIN | objects(VALUES) | objects(VALUES | st.sampled_from(BAD) | SPACES.map(twins)) | SPACES.map(twins),
    min_size=1,
    max_size=12,
)


Outcome = tuple[Normalizer, list[Batch]]


def fetched(blocks: Sequence[Any], contract: Contract, registry: Registry, *, quick: bool = True) -> Outcome:
    """The batches of a fetch, started again with the wider registry as often as it asks for."""
    while True:
        normalizer = Normalizer("things", contract, registry, PARTITION, quick=quick)
        try:
            return normalizer, [normalizer.batch(block, page) for page, block in enumerate(blocks)]
        except Widened as wider:
            registry = wider.registry


def cut(make_block: Any, records: Sequence[str], size: int, *, lines: bool = False) -> list[Any]:
    """The records in blocks of this size."""
    pieces = [records[at : at + size] for at in range(0, len(records), size)]
    return [make_block(*[record.encode("utf-8", "surrogatepass") for record in piece], lines=lines) for piece in pieces]


def tree(normalizer: Normalizer, batches: Sequence[Batch]) -> list[str]:
    """The content of all tables, a text a record with its child rows inside, without ordinals and places."""
    rows: dict[str, dict[int, dict[str, Any]]] = {spec.name: {} for spec in normalizer.specs}
    for batch in batches:
        for name, table in batch.tables.items():
            rows[name].update({row["_row"]: row for row in table.to_pylist()})
    for spec in reversed(normalizer.specs):
        lists = {child.list_hash for child in normalizer.specs if child.parent == spec.name}
        names = {column.name for column in spec.columns} | {"_hash", "_deleted"} | lists
        for row in rows[spec.name].values():
            content = {name: repr(value) for name, value in row.items() if name in names and value is not None}
            below = sorted((name, value) for name, value in row.items() if name.startswith(">"))
            row["content"] = json.dumps([sorted(content.items()), below])
            if spec.parent:
                rows[spec.parent][row["_parent_row"]].setdefault(f">{spec.name}", []).append(row["content"])
    return sorted(row["content"] for row in rows["things"].values())


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=70, deadline=None)
@given(records=RECORDS, size=st.integers(1, 12), times=st.sampled_from([1, 1, 9]), lines=st.booleans())
def test_both_ways_give_the_same_tables(block, name, records, size, times, lines):
    lines = lines and not any("\n" in record for record in records)
    blocks = cut(block, records * times, size * times, lines=lines)

    exact, by_one = fetched(blocks, CONTRACTS[name], Registry.empty(), quick=False)
    quick, at_once = fetched(blocks, CONTRACTS[name], Registry.empty())

    assert quick.registry.to_json() == exact.registry.to_json()
    for one, other in zip(by_one, at_once, strict=True):
        assert other.quarantined == one.quarantined
        assert other.dropped == one.dropped
        assert other.tables.keys() == one.tables.keys()
        for table in one.tables:
            assert other.tables[table].to_pylist() == one.tables[table].to_pylist()
            assert other.tables[table].schema == one.tables[table].schema


def test_a_key_that_stands_twice_is_noticed_beside_a_text_that_looks_like_one(block):
    contract = Contract(columns={"id": Column(type="bigint"), "j": Column(type="json")}, primary_key=("id",))
    records = ['{"id":1,"a":1,"j":{"k":"v"}}'] * 60 + ['{"id":2,"a" :1,"a" :2,"j":{"k":":"}}']

    _, (*_, last) = fetched(cut(block, records, 30), contract, Registry.empty())

    assert [one.reason for one in last.quarantined] == ["the key 'a' stands twice in one object"]


@pytest.mark.parametrize(("text", "columns"), [('{"a":1}', ["value", "a"]), ('{"value":1}', ["value"])])
def test_an_object_is_no_value_of_a_list_of_json_that_is_known(block, text, columns):
    contract = Contract(children={"l": Children(columns={"value": Column(type="json")})})
    records = ['{"l":["x",[1]]}'] * 60 + [f'{{"l":[2,{text}]}}']

    normalizer, (*_, last) = fetched(cut(block, records, 60), contract, Registry.empty())

    assert [column.name for column in normalizer.specs[1].columns] == columns
    assert last.tables["things__l"].column("value").to_pylist() == ["2", "1" if len(columns) == 1 else None]


@pytest.mark.parametrize("contract", ["bare", "dropping"])
def test_a_record_in_which_a_decoder_found_a_flaw_is_set_aside_however_well_it_reads(contract):
    record = b'{"id":1,"c":"x"}'
    pages = [Block.of([record] * 60, lines=False, first=0, flaws=flaws) for flaws in ({}, {2: "`c` stands twice"})]

    for quick in (True, False):
        _, (_, batch) = fetched(pages, CONTRACTS[contract], Registry.empty(), quick=quick)

        assert [(one.position, one.reason) for one in batch.quarantined] == [(2, "`c` stands twice")]
        assert batch.tables["things"].num_rows == 59


MIXED = st.sampled_from(["null", "true", *NUMBERS, *TEXTS, '{"a":1}', '{"a":1,"a":2}', "[" * 201 + "]" * 201])
OF_MANY_KEYS = st.lists(
    st.dictionaries(st.sampled_from([f"k{n}" for n in range(20)]), st.sampled_from(TEXTS) | MIXED, max_size=4),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(
    found=OF_MANY_KEYS,
    texts=st.booleans(),
    first=st.sampled_from(["", '"k1":1,', '"new":"x",']),
    keys=st.integers(14, 17),
)
def test_both_ways_give_the_same_tables_of_objects_of_many_keys(block, found, texts, first, keys):
    known = [{f"k{n}": '"x"' if texts or n % 2 else "1"} for n in range(keys)]
    shown = [
        ",".join(f'"{key}":{value}' for key, value in one.items() if not texts or value[0] in '"n') for one in found
    ]
    records = ['{"id":1,"m":{' + ",".join(f'"{k}":{v}' for one in known for k, v in one.items()) + "}}"]
    records += ['{"id":2,"m":null}', '{"id":3}', '{"id":4,"m":{}}'] + [f'{{"id":5,"m":{{{one}}}}}' for one in shown]
    last = shown[0] or '"k2":null'
    blocks = cut(block, [*records * 8, f'{{"id":6,"m":{{{first}{last}}}}}'], 30)

    exact, by_one = fetched(blocks, Contract(), Registry.empty(), quick=False)
    quick, at_once = fetched(blocks, Contract(), Registry.empty())

    assert quick.registry.to_json() == exact.registry.to_json()
    for one, other in zip(by_one, at_once, strict=True):
        assert other.quarantined == one.quarantined
        assert {n: t.to_pylist() for n, t in other.tables.items()} == {n: t.to_pylist() for n, t in one.tables.items()}


def gathered(blocks: Sequence[Any], contract: Contract, registry: Registry) -> Outcome:
    """The batches of a fetch whose small pages are taken together."""
    while True:
        normalizer = Normalizer("things", contract, registry, PARTITION)
        try:
            return normalizer, list(batches(normalizer, [Placed(block, page) for page, block in enumerate(blocks)]))
        except Widened as wider:
            registry = wider.registry


def rows(found: Sequence[Batch]) -> dict[str, list[dict[str, Any]]]:
    """All rows of some batches, by table, without columns that hold nothing."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for batch in found:
        for name, table in batch.tables.items():
            tables.setdefault(name, []).extend(
                {column: value for column, value in row.items() if value is not None} for row in table.to_pylist()
            )
    return tables


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=20, deadline=None)
@given(records=RECORDS, size=st.integers(1, 4), times=st.sampled_from([1, 9, 20]), lines=st.booleans())
def test_small_pages_taken_together_give_the_same_tables(block, name, records, size, times, lines):
    lines = lines and not any("\n" in record for record in records)
    blocks = cut(block, records * times, size, lines=lines)

    apart, one_by_one = fetched(blocks, CONTRACTS[name], Registry.empty())
    together, at_once = gathered(blocks, CONTRACTS[name], Registry.empty())

    assert together.registry.to_json() == apart.registry.to_json()
    assert rows(at_once) == rows(one_by_one)
    assert [q for batch in at_once for q in batch.quarantined] == [q for b in one_by_one for q in b.quarantined]
    assert sum(batch.received for batch in at_once) == len(records) * times
    assert sum(batch.dropped for batch in at_once) == sum(batch.dropped for batch in one_by_one)


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=6, deadline=None)
@given(records=st.lists(PLAIN, min_size=2, max_size=7), lines=st.booleans())
def test_pages_of_large_records_give_the_same_tables(block, name, records, lines):
    padded = [record[:-1] + ',"pad":"' + "x" * 100_000 + '"}' for record in records]
    blocks = cut(block, padded * 6, 7, lines=lines)

    exact, by_one = fetched(blocks, CONTRACTS[name], Registry.empty(), quick=False)
    together, at_once = gathered(blocks, CONTRACTS[name], Registry.empty())

    assert together.registry.to_json() == exact.registry.to_json()
    assert rows(at_once) == rows(by_one)


@pytest.mark.parametrize("last", ["9223372036854775808", "9007199254740993", "1e400", "null", '"x"'])
@pytest.mark.parametrize("known", ["1", "1.5", '"1"'])
def test_the_first_value_that_does_not_fit_gives_the_same_tables(block, known, last):
    records = [
        *[f'{{"id":{n},"a":{known},"l":[{{"b":{known}}}]}}' for n in range(9)],
        f'{{"a":{last},"l":[{{"b":{last}}}]}}',
    ]
    blocks = cut(block, records, 2)

    exact, by_one = fetched(blocks, Contract(), Registry.empty(), quick=False)
    together, at_once = gathered(blocks, Contract(), Registry.empty())

    assert together.registry.to_json() == exact.registry.to_json()
    assert rows(at_once) == rows(by_one)


@pytest.mark.parametrize("end", [",", ""])
@pytest.mark.parametrize("beside", [" ", ",", ""])
def test_a_record_over_two_lines_and_two_on_one_are_three_that_are_none(block, end, beside):
    good = [f'{{"id":{n},"a":1}}' for n in range(60)]
    broken = [f'{{"id":1{end}', '"a":5}', f'{{"id":2,"a":1}}{beside}{{"id":3,"a":1}}']
    over = ['{"id":1,"a":', "5}", broken[2]]
    blocks = cut(block, [*good, *broken, *over], 66, lines=True) + cut(block, over, 3, lines=True)

    exact, by_one = fetched(blocks, Contract(), Registry.empty(), quick=False)
    _, at_once = gathered(blocks, Contract(), Registry.empty())
    _, apart = fetched(blocks, Contract(), exact.registry)

    assert [len(batch.quarantined) for batch in by_one] == [len(batch.quarantined) for batch in apart] == [6, 3]
    assert rows(at_once) == rows(apart) == rows(by_one)


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=40, deadline=None)
@given(records=RECORDS, data=st.data(), sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_order_and_block_size_change_no_table(block, name, records, data, sizes):
    contract = CONTRACTS[name]
    one, other = (
        cut(block, order, size)
        for order, size in zip((records, data.draw(st.permutations(records))), sizes, strict=True)
    )

    first, _ = fetched(one, contract, Registry.empty())
    second, _ = fetched(other, contract, Registry.empty())
    both = first.registry.joined(second.registry)

    assert first.registry.shape == second.registry.shape == both.shape
    assert tree(*fetched(one, contract, both)) == tree(*fetched(other, contract, both))


@settings(max_examples=70, deadline=None)
@given(records=RECORDS, size=st.integers(1, 12))
def test_every_value_is_the_one_that_was_sent(block, records, size):
    normalizer, batches = fetched(cut(block, records, size), Contract(), Registry.empty())

    root = normalizer.specs[0]
    for page, batch in enumerate(batches):
        for row in batch.tables["things"].to_pylist() if batch.tables else []:
            sent = json.loads(records[page * size + row["_position"]], parse_float=Decimal)
            for column in root.columns:
                assert as_sent(column.type, row.get(column.name)) == at(sent, column.path), column


def as_sent(kind: str, value: Any) -> Any:
    """A table's value as the exact JSON value that it stands for."""
    if kind == "json" and value is not None:
        return json.loads(value, parse_float=Decimal)
    return Decimal(repr(value)) if isinstance(value, float) else value


def at(record: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


@settings(max_examples=40, deadline=None)
@given(records=RECORDS, size=st.integers(1, 12))
def test_a_registry_survives_being_written_down(block, records, size):
    normalizer, _ = fetched(cut(block, records, size), Contract(), Registry.empty())

    text = normalizer.registry.to_json()

    assert Registry.from_json(text) == normalizer.registry
    assert Registry.from_json(text).to_json() == text


@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize("value", ['"\udcff"', '{"\udcff":1}', '["a",{"b":"\udcff"}]'])
def test_what_is_no_utf_8_in_a_column_of_json_sets_its_record_aside(block, value, size):
    mixed, bad = [f'{{"id":{n},"c":{"true" if n % 2 else 0}}}' for n in range(30)], f'{{"id":30,"c":{value}}}'
    blocks = cut(block, [*mixed, bad, *mixed], size)

    exact, by_one = fetched(blocks, Contract(), Registry.empty(), quick=False)
    _, at_once = gathered(blocks, Contract(), exact.registry)
    _, apart = fetched(blocks, Contract(), exact.registry)

    assert rows(at_once) == rows(apart) == rows(by_one)
    for found in (at_once, apart, by_one):
        assert [one.record for batch in found for one in batch.quarantined] == [bad.encode("utf-8", "surrogatepass")]
