"""Whose turn it is to commit rows of an endpoint: that of who has the warehouse, unless another one insists.

What was staged while others committed may be in vain: a rebuild has not read what came meanwhile. After a few of those
a load insists: it keeps the other loads of its endpoint out from before it reads until it has committed. For the loads
of other endpoints, and for all else, the warehouse is free meanwhile.

    a load             warehouse's lock ► endpoint's lock, if that is free; else it lets go of both, and waits for it
    one that insists   endpoint's lock ► reads, stages ► warehouse's lock
"""

import contextlib
from collections.abc import Iterator

from msgspec import Struct

from ingest_assets.errors import Locked
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.locks import held


class Turns(Struct, frozen=True):
    """Turns of the loads of one endpoint; `what` is shown to those who wait."""

    warehouse: Warehouse
    source: str
    endpoint: str
    what: str

    def insisted(self) -> contextlib.AbstractContextManager[None]:
        """Keep the endpoint's other loads from committing inside; Locked where one that does so itself takes long."""
        return self._endpoint(f"{self.what}, since others committed each time before it was done")

    @contextlib.contextmanager
    def taken(self, *, insists: bool) -> Iterator[None]:
        """Be the only writer inside, when it is this load's turn; `insists` is for who is inside of `insisted`."""
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.warehouse.alone(self.what))
            while not insists and not self._is_open(opened):
                opened.close()
                with self._endpoint(self.what):
                    pass
                opened.enter_context(self.warehouse.alone(self.what))
            yield

    def _is_open(self, opened: contextlib.ExitStack) -> bool:
        """Whether no load of the endpoint insists, and none begins to until `opened` is closed."""
        with contextlib.suppress(Locked):
            opened.enter_context(self._endpoint(self.what, wait_seconds=0))
            return True
        return False

    def _endpoint(self, what: str, wait_seconds: float | None = None) -> contextlib.AbstractContextManager[None]:
        lock = self.warehouse.locks / self.source / f"{self.endpoint}.lock"
        return held(lock, what, self.warehouse.wait_seconds if wait_seconds is None else wait_seconds)
