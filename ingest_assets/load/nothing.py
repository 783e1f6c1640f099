"""Fetches without a record, of a table that stays as it is: they are accounted for, and no row is looked at."""

from ingest_assets.load.plan import Known, Plan
from ingest_assets.load.staged import Staged
from ingest_assets.load.work import Work
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Snapshot


def brings_nothing(work: Work, known: Known, plan: Plan) -> bool:
    """Whether all that is planned is to note that these fetches came, and brought no record.

    A table that is not there yet is made all the same; one that is replaced or swept loses rows by an empty fetch.
    """
    contract = work.contract
    changes = plan.rebuild or plan.forget or plan.missing or plan.undone or known.layout != contract.layout
    if changes or not known.loaded or contract.replaces or contract.sweep is not None:
        return False
    return all(_is_empty(work, snapshot) for snapshot in plan.snapshots)


def _is_empty(work: Work, snapshot: Snapshot) -> bool:
    if snapshot.manifest.ended is None or snapshot.manifest.ended.records:
        return False
    # The file may say since then that records are elsewhere in a page.
    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    return not any(block.count for entry in stored.pages() for block in stored.blocks(entry))


def unstaged(snapshot: Snapshot) -> Staged:
    """A fetch without records, for which no table was made."""
    told = snapshot.manifest
    return Staged(told.fetch, told.partition, (), 0, 0, frozenset(), told.started)
