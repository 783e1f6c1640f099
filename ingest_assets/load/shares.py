"""Pages of a walk shared out to two processes: who is free takes the next share, from a pipe that both read.

So none of them waits for the other while there are pages, however quick it is.
"""

import array
import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from itertools import chain

Share = tuple[int, int]
"""The number of a share's first page, and that of the page after it."""

_SHARE = struct.Struct("!QQ")


def taken(pipe: int) -> Iterator[Share]:
    """Each share that this process takes from a pipe, until all are taken and no more will come."""
    while share := os.read(pipe, _SHARE.size):
        first, until = _SHARE.unpack(share)
        yield first, until


class Shares:
    """What the process of the walk shares out, some `least` bytes at a time; to be closed.

    `pipe` is where both take shares from, this process once it said that the walk has `ended`.
    """

    def __init__(self, least: int) -> None:
        self.pipe, self._end = os.pipe()
        os.set_blocking(self._end, False)
        self._least = least
        self._count = self._pages = self._size = 0

    def offer(self, pages: int, size: int) -> None:
        """Share out what is new of so many stored pages, of `size` bytes in all."""
        pieces = min(pages - self._pages, (size - self._size) // self._least)
        for left in range(pieces, 0, -1):
            if not self._put(self._pages + (pages - self._pages) // left):
                return  # there is no room: later, with what comes next
        if pieces > 0:
            self._size = size

    def ended(self, pages: int) -> Iterator[Share]:
        """Share out the last of so many pages; the shares that this process takes from now on."""
        kept = [] if pages <= self._pages or self._put(pages) else [(self._pages, pages)]
        os.close(self._end)
        self._end = -1
        return chain(kept, taken(self.pipe))

    @property
    def untouched(self) -> bool:
        """Whether nobody has taken any share."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.pipe, termios.FIONREAD, waiting)
        return waiting[0] == _SHARE.size * self._count

    def close(self) -> None:
        """Let go of the pipe."""
        for end in {self.pipe, self._end} - {-1}:
            os.close(end)
        self.pipe = self._end = -1

    def _put(self, until: int) -> bool:
        try:
            os.write(self._end, _SHARE.pack(self._pages, until))
        except BlockingIOError:
            return False
        self._pages, self._count = until, self._count + 1
        return True
