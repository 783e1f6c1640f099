"""Who is to stay out of an endpoint: its records are never stored again.

    <data>/raw/<source>/<endpoint>/.forgotten.json    salted hashes of forgotten keys, never the keys themselves

The hash keeps a key from being read; with file and salt at hand, whoever guesses a key can still test the guess.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from ingest_assets.errors import StorageFailed
from ingest_assets.raw import disk
from ingest_assets.raw.sealed import sealed, unsealed

FORMAT = 1
FILE = ".forgotten.json"
Keys = tuple[str, ...]
# Where a record is given what its partition tells, beside what it says itself; no key of JSON begins so by chance.
PARTITION = "\0partition"


class Rule(Struct, frozen=True):
    """One forgotten key. `paths` are those of its columns in a record, `hashes` those of the ways it was written.

    `done` is false from the moment it was asked for until all that was stored of it is gone.
    """

    columns: tuple[str, ...]
    paths: tuple[Keys, ...]
    hashes: tuple[str, ...]
    at: datetime
    done: bool = False


class Forgotten(Struct, frozen=True):
    """All rules of one endpoint."""

    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    rules: tuple[Rule, ...] = ()

    def hash(self, values: Iterable[str]) -> str:
        """The hash of a key: of the text of each of its values."""
        text = json.dumps(list(values)).encode()
        return hashlib.blake2b(text, key=bytes.fromhex(self.salt), digest_size=16).hexdigest()

    def has(self, record: Any) -> bool:
        """Whether a parsed record is one that is to stay out."""
        return any(self._is(rule, record) for rule in self.rules)

    def _is(self, rule: Rule, record: Any) -> bool:
        values = [told(at(record, path)) for path in rule.paths]
        return None not in values and self.hash(str(value) for value in values) in rule.hashes

    def rule(self, columns: Sequence[str], values: Sequence[str]) -> Rule | None:
        """The rule of a key, None where there is none."""
        hashed = self.hash(values)
        return next((r for r in self.rules if r.columns == tuple(columns) and hashed in r.hashes), None)

    def with_rule(self, rule: Rule) -> "Forgotten":
        """The same with a rule in place of the former one of the same key."""
        others = [r for r in self.rules if r.columns != rule.columns or not set(r.hashes) & set(rule.hashes)]
        return replace(self, rules=(*others, rule))

    def without(self, rule: Rule) -> "Forgotten":
        """The same without a rule."""
        return replace(self, rules=tuple(r for r in self.rules if r != rule))


def at(value: Any, path: Keys) -> Any:
    """The value below these keys, None where they lead nowhere."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def told(value: Any) -> str | None:
    """The text of a key's value, None for what is no key: 7, 7.0 and "7" are one.

    >>> told(7), told(Decimal("7.0")), told("7"), told(True), told([7])
    ('7', '7', '7', 'true', None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value))
        return str(int(number)) if number == number.to_integral_value() else format(number.normalize(), "f")
    return None


def read(folder: Path) -> Forgotten:
    """The rules in an endpoint's folder; none where nobody is forgotten."""
    file = folder / FILE
    try:
        found = unsealed(file.read_bytes())
    except FileNotFoundError:
        return Forgotten()
    except ValueError as error:
        raise StorageFailed(
            f"damaged: {file}: {error}. Put it back from a backup; without it, who was forgotten comes back"
        ) from error
    if found["format"] != FORMAT:
        raise StorageFailed(f"{file} is of format {found['format']}, and this version knows format {FORMAT} only")
    return Forgotten(found["salt"], tuple(map(_rule, found["rules"])))


def reader(folder: Path) -> Callable[[], Forgotten]:
    """What reads the rules in an endpoint's folder again and again, before each page: where there are none, quickly."""
    file, nobody = folder / FILE, Forgotten()
    return lambda: read(folder) if file.exists() else nobody


def _rule(told: dict[str, Any]) -> Rule:
    return Rule(
        columns=tuple(told["columns"]),
        paths=tuple(map(tuple, told["paths"])),
        hashes=tuple(told["hashes"]),
        at=datetime.fromisoformat(told["at"]),
        done=told["done"],
    )


def write(folder: Path, forgotten: Forgotten) -> None:
    """Put the rules in place, at once and durably."""
    rules = [asdict(rule) | {"at": rule.at.isoformat()} for rule in forgotten.rules]
    with disk.writing(folder):
        disk.make_folder(folder)
        disk.write_file(folder / FILE, sealed({"format": FORMAT, "salt": forgotten.salt, "rules": rules}))
