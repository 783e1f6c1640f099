"""Record → rows, child rows, types, names and quarantine: what comes of stored pages, before any database.

Normalizer(endpoint, contract, registry).batch(block, page) -> Batch
"""

from ingest_assets.normalize.normalize import Batch, Normalizer, Quarantined, Records, Widened
from ingest_assets.normalize.registry import ColumnSpec, Registry, TableSpec

__all__ = ["Batch", "ColumnSpec", "Normalizer", "Quarantined", "Records", "Registry", "TableSpec", "Widened"]
