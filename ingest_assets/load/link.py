"""What a load's process and a second one that makes rows for it tell each other, over a socket."""

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ingest_assets.load.filling import Filled
from ingest_assets.load.work import Work

LOOK, ENDED = b".", b"!"
"""To the second process: there are more pages, and there will be no more."""

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True)
class Asked:
    """What the second process is to do; `registry` is the text of the one to begin with.

    It makes `lead` bytes of bodies into rows while the other process gets ready for the rest.
    """

    work: Work
    folder: Path
    registry: str
    staging: Path
    lead: int


@dataclass(frozen=True)
class Parted:
    """Which pages it makes rows of when a walk has ended: so many of the index's first lines.

    `registry` is the text of what it knew when it said so: under that one the rest is to be made.
    """

    pages: int
    registry: str


@dataclass(frozen=True)
class Made:
    """What it has done: of lines of this digest; tables and names of columns for each of the files that follow."""

    index: str
    told: Filled
    tables: Sequence[tuple[str, tuple[str, ...], pa.Schema]]


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
        socket.send_fds(link, [LOOK], descriptors)


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
