"""What rows of records take by the kinds of values in them, beside records of a number and a text.

    python -m benchmarks.kinds                  20,000 records of each kind
    python -m benchmarks.kinds 100000 decimal   those whose name says decimal

Only the way from a page's text to Arrow tables is timed, in one process: no fetch, no snapshot, no DuckDB. A kind that
takes many times as long as others is one that has to be looked at record by record; its name says what it is then.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from ingest_assets.http.decoders.decoded import Block
from ingest_assets.load.filling import normalizer
from ingest_assets.load.work import Work
from ingest_assets.normalize.normalize import Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.together import Placed, batches
from ingest_assets.source import Endpoint

_BLOCK = 5000


Text = Callable[[Random, int], str]


@dataclass(frozen=True)
class Kind:
    """The JSON text of the key `x` (and of others beside it) by number; what the endpoint's file says of it.

    Of 100 records `aside` go into quarantine.
    """

    name: str
    text: Text
    columns: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    aside: int = 0


def _json(value: Callable[[Random, int], Any]) -> Text:
    return lambda random, n: json.dumps(value(random, n), separators=(",", ":"))


def _rarely(often: str, rare: str, every: int = 100) -> Text:
    return lambda _, n: often if n % every else rare


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128)))


def _numbers(random: Random) -> dict[str, float]:
    return {f"measure {n}": random.random() for n in range(10)}


_CENTS = {"x": {"type": "decimal(18,2)"}}
_TIME = {"x": {"type": "timestamptz"}}
_SECONDS = {"x": {"type": "timestamptz", "format": "unix"}}
_GERMAN = {"x": {"type": "timestamp", "format": "%d.%m.%Y %H:%M"}}
_MONEY = {"x": {"type": "decimal(18,3)", "money": {"currency_from": "code"}}, "code": {"type": "varchar"}}
_OF_LIST = {"x": {"type": "varchar", "values": ["a", "b", "c"]}}
_PATTERN = {"x": {"type": "varchar", "pattern": "[A-Z]+[0-9]+"}}
_WHOLE = {"x": {"type": "bigint"}}
_DECLARED = {"columns": "drop", "tables": "drop"}
KINDS = (
    Kind("texts", _json(lambda _, n: f"text {n}")),
    Kind("UUIDs", _json(lambda random, _: _uuid(random)), {"x": {"type": "uuid"}}),
    Kind("decimals sent as numbers", _json(lambda random, _: random.randrange(10**7) / 100), _CENTS),
    Kind("decimals sent as texts", _json(lambda random, _: f"{random.randrange(10**7) / 100:.2f}"), _CENTS),
    Kind("decimals beside UUIDs", lambda random, n: f'{n / 4},"id":"{_uuid(random)}"', _CENTS),
    Kind(
        "decimals beside other numbers of 17 digits",
        lambda _, n: f'{n / 4},"width":{n % 90}.52000659999999912',
        {**_CENTS, "width": {"type": "double"}},
    ),
    Kind("doubles of 17 digits", _json(lambda random, _: random.random() * 180)),
    Kind("money", lambda random, n: f'{random.randrange(10**7)},"code":"{("EUR", "JPY", "KWD")[n % 3]}"', _MONEY),
    Kind("times, such as …T03:04:05Z", _json(lambda _, n: f"2026-01-{1 + n % 28:02}T03:04:{n % 60:02}Z"), _TIME),
    Kind("times, such as …T03:04:05.1234567+0000", _json(lambda _, n: f"2026-01-02T03:04:05.{n:07}+0000"), _TIME),
    Kind("times as seconds with decimals", _json(lambda _, n: 17 * 10**8 + n / 4), _SECONDS),
    Kind("times of a form of their own", _json(lambda _, n: f"{1 + n % 28:02}.01.2026 03:{n % 60:02}"), _GERMAN),
    Kind("one of a few texts", _json(lambda _, n: "abc"[n % 3]), _OF_LIST),
    Kind("texts of a pattern", _json(lambda _, n: f"AB{n}"), _PATTERN),
    Kind("texts with colons, quotes and numbers", _json(lambda _, n: f'see: "a": b : {n}, 1234567890123456.5')),
    Kind("a list of two objects", _json(lambda _, n: [{"a": n, "b": "x"}, {"a": 1}])),
    Kind("an object of other keys each time", _json(lambda random, _: {f"{random.getrandbits(40):x}": 1})),
    Kind("values of all kinds", _json(lambda _, n: [1, "a", True, None, [1], {"a": 1}][n % 6])),
    Kind("numbers that no double holds", lambda _, n: f"{n}.12345678901234567"),
    Kind("one in 100 does not fit", _rarely('"1.50"', '"N/A"'), _CENTS, aside=1),
    Kind("one in 100 has a key twice", _rarely('{"a":1}', '{"a":1,"a":2}'), aside=1),
    Kind("one in 5 does not fit", _rarely("1", '"N/A"', 5), _WHOLE, aside=20),
    Kind("one in 5 is dropped", _rarely("1", '"N/A"', 5), _WHOLE, {"types": "drop"}),
    Kind("texts, and nothing to be dropped", _json(lambda _, n: f"text {n}"), {"x": {"type": "varchar"}}, _DECLARED),
    Kind("a key in each is dropped", _json(lambda _, n: n), {}, _DECLARED),
    Kind("an object and a list in each are dropped", lambda _, n: f'{{"a":{n},"b":"x"}},"y":[{n}]', {}, _DECLARED),
    Kind(
        "values of all kinds, less lists", _json(lambda _, n: [1, "a", [1], {"a": [1]}][n % 4]), {}, {"tables": "drop"}
    ),
    Kind("an object of ten numbers, as JSON", _json(lambda random, _: _numbers(random)), {"x": {"type": "json"}}),
)


@dataclass(frozen=True)
class Cost:
    """What a record took, and how many were set aside."""

    kind: Kind
    microseconds: float
    aside: int


def costs(count: int, kinds: Sequence[Kind] = KINDS) -> Iterator[Cost]:
    """What records of each kind take, in processor time; ValueError where others than expected are set aside."""
    for kind in kinds:
        found = min((_cost(kind, count) for _ in range(2)), key=lambda cost: cost.microseconds)
        if found.aside != count * kind.aside // 100:
            raise ValueError(f"{kind.name}: {found.aside:,} of {count:,} records were set aside")
        yield found


def _cost(kind: Kind, count: int) -> Cost:
    registry, blocks, work = Registry.empty(), list(_blocks(kind, count)), Work("kinds", "rows", _endpoint(kind))
    while True:
        maker, began, aside = normalizer(work, None, registry), time.process_time(), 0
        try:
            for batch in batches(maker, blocks):
                aside += len(batch.quarantined)
            return Cost(kind, (time.process_time() - began) / count * 1e6, aside)
        except Widened as wider:
            registry = wider.registry


def _endpoint(kind: Kind) -> Endpoint:
    columns = {"n": {"type": "bigint"}, **kind.columns}
    return Endpoint(path="/rows", primary_key="n", columns=columns, contract=kind.contract)


def _blocks(kind: Kind, count: int) -> Iterator[Placed]:
    random = Random(5)  # noqa: S311 -- the same values each time
    for first in range(0, count, _BLOCK):
        numbers = range(first, min(first + _BLOCK, count))
        text = b"\n".join(f'{{"n":{n},"x":{kind.text(random, n)}}}'.encode() for n in numbers)
        yield Placed(Block(text, lines=True, first=first, count=len(numbers)), 0)


def main() -> None:
    """Print a line for each kind."""
    given = sys.argv[1:]
    count = int(given.pop(0)) if given and given[0].isdigit() else 20_000
    chosen = [kind for kind in KINDS if not given or kind is KINDS[0] or any(text in kind.name for text in given)]
    first = None
    for cost in costs(count, chosen):
        first = first or cost.microseconds
        print(
            f"{cost.kind.name:42} {cost.microseconds:7.2f} µs a record, {cost.microseconds / first:5.1f} times as much"
        )


if __name__ == "__main__":
    main()
