"""A process that does one thing and ends, as a command or a script: it seldom looks for garbage, and is gone at once.

Most of what it holds are imported modules. Python's collector would look through them again and again while they are
imported, and at the end Python takes all of them apart before the system frees its memory: a third of `ingest run`, and
a quarter of a script that loads an endpoint of which there is nothing new. The threads that numpy starts for linear
algebra, which nobody here does, turn for a tenth of a second before they rest; to look for plugins of pydantic among
all packages takes a hundredth. Variables of these that were set already are left as they are.

    process = Process()     first of all, before other imports
    …
    process.end(0)

What threads and `atexit` have to do is done; a file that nobody closed is not written to its end.
"""

import atexit
import contextlib
import gc
import os
import sys
from typing import NoReturn

_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
_COLLECT_AFTER = (250_000, 20, 100)  # instead of 700 new objects, 10 and 10 times

_own = set[str]()


class Process:
    """The process that this is, from now to its `end`."""

    def __init__(self) -> None:
        self._code: int | None = None
        gc.set_threshold(*_COLLECT_AFTER)
        _own.update(_VARIABLES.keys() - os.environ.keys())
        os.environ.update({name: _VARIABLES[name] for name in _own})
        atexit.register(self._leave)  # the first that is registered is called last

    def end(self, code: int) -> NoReturn:
        """End it with this exit code, once its threads have ended and others have done what they do at its end."""
        self._code = code
        sys.exit(code)

    def _leave(self) -> None:
        if self._code is None:
            return
        with contextlib.suppress(OSError, ValueError):  # who reads is gone, or the stream is closed: Python tells
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._code)


def environment() -> dict[str, str]:
    """For a process that does more than one thing: the variables of this one, less those that it set for itself."""
    return {name: value for name, value in os.environ.items() if name not in _own}
