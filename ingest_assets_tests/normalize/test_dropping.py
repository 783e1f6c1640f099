"""What a contract drops of records that fit it otherwise: the quick way drops the same as the exact one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.contract import Children, Column, Contract, Tombstone
from ingest_assets.modes import Modes
from ingest_assets.normalize.normalize import Batch, Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.together import Placed, batches

COLUMNS = {
    "id": Column(type="bigint"),
    "a": Column(type="bigint", path="o.a"),
    "deep": Column(type="varchar", path="o.p.c"),
    "all": Column(type="json", path="j"),
}
CHILDREN: dict[str, Any] = {
    "l": {"columns": {"a": Column(type="bigint"), "b": Column(type="bigint", path="o.b")}},
    "l.t": {"columns": {"value": Column(type="varchar")}},
    "o.m": {"columns": {"x": Column(type="bigint")}},
}


def contract(tables: str, columns: str, **lists: str) -> Contract:
    """One that declares all that the records below have, but for what they have beyond."""
    modes = Modes(tables=tables, columns=columns)
    below = {
        name: Children(**told, contract={"tables": "drop", "columns": lists[name]} if name in lists else None)
        for name, told in CHILDREN.items()
    }
    return Contract(columns=COLUMNS, children=below, primary_key=("id",), modes=modes)


CONTRACTS = {
    "all": contract("drop", "drop"),
    "keys": contract("freeze", "drop"),
    "lists": contract("drop", "evolve"),
    "lists, and keys are refused": contract("drop", "quarantine"),
    "keys, and lists are refused": contract("quarantine", "drop"),
    "of one list": contract("evolve", "evolve", l="drop"),
    "of the lists in a list": contract("evolve", "evolve", **{"l.t": "drop", "o.m": "drop"}),
}
CONTRACTS["lists around declared ones"] = Contract(
    columns=COLUMNS,
    children={"l.t": CHILDREN["l.t"], "o.m": CHILDREN["o.m"]},
    modes=Modes(tables="drop", columns="evolve"),
)
EMPTY = Registry.empty()
SCALARS = ["null", "1", "-0", "1.50", "1e3", "12345678901234567890.5", "true", '"x"', '":"', '"\\u00e9 \\n"', '"\\/"']
BAD = ['"\\ud800"', "1e-99999999999999999999", '[{"a":1,"a":2}]', "[" * 198 + "]" * 198, "[" * 196 + "]" * 196]
KEYS = ["y", "x", "a", "t", "é", 'q\\"', "\\u0079", "id", ":k", "k :l", "k:", "k \\u003a"]
COLONS = st.sampled_from([":", ":", " :", ": ", "\n:"])


def texts(values: st.SearchStrategy[str], known: dict[str, st.SearchStrategy[str]] | None = None) -> Any:
    """Objects of known keys, and of any others between them; seldom, one of these stands twice."""
    own = st.fixed_dictionaries({}, optional=known or {}).map(lambda found: list(found.items()))
    more = st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=2)
    beyond = more.map(lambda pairs: [pair for pair in pairs if pair[0] not in (known or {})])
    pairs = st.tuples(own, beyond).flatmap(lambda found: st.permutations(found[0] + found[1]))
    return st.builds(lambda found, colon: "{" + ",".join(f'"{k}"{colon}{v}' for k, v in found) + "}", pairs, COLONS)


def listed(items: st.SearchStrategy[str]) -> Any:
    return st.lists(items, max_size=2).map(lambda found: f"[{','.join(found)}]")


BEYOND = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]") | texts(inner),
    max_leaves=5,
)

ELEMENT = texts(
    BEYOND,
    {
        "a": st.just("2"),
        "o": texts(BEYOND, {"b": st.just("3")}),
        "t": listed(st.sampled_from(['"x"', "null"]) | BEYOND) | listed(st.sampled_from(['"x"', '"y"'])),
    },
)
OBJECT = texts(
    BEYOND,
    {
        "a": st.just("2"),
        "p": texts(BEYOND, {"c": st.just('"c"')}),
        "m": listed(texts(BEYOND, {"x": st.just("1")}) | st.just("null")),
    },
)
RECORD = texts(
    BEYOND | st.sampled_from(BAD),
    {"l": listed(ELEMENT | st.just("null")), "o": OBJECT, "j": BEYOND},
).map(lambda text: '{"id":1' + (text[1:] if text == "{}" else f",{text[1:]}"))
FULL = (
    '{"id":1,"y":null,"l":[{"a":2,"o":{"b":3},"t":["x",null]},null],'
    '"o":{"a":2,"p":{"c":"c"},"m":[{"x":1}]},"j":{"a":1,"b":[]}}'
)


def read(
    blocks: list[Any], contract: Contract, *, quick: bool, registry: Registry = EMPTY
) -> tuple[Normalizer, list[Batch]]:
    def made(normalizer: Normalizer) -> list[Batch]:
        return [normalizer.batch(block, n) for n, block in enumerate(blocks)]

    return again(contract, made, quick=quick, registry=registry)


def again(
    contract: Contract, made: Callable[[Normalizer], list[Batch]], *, quick: bool, registry: Registry = EMPTY
) -> tuple[Normalizer, list[Batch]]:
    """The batches of a fetch, started again with the wider registry as often as it asks for."""
    while True:
        normalizer = Normalizer("things", contract, registry, quick=quick)
        try:
            return normalizer, made(normalizer)
        except Widened as wider:
            registry = wider.registry


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=25, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=4), times=st.sampled_from([1, 3]), lines=st.booleans())
def test_the_same_is_dropped_both_ways(block, name, records, times, lines):
    """Records that have all that is declared come first, so that the quick way knows them."""
    lines = lines and not any("\n" in record for record in records)
    pages = [[FULL] * 60, *[[FULL, *records * times]] * 2]
    blocks = [block(*[record.encode() for record in page], lines=lines) for page in pages]

    one, by_one = read(blocks, CONTRACTS[name], quick=False)
    other, at_once = read(blocks, CONTRACTS[name], quick=True)

    assert other.registry.to_json() == one.registry.to_json()
    for slow, fast in zip(by_one, at_once, strict=True):
        assert (fast.quarantined, fast.dropped) == (slow.quarantined, slow.dropped)
        assert {n: t.to_pylist() for n, t in fast.tables.items()} == {n: t.to_pylist() for n, t in slow.tables.items()}


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=8, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=4))
def test_the_same_is_dropped_of_what_was_taken_before(block, name, records):
    """Names and types are those of a time when the contract took everything."""
    blocks = [block(*[record.encode() for record in page]) for page in ([FULL] * 9, [FULL, *records], [FULL, *records])]
    former, _ = read(blocks, contract("evolve", "evolve"), quick=True)

    one, by_one = read(blocks, CONTRACTS[name], quick=False, registry=former.registry)
    other, at_once = read(blocks, CONTRACTS[name], quick=True, registry=former.registry)

    assert other.registry.to_json() == one.registry.to_json()
    assert [(b.quarantined, b.dropped) for b in at_once] == [(b.quarantined, b.dropped) for b in by_one]
    assert rows(at_once) == rows(by_one)


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=8, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=4), lines=st.booleans())
def test_the_same_is_dropped_of_pages_that_are_taken_together(block, name, records, lines):
    lines = lines and not any("\n" in record for record in records)
    blocks = [block(FULL.encode(), record.encode(), lines=lines) for record in records * 20]

    one, by_one = read(blocks, CONTRACTS[name], quick=False)
    placed = [Placed(block, page) for page, block in enumerate(blocks)]
    other, at_once = again(CONTRACTS[name], lambda normalizer: list(batches(normalizer, placed)), quick=True)

    assert other.registry.to_json() == one.registry.to_json()
    assert sum(batch.dropped for batch in at_once) == sum(batch.dropped for batch in by_one)
    assert [q for batch in at_once for q in batch.quarantined] == [q for batch in by_one for q in batch.quarantined]
    assert rows(at_once) == rows(by_one)


def rows(found: list[Batch]) -> dict[str, list[dict[str, Any]]]:
    """All rows of some batches, by table, without columns that hold nothing."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for batch in found:
        for name, table in batch.tables.items():
            told = [{column: value for column, value in row.items() if value is not None} for row in table.to_pylist()]
            tables.setdefault(name, []).extend(told)
    return tables


