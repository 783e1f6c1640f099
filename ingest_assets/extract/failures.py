"""Parts that failed: which of them leave the others going on, and what is said of them in the end."""

from http import HTTPStatus

from ingest_assets.errors import (
    CursorExpired,
    IngestError,
    Locked,
    PartsFailed,
    RequestFailed,
    TransientFailure,
    WalkIncomplete,
)
from ingest_assets.extract import ruled
from ingest_assets.extract.request import Walk, shown
from ingest_assets.raw.manifest import SKIPPED

_NAMED = 5
_QUOTED_CHARACTERS = 300
_PASSING_IN_A_ROW = 10
_BEFORE_ANY_SUCCEEDED = 100


def concerns_one(error: IngestError) -> bool:
    """Whether a failure may be a matter of one part: not what would meet every other one, too."""
    if isinstance(error, CursorExpired | Locked):
        return False
    if isinstance(error, TransientFailure):
        return not error.for_all
    return isinstance(error, WalkIncomplete) or (
        isinstance(error, RequestFailed) and error.status != HTTPStatus.UNAUTHORIZED
    )


class Failures:
    """The parts of one fetch that failed or were skipped, counted as they come in their turn; `well` are the others."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._named, self._left_out = list[str](), list[str]()
        self._passing, self._last = 0, ""
        self._stored = False
        self.well = self.count = self.skips = 0

    def succeeded(self) -> None:
        """A part reached its end."""
        self.well, self._passing = self.well + 1, 0

    def skipped(self, key: str, reason: str) -> None:
        """A parent was left out, as a rule of the source file says."""
        self.skips, self._passing = self.skips + 1, 0
        if len(self._left_out) < _NAMED:
            self._left_out.append(f"{shown(key)} ({reason.removeprefix(SKIPPED).lstrip(': ')[:_QUOTED_CHARACTERS]})")

    def failed(self, key: str, owner: str, error: IngestError) -> None:
        """A part of a parent failed; raises that again where it is no matter of one: the API is down or refuses all."""
        self.count += 1
        self._stored = self._stored or _is_stored(error)
        if len(self._named) < _NAMED:
            self._named.append(f"{shown(key)} ({str(error)[:_QUOTED_CHARACTERS]})")
        if owner != self._last:
            self._passing = self._passing + 1 if isinstance(error, TransientFailure) else 0
        self._last = owner
        if self._passing >= _PASSING_IN_A_ROW or (not self.well and self.count >= _BEFORE_ANY_SUCCEEDED):
            raise error

    def told_with(self, reason: str) -> str:
        """Why the fetch ended, with the parents that were skipped."""
        if not self.skips:
            return reason
        before = "" if ruled.is_skipped(reason) else f"{reason}, "
        return f"{before}{self._skips()}"

    def check(self) -> None:
        """Raise PartsFailed, naming the first of them, where any failed; WalkIncomplete where all were skipped."""
        walk, more = self._walk, _more(self.count)
        also = f"; {self._skips()}" if self.skips else ""
        if self.count:
            of = self.count + self.well + self.skips
            anew = self._stored and walk.endpoint.write not in ("merge", "history")
            raise PartsFailed(
                f"{walk.label}: {self.count:,} of {of:,} requests for parents failed, and what the others have is "
                f"stored: {'; '.join(self._named)}{more}{also}. The next run asks for "
                + ("all of them again, since a stored page is wrong" if anew else "these only"),
                stored=self._stored,
            )
        if self.skips and not self.well and walk.completes is None:
            raise WalkIncomplete(
                f"{walk.label}: {self._skips()}: that is all of them, so it is no matter of one parent. Is a "
                "permission gone? What is never to be asked for is left out by `parents: {where: …}`"
            )

    def _skips(self) -> str:
        of = self.count + self.well + self.skips
        return f"{self.skips:,} of {of:,} parents {SKIPPED}: {'; '.join(self._left_out)}{_more(self.skips)}"


def _is_stored(error: IngestError) -> bool:
    """Whether a failure may lie in the pages that are stored, and not in an answer that was refused."""
    return isinstance(error, WalkIncomplete) or (isinstance(error, RequestFailed) and error.status is None)


def _more(count: int) -> str:
    return f", and {count - _NAMED:,} more" if count > _NAMED else ""
