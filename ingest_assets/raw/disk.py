"""Writes that survive a crash, on a disk that is never filled to the last byte."""

import contextlib
import errno
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from ingest_assets.errors import StorageFailed
from ingest_assets.raw.paths import decoded

RESERVE_BYTES = 100_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)
_KEPT = "all earlier pages are kept and can be loaded"


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB free"


def ensure_room(folder: Path, reserve_bytes: int) -> None:
    """StorageFailed if less than the reserve is free where `folder` is."""
    if shutil.disk_usage(folder).free < reserve_bytes:
        raise StorageFailed(
            f"{folder}: the disk is almost full: {_free(folder)}, below the reserve of {reserve_bytes / 1e6:,.1f} MB; "
            f"{_KEPT}. Make room, then run again"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says of a failed write below `folder` into StorageFailed; other errors pass."""
    try:
        yield
    except OSError as error:
        found = f"the disk is full: {_free(folder)}" if error.errno in _FULL else f"cannot be written: {error.strerror}"
        mend = "Make room" if error.errno in _FULL else "Mend that"
        raise StorageFailed(f"{folder}: {found}; {_KEPT}. {mend}, then run again") from error


@contextlib.contextmanager
def opened(file: Path, flags: int) -> Iterator[int]:
    """A file's descriptor while inside; made with mode 0600 where the flags say so."""
    descriptor = os.open(file, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_at(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of it: the system may take less at a time."""
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Make names that were added to a folder, or replaced in it, outlive a crash."""
    with opened(folder, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing: mode 0700, durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def write_file(file: Path, content: bytes) -> None:
    """Put a file with this content in place, mode 0600: after a crash it is the former one or this, never a part."""
    draft = file.with_name(f"{file.name}.new")
    with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        write_at(descriptor, content, 0)
        os.fsync(descriptor)
    draft.replace(file)
    sync_folder(file.parent)


def make_file(file: Path) -> None:
    """Make an empty file, mode 0600; its name is durable once its folder is synced."""
    with opened(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
        pass


def damaged(file: Path, found: str) -> StorageFailed:
    """The error for a stored file that is not what was written, with the way out."""
    source, endpoint, name = file.parts[-5:-2]
    back = f"damaged: {file}: {found}. Put the folder back from a backup; or move it away"
    if endpoint[0].isdigit():  # the moment when it was archived: no endpoint is called like that
        return StorageFailed(f"{back}: of what is archived, no table is made")
    with contextlib.suppress(ValueError):  # a long key is cut: its folder's name has to do
        name = decoded(name) or ""
    partition = f" --partition {shlex.quote(name)}" if name else ""
    return StorageFailed(f"{back} and fetch the partition again: ingest run {source}.{endpoint}{partition} --again")
