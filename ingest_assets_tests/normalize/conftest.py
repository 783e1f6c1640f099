import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from ingest_assets.contract import Contract
from ingest_assets.normalize.normalize import Batch, Normalizer
from ingest_assets.normalize.registry import Registry


@dataclass(frozen=True)
class Block:
    """Records as a decoder gives them: the text of a JSON array or of JSON lines."""

    raws: tuple[bytes, ...]
    first: int = 0
    lines: bool = False
    flaws: Mapping[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.raws)

    @property
    def size(self) -> int:
        return len(self.text)

    @property
    def text(self) -> bytes:
        return b"\n".join(self.raws) if self.lines else b"[" + b",".join(self.raws) + b"]"

    @property
    def view(self) -> bytes:
        return self.text

    def records(self) -> list[bytes]:
        return list(self.raws)


def raw(record: Any) -> bytes:
    """A record's text; bytes are taken as they are."""
    return record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode()


@pytest.fixture(scope="session")
def block() -> Callable[..., Block]:
    return lambda *records, **more: Block(tuple(map(raw, records)), **more)


@pytest.fixture
def normalized(block) -> Callable[..., tuple[Batch, Normalizer]]:
    """The batch of these records, as the first of a fetch, and its normalizer."""

    def normalize(*records: Any, registry: Registry | None = None, **contract: Any) -> tuple[Batch, Normalizer]:
        normalizer = Normalizer("things", Contract(**contract), registry or Registry.empty())
        return normalizer.batch(block(*records), 0), normalizer

    return normalize


@pytest.fixture
def column(normalized) -> Callable[..., tuple[str, list[Any]]]:
    """The type and the values of the column `v` of records that hold these texts at the key v."""

    def read(*texts: str, **contract: Any) -> tuple[str, list[Any]]:
        batch, normalizer = normalized(*[b'{"v":' + text.encode() + b"}" for text in texts], **contract)
        types = {spec.name: spec.type for spec in normalizer.specs[0].columns}
        table: pa.Table = batch.tables["things"]
        return types.get("v", "none"), table.column("v").to_pylist() if "v" in table.schema.names else []

    return read
