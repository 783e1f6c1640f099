"""Whether the user asked to stop. Dagster replaces signal handlers while it runs, and between steps it may drop one."""

import contextlib
import os
import signal

_STOP = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Sees every Ctrl-C and SIGTERM of this process, whoever handles it: the interpreter writes them to a pipe."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        for descriptor in (self._reader, writer):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._seen = False

    def __call__(self) -> bool:
        """Whether there was one."""
        with contextlib.suppress(BlockingIOError):
            arrived = os.read(self._reader, 4096)
            self._seen = self._seen or any(number in arrived for number in _STOP)
        return self._seen

    def check(self) -> None:
        """Raise KeyboardInterrupt where there was one."""
        if self():
            raise KeyboardInterrupt
