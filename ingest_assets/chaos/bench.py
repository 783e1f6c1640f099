"""Everything that a source's trials need, begun and ended: a server a endpoint, planted secrets, folders of its own."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ingest_assets.chaos.api import Api
from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.case import case
from ingest_assets.chaos.server import Answer, serving
from ingest_assets.chaos.stand_in import by_place, planted, stand_in
from ingest_assets.chaos.trial import Bench
from ingest_assets.http.secrets import Secrets
from ingest_assets.line.clients import Clients
from ingest_assets.line.pace import Pace
from ingest_assets.source import Source

_LONGEST_NAP_SECONDS = 0.02
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of its own is made there
_PACE = Pace(connect_timeout_seconds=5.0, read_timeout_seconds=0.5, retry_seconds=0.5)


@contextlib.contextmanager
def bench(source: Source, name: str, seed: int = 0) -> Iterator[Bench]:
    """A bench for one endpoint of a source, with nothing of the machine's but a temporary folder."""
    with contextlib.ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="ingest-test-", dir=_IN_MEMORY)))
        open_.enter_context(_state_in(folder))
        holder: list[Api] = []

        def answer(asked: Asked) -> Answer:
            return holder[0](asked)

        url = open_.enter_context(serving(answer))
        elsewhere = open_.enter_context(serving(lambda _: Answer(b"{}", 404)))
        here = stand_in(source, url)
        api = Api(case(here, name, seed), url=url, elsewhere=elsewhere)
        holder.append(api)
        secrets = Secrets(by_place(planted(source, seed)))
        clients = Clients(here, secrets, _PACE)
        client = open_.enter_context(clients.client(name, lambda _: None, _nap, lambda _: None))
        yield Bench(api, client, folder, fresh=lambda: _emptied(folder / "limits"))


def _nap(seconds: float) -> None:
    """Waits hardly at all: what is waited for by the clock is looked at again and again."""
    time.sleep(min(seconds, _LONGEST_NAP_SECONDS))


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


@contextlib.contextmanager
def _state_in(folder: Path) -> Iterator[None]:
    """Limits and tokens below a folder, and no proxy before loopback."""
    told = {"INGEST_LIMITS": str(folder / "limits"), "INGEST_TOKENS": str(folder / "tokens"), "NO_PROXY": "127.0.0.1"}
    former = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
