"""JSON parsed in part or exactly, for the envelopes of pages and for single records."""

import json
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

SPACE = b" \t\r\n"
raw_list = msgspec.json.Decoder(list[msgspec.Raw])
raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
raw = msgspec.json.Decoder(msgspec.Raw)
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of a text that it does not take: no JSON, half of a surrogate pair, not UTF-8, or too deep."""

UNNAMEABLE = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')
"""What is in keys that no field of a struct can be renamed to."""


def address(text: bytes | msgspec.Raw) -> int:
    """Where in memory a text begins: a part of a body that msgspec gave, less the body, is its place there."""
    import numpy as np

    pointer: int = np.frombuffer(text, np.uint8).__array_interface__["data"][0]
    return pointer


class Twins:
    """Notices keys that stand twice in one object, of which a parser keeps the last without a word."""

    def __init__(self) -> None:
        self._found: list[tuple[dict[str, Any], set[str]]] = []

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """The object of these pairs, as `object_pairs_hook` makes it."""
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self._found.append((made, {key for key, count in counts.items() if count > 1}))
        return made

    def at(self, holder: dict[str, Any], key: str) -> bool:
        """Whether a key stood twice in an object that was made here."""
        return any(found is holder and key in keys for found, keys in self._found)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parsed(text: bytes, twins: Twins | None = None) -> Any:
    """JSON with exact numbers: whole ones as int, others as Decimal. Raises ValueError or RecursionError."""
    return (_exact if twins is None else _decoder(twins.object)).decode(text.decode())


def _decoder(pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=pairs)


_exact = _decoder()
