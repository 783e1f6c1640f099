"""What becomes of memory that is let go of while many records are in work."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_PIECE_BYTES, _KEPT_BYTES = 32 << 20, 64 << 20


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection inside: with many records alive, it costs more than all the rest."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def keep_freed_memory() -> None:
    """Have this process keep up to 64 MB that it lets go of, where the C library is glibc.

    Otherwise each page goes back to the system and comes again as new memory, which takes as long as to decompress it.
    """
    with suppress(AttributeError, OSError, TypeError):  # other libraries have no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _PIECE_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
