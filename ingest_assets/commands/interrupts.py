"""Whether the user asked to stop. Dagster replaces signal handlers while it runs, and between steps it may drop one."""

import contextlib
import os
import signal
import sys
import threading

_SOON = 0.01  # seconds: until the finalizer that swallowed an interruption is over
_INTERRUPTIONS = {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}  # by name: Dagster is not imported for this
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


def send_again_where_swallowed() -> None:
    """From now on, an interruption that is raised within a finalizer, which can only print it, is sent once more.

    A handler runs wherever the interpreter happens to be, and so in a `__del__` or a callback of a weak reference, too.
    """
    usual = sys.unraisablehook

    def hook(swallowed: "sys.UnraisableHookArgs") -> None:
        if swallowed.exc_type.__name__ in _INTERRUPTIONS:
            again = threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            usual(swallowed)

    sys.unraisablehook = hook
