"""What a load's process and a second one that makes rows for it tell each other, over a socket."""

import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ingest_assets.load.shares import Share
from ingest_assets.load.work import Work

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest_assets.load.filling import Filled

_LENGTH = struct.Struct("!Q")
_BESIDE = b"."  # files go with at least a byte


class Asked(Struct, frozen=True):
    """What the second process is to do; `registry` is the text of the one to begin with."""

    work: Work
    folder: Path
    registry: str
    staging: Path


class Knows(Struct, frozen=True):
    """The text of the registry that it goes on with: what it made so far is of no use under a narrower one."""

    registry: str


class Made(Struct, frozen=True):
    """What it has done, at the end: of the pages of these shares, whose lines in the index have this digest.

    Tables and names of columns are those of the files that follow.
    """

    shares: Sequence[Share]
    index: str
    told: "Filled"
    tables: Sequence[tuple[str, tuple[str, ...], "pa.Schema"]]


def send(link: socket.socket, message: bytes) -> None:
    """Send a message, its length before it."""
    link.sendall(_LENGTH.pack(len(message)) + message)


def received(link: socket.socket) -> bytes:
    """A message that `send` sent; EOFError where the other end is gone."""
    return _exactly(link, _LENGTH.unpack(_exactly(link, _LENGTH.size))[0])


def _exactly(link: socket.socket, count: int) -> bytes:
    arrived = bytearray()
    while len(arrived) < count:
        if not (piece := link.recv(min(count - len(arrived), 1 << 20))):
            raise EOFError
        arrived += piece
    return bytes(arrived)


def send_files(link: socket.socket, descriptors: Sequence[int]) -> None:
    """Send open files, any number that a process may have in one message."""
    if descriptors:
        socket.send_fds(link, [_BESIDE], descriptors)


def files(link: socket.socket, count: int) -> list[int]:
    """So many open files; EOFError where others came."""
    if count == 0:
        return []
    _, descriptors, _, _ = socket.recv_fds(link, 1, count)
    if len(descriptors) != count:
        for descriptor in descriptors:
            os.close(descriptor)
        raise EOFError
    return descriptors
