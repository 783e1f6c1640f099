"""Everything that a source's trials need, begun and ended: a server a endpoint, planted secrets, folders of its own."""

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

from ingest_assets.chaos.api import Api
from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.case import case
from ingest_assets.chaos.gate import Gate
from ingest_assets.chaos.server import Answer, serving
from ingest_assets.chaos.stand_in import planted, stand_in
from ingest_assets.chaos.trial import Bench
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.trace import Asked as Traced
from ingest_assets.line.clients import Clients
from ingest_assets.line.pace import Pace
from ingest_assets.source import Source

_LONGEST_NAP_SECONDS = 0.02
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of its own is made there
# Long enough for a machine with much else to do, and short enough to wait for where a body stalls.
PACE = Pace(connect_timeout_seconds=5.0, read_timeout_seconds=1.5, retry_seconds=1.0)
_LOGS = ("", "urllib3")


@contextlib.contextmanager
def bench(source: Source, name: str, seed: int = 0) -> Iterator[Bench]:
    """A bench for one endpoint of a source, with nothing of the machine's but a temporary folder."""
    with contextlib.ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="ingest-test-", dir=_IN_MEMORY)))
        open_.enter_context(_state_in(folder))
        apis, strays, lines = list[Api](), list[Asked](), list[str]()

        def answer(asked: Asked) -> Answer:
            return apis[0](asked)

        def stray(asked: Asked) -> Answer:
            strays.append(asked)
            return Answer(b"{}", HTTPStatus.FORBIDDEN)

        def store(asked: Asked) -> Answer:
            strays.append(asked)  # no secret may stand in it, either
            return apis[0].stored(asked)

        url = open_.enter_context(serving(answer))
        here = stand_in(source, url)
        gate, secrets = _let_in(here, name, seed)
        elsewhere = open_.enter_context(serving(stray))
        storage = open_.enter_context(serving(store)) if here.endpoints[name].job is not None else ""
        apis.append(Api(case(here, name, seed), gate, gate.expire, elsewhere, storage, url=url))
        open_.enter_context(_logged(lines))
        client = open_.enter_context(
            Clients(here, secrets, PACE).client(name, _written_to(lines), _nap, lambda _: None)
        )
        yield Bench(apis[0], client, folder, gate, secrets, strays, lines, fresh=lambda: _emptied(folder / "limits"))


def _let_in(here: Source, name: str, seed: int) -> tuple[Gate, Secrets]:
    """Who lets in by planted values, and where the client finds them: variables in an environment of their own."""
    values = planted(here, name, seed)
    environ = {secret.env: value for secret, value in values.items() if secret.env}
    rest = {secret.place: value for secret, value in values.items() if not secret.env}
    return Gate(here.endpoints[name].auth or here.auth, values, environ), Secrets(rest, environ)


def _written_to(lines: list[str]) -> Callable[[Traced], None]:
    return lambda asked: lines.append(repr(asked))


@contextlib.contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    """Everything that is logged, in detail, written down."""

    class Into(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, loggers = Into(logging.DEBUG), [logging.getLogger(one) for one in _LOGS]
    levels = [logger.level for logger in loggers]
    logging.getLogger().addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


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
