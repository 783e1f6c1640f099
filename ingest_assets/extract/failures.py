"""Parts that failed: which of them leave the others going on, and what is said of them in the end."""

from http import HTTPStatus

from ingest_assets.errors import (
    CursorExpired,
    IngestError,
    Locked,
    NotBefore,
    PartsFailed,
    RequestFailed,
    TransientFailure,
    WalkIncomplete,
)
from ingest_assets.extract.request import Walk, shown

_NAMED = 5
_QUOTED_CHARACTERS = 300
_PASSING_IN_A_ROW = 10
_BEFORE_ANY_SUCCEEDED = 100


def concerns_one(error: IngestError) -> bool:
    """Whether a failure may be a matter of one part: not what would meet every other one, too."""
    if isinstance(error, CursorExpired | Locked | NotBefore):
        return False
    if isinstance(error, TransientFailure):
        return error.wait_seconds is None
    return isinstance(error, WalkIncomplete) or (
        isinstance(error, RequestFailed) and error.status != HTTPStatus.UNAUTHORIZED
    )


class Failures:
    """The parts of one fetch that failed, counted as they come in their turn; `well` are the others."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._named = list[str]()
        self._passing = 0
        self.well = self.count = 0

    def succeeded(self) -> None:
        """A part reached its end."""
        self.well, self._passing = self.well + 1, 0

    def failed(self, key: str, error: IngestError) -> None:
        """A part failed; raises that again where it is no matter of that part: the API is down, or refuses all."""
        self.count += 1
        if len(self._named) < _NAMED:
            self._named.append(f"{shown(key)} ({str(error)[:_QUOTED_CHARACTERS]})")
        self._passing = self._passing + 1 if isinstance(error, TransientFailure) else 0
        if self._passing >= _PASSING_IN_A_ROW or (not self.well and self.count >= _BEFORE_ANY_SUCCEEDED):
            raise error

    def check(self) -> None:
        """Raise PartsFailed, naming the first of them, where there are any."""
        if not self.count:
            return
        walk, more = self._walk, f", and {self.count - len(self._named):,} more" if self.count > _NAMED else ""
        raise PartsFailed(
            f"{walk.label}: {self.count:,} of {self.count + self.well:,} requests for parents failed, and what the "
            f"others have is stored: {'; '.join(self._named)}{more}. The next run asks for these only"
        )