def test_what_is_dropped_of_a_record_and_of_its_lists_stays_in_their_rest(block):
    record = '{"id":2,"x":[2],"l":[{"a":1,"z":{"r":1.0}},5],"o":{"a":1,"y":3,"v":{"w":4}}}'

    _, (_, batch) = read([block(*[FULL.encode()] * 60), block(record.encode())], CONTRACTS["all"], quick=True)

    (row,) = batch.tables["things"].to_pylist()
    assert json.loads(row["_rest"]) == {"x": [2], "o": {"y": 3, "v": {"w": 4}}}
    assert [row["_rest"] for row in batch.tables["things__l"].to_pylist()] == ['{"z":{"r":1}}', "5"]
    assert batch.dropped == 5


DELETING = Contract(
    columns={"id": Column(type="bigint")},
    primary_key=("id",),
    modes=Modes(tables="drop", columns="drop"),
    deleted=Tombstone(path="s.is", equals="gone"),
)


def test_records_whose_dropped_values_say_that_a_key_is_gone_are_taken_many_at_once(block):
    pages = [Placed(block({"id": n, "s": {"is": "gone" if n % 3 else "paid", "n": n}}), n) for n in range(64)]

    found = list(batches(Normalizer("things", DELETING, EMPTY), pages))

    assert len(found) < len(pages)
    rows = [row for batch in found for row in batch.tables["things"].to_pylist()]
    assert [row["_deleted"] for row in rows] == [n % 3 > 0 for n in range(64)]
    assert [json.loads(row["_rest"])["s"]["n"] for row in rows] == list(range(64))


