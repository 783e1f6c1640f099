"""Every error that is raised on purpose, named by what the catcher should do.

    IngestError
    ├── ConfigError         mend the file, the setting or the secret, then run again
    ├── TransientFailure    try again later: nothing is wrong with the file
    │   ├── Locked          another process holds the lock: wait for it, or end it
    │   └── NotBefore       end the run: nothing may be asked before a stated time
    ├── RequestFailed       give up: the API refused, and the same request would be refused again
    │   ├── Ruled           give up, unless the walk takes it for what a rule of the source file says
    │   └── CursorExpired   begin the walk anew: the API no longer knows where it stood
    ├── WalkIncomplete      the walk did not reach its end: nothing of it counts as done
    │   └── PartsFailed     some parts of a fetch failed: the others are done, and another run asks for these
    ├── ContractBroken      stop this table: what came does not fit what was promised
    │   └── TooManyGone     load what came before this fetch: it would delete more than is deleted unasked
    └── StorageFailed       a disk is full, or a stored file is not what was written

Bad data is not an error: a record that does not fit is a value, see `ingest_assets.normalize`.
A message says where, what was found, what was expected, and what to do; never a secret, never a body.
"""

from datetime import datetime


class IngestError(Exception):
    """The base of all errors raised on purpose."""


class ConfigError(IngestError):
    """A source file, a setting or a secret is wrong or missing."""


class TransientFailure(IngestError):
    """Something that may pass by itself: a lost connection, a 5xx, a limit.

    `wait_seconds` is what the API asked to wait, or None where it said nothing. `for_all` where that holds for whatever
    else is asked for, too: so it is with a limit, and not with a page that is not there yet. `alone` where the wait is
    that of what was asked for, and everything else may be asked for meanwhile.
    """

    def __init__(
        self, message: str, wait_seconds: float | None = None, *, for_all: bool = False, alone: bool = False
    ) -> None:
        super().__init__(message)
        self.wait_seconds, self.for_all, self.alone = wait_seconds, for_all, alone


class Locked(TransientFailure):
    """A lock was not free within its limit; the message names its holder."""


class NotBefore(TransientFailure):
    """The API is to be left alone until a time: it asks for a longer pause than a run waits, or it is down.

    `until` is that time, with its zone. `everywhere` where no endpoint of the source would fare better before it; where
    it is so of one thing `alone`, what else is asked for by the same walk may.
    """

    def __init__(
        self,
        message: str,
        until: datetime,
        wait_seconds: float | None = None,
        *,
        everywhere: bool = False,
        alone: bool = False,
    ) -> None:
        super().__init__(message, wait_seconds, for_all=not alone, alone=alone)
        self.until, self.everywhere = until, everywhere


class RequestFailed(IngestError):
    """The API refused for good: the same request would be refused again.

    `status` is the HTTP status, or None where the refusal came inside a 200.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Ruled(RequestFailed):
    """An answer that is no page, as a rule of the source file says; `rule` is how messages name it, `means` its word.

    `status` is None but for a 401: what statuses usually mean does not hold where a rule says what they mean.
    """

    def __init__(self, message: str, means: str, rule: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.means, self.rule = means, rule


class CursorExpired(RequestFailed):
    """A walk that went on after a rest was refused at once: its cursor is no longer known."""


class WalkIncomplete(IngestError):
    """A walk ended before its end: an empty page in the middle, a cursor that repeats."""


class PartsFailed(WalkIncomplete):
    """Some parts of a fetch, such as the children of some parents, could not be had; the others have come.

    `stored` tells that what is stored of one shows its mistake: going on would meet that again.
    """

    def __init__(self, message: str, *, stored: bool = False) -> None:
        super().__init__(message)
        self.stored = stored


class ContractBroken(IngestError):
    """What came does not fit what the table promises, as a whole and not in single records."""


class TooManyGone(ContractBroken):
    """A fetch would delete more than the file says, and nobody accepted that; `fetch` is its number."""

    def __init__(self, message: str, fetch: int) -> None:
        super().__init__(message)
        self.fetch = fetch


class StorageFailed(IngestError):
    """A disk is full, or a stored file is damaged or missing."""
