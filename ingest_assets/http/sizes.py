"""How much of a body is in memory at once: blocks of records, one record, and what lies around them."""

from ingest_assets.errors import RequestFailed

PIECE_BYTES = 4 << 20
"""A body that is no larger is one piece all the way: received, redacted, compressed and decoded without a copy."""
BLOCK_BYTES = 4 << 20
MAX_ENVELOPE_BYTES = 64 << 20


def too_large(max_record_bytes: int) -> RequestFailed:
    """The error for a record that is larger than what memory is planned for."""
    return RequestFailed(f"a single record is larger than {max_record_bytes >> 20} MB, the most that is read as one")