@pytest.mark.parametrize("told", [{"s": "paid"}, {"s": ["paid"]}, {"s": {"a": 1, "b": {"c": True}}}])
@pytest.mark.parametrize("quick", [True, False])
def test_what_could_say_that_a_key_is_gone_is_kept_where_it_is_no_column(block, told, quick):
    dropping = Contract(
        columns={"id": Column(type="bigint")},
        primary_key=("id",),
        modes=Modes(tables="drop", columns="drop"),
        deleted=Tombstone(path="s", equals="gone"),
    )

    _, (_, batch) = read(
        [block(*[{"id": 1}] * 60), block({"id": 2, "s": "gone"}, {"id": 3, **told})], dropping, quick=quick
    )

    rows = batch.tables["things"].to_pylist()
    assert [(row["_deleted"], json.loads(row["_rest"])) for row in rows] == [(True, {"s": "gone"}), (False, told)]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"l": "none"}, "list 'l': a string where a list is declared"),
        ({"l": {"a": 2}}, "list 'l': an object where a list is declared"),
        ({"l": [{"a": 2, "t": 5}]}, "list 'l.t': an integer where a list is declared"),
        ({"o": {"a": 2, "m": True}}, "list 'o.m': a boolean where a list is declared"),
    ],
)
@pytest.mark.parametrize("quick", [True, False])
def test_a_value_where_a_list_is_declared_is_not_dropped(block, changed, reason, quick):
    record = {**json.loads(FULL), **changed}

    _, (_, batch) = read([block(*[FULL.encode()] * 60), block(record)], CONTRACTS["all"], quick=quick)

    assert [one.reason for one in batch.quarantined] == [reason]


@pytest.mark.parametrize("backwards", [True, False])
def test_what_stands_in_a_list_that_is_dropped_sets_no_record_aside(block, backwards):
    texts = ['{"l":[{"t":["x"]}]}', '{"l":[{"t":[5]}]}'][:: -1 if backwards else 1]

    _, found = read([block(text.encode()) for text in texts], CONTRACTS["lists around declared ones"], quick=True)

    assert not any(batch.quarantined for batch in found)
    assert [batch.tables["things"].column("_rest").to_pylist() for batch in found] == [[text] for text in texts]


@pytest.mark.parametrize(("levels", "fits"), [(197, True), (198, False)])
def test_what_is_dropped_counts_for_how_deep_a_record_is(block, levels, fits):
    record = f'{{"id":2,"l":[{{"a":1,"z":{"[" * levels}{"]" * levels}}}]}}'

    for quick in (True, False):
        _, (_, batch) = read([block(*[FULL.encode()] * 60), block(record.encode())], CONTRACTS["all"], quick=quick)
        assert (batch.dropped, len(batch.quarantined)) == ((1, 0) if fits else (0, 1))


def test_a_key_that_stands_twice_is_noticed_beside_one_that_is_written_otherwise(block):
    record = '{"id":2,"k \\u003a":1,"y":1,"y":2}'

    _, (_, batch) = read([block(*[FULL.encode()] * 60), block(record.encode())], CONTRACTS["all"], quick=True)

    assert [one.reason for one in batch.quarantined] == ["the key 'y' stands twice in one object"]


def test_lists_that_were_tables_once_do_not_keep_records_from_the_quick_way(block):
    record = b'{"id":1,"tags":[1,2]}'
    former, _ = read([block(record)], Contract(primary_key=("id",)), quick=True)

    now, (batch,) = read(
        [block(record)],
        Contract(primary_key=("id",), modes=Modes(tables="drop")),
        quick=True,
        registry=former.registry,
    )

    assert now.fast is not None
    assert batch.tables["things"].to_pylist()[0]["_rest"] == '{"tags":[1,2]}'
