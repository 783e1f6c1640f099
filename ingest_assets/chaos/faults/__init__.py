"""Everything that can go wrong with an API, one frozen value each.

fault       what a fault is
paging      pages that come twice, not at all or short; signs that are missing or wrong
jobs        jobs that fail, never end or are gone; answers about them that are lost
"""

from ingest_assets.chaos.faults.bodies import BODIES, CREDENTIALS, REDIRECTS
from ingest_assets.chaos.faults.fault import Fault, no_fault
from ingest_assets.chaos.faults.jobs import JOBS
from ingest_assets.chaos.faults.paging import PAGING
from ingest_assets.chaos.faults.statuses import STATUSES

FAULTS: tuple[Fault, ...] = (no_fault(), *PAGING, *STATUSES, *BODIES, *REDIRECTS, *CREDENTIALS, *JOBS)

__all__ = ["FAULTS", "Fault"]
