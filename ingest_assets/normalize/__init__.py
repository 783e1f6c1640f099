"""Record → rows, child rows, types, names and quarantine: what comes of stored pages, before any database.

Normalizer(endpoint, contract, registry).batch(block, page) -> Batch
batches(normalizer, placed blocks) -> Batch, Batch, …     the same for many small pages at once
"""

from ingest_assets.normalize.normalize import Batch, Normalizer, Quarantined, Records, Widened
from ingest_assets.normalize.registry import ColumnSpec, Registry, TableSpec
from ingest_assets.normalize.together import Placed, batches

__all__ = [
    "Batch",
    "ColumnSpec",
    "Normalizer",
    "Placed",
    "Quarantined",
    "Records",
    "Registry",
    "TableSpec",
    "Widened",
    "batches",
]
