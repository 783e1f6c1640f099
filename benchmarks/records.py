"""Made-up records that are the same on every machine: a file of them, and how many rows each table has to get.

orders   1.4 kB each, nested: customer, address, lines with their taxes, tags, a free-form object
events   flat, ten fields
messy    every field but the key holds texts, numbers, booleans, nulls and objects by turns
"""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks"
BLOCK = 1000
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_WORDS = [
    "alder",
    "birch",
    "cedar",
    "dogwood",
    "elm",
    "fir",
    "gum",
    "hazel",
    "iroko",
    "juniper",
    "kapok",
    "larch",
    "maple",
    "nutmeg",
    "oak",
    "pine",
]
_PEOPLE = ["Zoë Brunner", "José Núñez", "李秀英", "Anna Kowalczyk", 'Max "Mex" Frei', "Δήμητρα Παππά", "Åsa Öberg"]
_TOWNS = ["Zürich", "Genève", "København", "São Paulo", "大阪", "Wien", "Łódź"]
_TAGS = ["new", "gift", "trade", "hold", "🎄", "north", "late"]


def _moment(number: int) -> str:
    return (_BEGAN + timedelta(seconds=11 * number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _amount(chance: Random, most: int) -> int | float:
    cents = int(chance.random() * most)
    return cents // 100 if cents % 3 == 0 else cents / 100


def _words(chance: Random, count: int) -> str:
    return " ".join(chance.choices(_WORDS, k=count))


def _address(chance: Random) -> dict[str, Any]:
    return {
        "street": f"{_words(chance, 1)} street {int(chance.random() * 200)}",
        "extra": None,
        "town": chance.choice(_TOWNS),
        "post_code": f"{int(chance.random() * 9000) + 1000}",
        "at": {"latitude": round(chance.random() * 180 - 90, 6), "longitude": round(chance.random() * 360 - 180, 6)},
    }


def _line(chance: Random, number: int) -> dict[str, Any]:
    price = _amount(chance, 40_000)
    rates = ((0.081, "standard"), (0.026, "reduced"))[: int(chance.random() * 3)]
    return {
        "id": number,
        "article": f"A-{int(chance.random() * 90_000):05d}",
        "title": _words(chance, 4),
        "quantity": int(chance.random() * 9) + 1,
        "price": price,
        "gift": chance.random() < 0.1,
        "taxes": [{"name": name, "rate": rate, "amount": round(price * rate, 2)} for rate, name in rates],
    }


def _order(chance: Random, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"#{number + 50_000}",
        "created_at": _moment(number),
        "updated_at": _moment(number + 400),
        "state": chance.choice(("open", "paid", "sent", "void")),
        "currency": chance.choice(("CHF", "EUR", "SEK")),
        "total": _amount(chance, 300_000),
        "rebate": None if chance.random() < 0.6 else _amount(chance, 2_000),
        "remark": None if chance.random() < 0.5 else f"{_words(chance, 12)} · grüße",
        "trial": False,
        "cancelled_at": None if chance.random() < 0.9 else _moment(number + 100),
        "customer": {
            "id": int(chance.random() * 50_000),
            "email": f"person{int(chance.random() * 50_000)}@example.com",
            "name": chance.choice(_PEOPLE),
            "phone": None if chance.random() < 0.4 else f"+41 44 {int(chance.random() * 9_000_000)}",
            "address": _address(chance),
        },
        "delivery": {"by": chance.choice(("post", "van")), "name": chance.choice(_PEOPLE), "to": _address(chance)},
        "client": {
            "ip": f"10.0.{int(chance.random() * 256)}.{int(chance.random() * 256)}",
            "agent": f"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/{int(chance.random() * 50) + 90}.0",
            "page": f"https://shop.example/{_words(chance, 1)}?from={int(chance.random() * 2**32):08x}",
        },
        "lines": [_line(chance, number * 10 + at) for at in range(int(chance.random() * 4) + 1)],
        "tags": chance.sample(_TAGS, int(chance.random() * 4)),
        "options": {
            f"option_{int(chance.random() * 40):02d}": _amount(chance, 900)
            if chance.random() < 0.3
            else _words(chance, 2)
            for _ in range(int(chance.random() * 5))
        },
        "payment": {
            "way": chance.choice(("card", "invoice")),
            "reference": f"{chance.getrandbits(128):032x}",
            "captured": chance.random() < 0.9,
            "fee": _amount(chance, 300),
        },
    }


def _event(chance: Random, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "at": _moment(number),
        "person": int(chance.random() * 100_000),
        "kind": chance.choice(("click", "view", "buy", "leave")),
        "path": f"/p/{int(chance.random() * 9_000)}",
        "milliseconds": None if chance.random() < 0.1 else int(chance.random() * 10_000),
        "amount": _amount(chance, 9_999) if chance.random() < 0.3 else None,
        "country": chance.choice(("CH", "DE", "SE", "BR")),
        "mobile": chance.random() < 0.5,
        "session": f"{chance.getrandbits(48):012x}",
    }


def _messy(chance: Random, number: int) -> dict[str, Any]:
    values = (1, 2.5, "3", "n/a", True, None, {"a": 1}, {"a": "x", "b": None}, [1, 2])
    return {"id": number} | {f"field_{at}": chance.choice(values) for at in range(10)}


KINDS: dict[str, Callable[[Random, int], dict[str, Any]]] = {"orders": _order, "events": _event, "messy": _messy}


def records(kind: str, count: int) -> Iterator[dict[str, Any]]:
    """The first `count` records of a kind."""
    for first in range(0, count, BLOCK):
        chance = Random(f"{kind} {first}")  # noqa: S311 - the same records each time are the point
        for number in range(first, min(first + BLOCK, count)):
            yield KINDS[kind](chance, number)


def rows(kind: str, record: dict[str, Any]) -> Counter[str]:
    """How many rows a record is in each table where nothing gets lost."""
    counts = Counter({kind: 1})
    if kind == "orders":
        counts["orders__lines"] = len(record["lines"])
        counts["orders__lines__taxes"] = sum(len(line["taxes"]) for line in record["lines"])
        counts["orders__tags"] = len(record["tags"])
    return counts


def made(kind: str, count: int) -> Path:
    """The file of the first `count` records, separated by commas, with their ends and counts beside it."""
    file = CACHE / f"{kind}-{count}.json"
    told = file.with_suffix(".counts")
    if told.exists():
        return file
    CACHE.mkdir(parents=True, exist_ok=True)
    ends, counts, at = array("Q", [0]), Counter[str](), 0
    with file.open("wb") as out:
        for record in records(kind, count):
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b","
            out.write(text)
            at += len(text)
            ends.append(at)
            counts += rows(kind, record)
    file.with_suffix(".ends").write_bytes(ends.tobytes())
    told.write_text(json.dumps(counts))
    return file


def expected(kind: str, count: int) -> dict[str, int]:
    """How many rows each table has to get."""
    counts: dict[str, int] = json.loads(made(kind, count).with_suffix(".counts").read_text())
    return counts
