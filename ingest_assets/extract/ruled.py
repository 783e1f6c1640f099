"""Pages and ends by a rule of the source file: what such an answer holds, and where it may not be taken at its word.

A rule must not turn a failure into records that are missing without a word:

- what is empty by a rule holds no records where they would stand;
- what ends a walk is not the first answer, unless it is a page itself;
- right after a rest it is no end: the API may not know the cursor any more, and the walk begins anew;
- neither is said of a nested list, whose record tells that it goes on.
"""

from http import HTTPStatus
from io import BytesIO
from typing import Any, BinaryIO, NoReturn

from ingest_assets.errors import IngestError, RequestFailed, Ruled
from ingest_assets.extract.request import Walk
from ingest_assets.http.answer import Response
from ingest_assets.http.decoders import Decoded
from ingest_assets.http.page import Page
from ingest_assets.http.responses import MOST_BYTES, parsed
from ingest_assets.raw.manifest import SKIPPED
from ingest_assets.raw.records import EMPTY, END

BY_RULE = "by a rule: "
_SUCCESS = range(200, 300)


def is_empty(response: Response) -> bool:
    """Whether an answer holds no records, as a rule says, or has no content and is the end."""
    rule = response.rule
    return rule is not None and (rule.means == "empty" or response.status == HTTPStatus.NO_CONTENT)


def nothing_in(walk: Walk, response: Response, body: BinaryIO) -> Decoded:
    """A page of no records, with what a good answer says beside them; RequestFailed where it does hold some."""
    found = Decoded(iter(()))
    if response.status in _SUCCESS and response.status != HTTPStatus.NO_CONTENT:
        found.envelope = _beside_records(walk, response, body)
    return found


def _beside_records(walk: Walk, response: Response, body: BinaryIO) -> Any:
    text = body.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        _refuse(response, f"has more than {MOST_BYTES:,} bytes")
    decoded = walk.endpoint.decoder.decode(BytesIO(text), walk.endpoint.records)
    try:
        for _ in decoded:
            pass
    except IngestError:  # it has no place for records, or is no page at all: just what the rule is for
        told = parsed(text)
        return told if isinstance(told, dict) else None
    if decoded.records:
        _refuse(response, f"holds {decoded.records:,} records")
    return decoded.envelope


def _refuse(response: Response, found: str) -> NoReturn:
    raise RequestFailed(
        f"an answer is empty by a rule ({response.rule}), and {found}: let the rule say more closely "
        "which answers are meant"
    )


def noted(response: Response) -> dict[str, str]:
    """What the note of a page says of the rule that speaks of it."""
    if response.rule is None:
        return {}
    told = f"HTTP {response.status}, as {response.rule}"
    also = {EMPTY: told} if is_empty(response) else {}
    return {END: told, **also} if response.rule.means == "end" else also


def ended(walk: Walk, page: Page) -> str | None:
    """The reason, where a rule says that the walk ends with this page: as the last, or as nothing at all."""
    if (page.end or page.empty) and walk.part is not None and walk.part.of is not None:
        raise RequestFailed(f"{walk.label}: {page.end or page.empty}: no rule ends or empties a list that came cut")
    if page.end is not None:
        return f"{BY_RULE}{page.end}"
    return f"{BY_RULE}{page.empty}" if is_nothing(page) else None


def is_nothing(page: Page | None) -> bool:
    """Whether a first page says by a rule that there is nothing, and nothing else."""
    return page is not None and page.number == 0 and page.empty is not None and page.envelope is None


def is_skipped(reason: str) -> bool:
    """Whether this is why no more was asked of a parent."""
    return reason.startswith(SKIPPED)


def ended_by(walk: Walk, ruled: Ruled, *, is_first: bool) -> str:
    """The reason, where an answer means the end, or that its parent is skipped; raises it where it cannot be."""
    if ruled.means == "skip_parent" and walk.part is not None and walk.part.of is None:
        return f"{SKIPPED}: {ruled.rule}"
    if ruled.means != "end" or (walk.part is not None and walk.part.of is not None):
        raise ruled
    if is_first:
        raise Ruled(
            f"{ruled}; and it is the first answer, so nothing has come. Where it says that there are no records, say "
            "`means: empty`",
            ruled.means,
            ruled.rule,
        ) from ruled
    return f"{BY_RULE}{ruled.rule}"
