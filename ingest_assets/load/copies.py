"""A file copied whole and durably; by sharing its blocks where the file system can, which takes no time and no room."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ingest_assets.errors import StorageFailed

_FICLONE = 0x40049409  # linux/fs.h; Btrfs, XFS and bcachefs share blocks by it
_HEADERS = 3 * 4096

State = tuple[int, bytes]
"""What tells one state of a warehouse's file from all others."""


def state(file: Path) -> State | None:
    """The state of a warehouse's file, the same in each of its copies; None where it is not whole, or not there.

    It opens and closes the file: DuckDB's lock would vanish where this process has it open for writing.
    """
    # The headers count what was written, also within one tick of the file system's clock; the time tells a file that
    # was put in another one's place.
    if file.with_name(f"{file.name}.wal").exists() or not file.exists():
        return None
    with file.open("rb") as opened:
        return file.stat().st_mtime_ns, opened.read(_HEADERS)


def copy(source: Path, target: Path, room: Callable[[int], None]) -> None:
    """Copy a file to `target` with its time; `room` is told how much the disk needs, and raises where that is not free.

    Somebody may put another file in the source's place meanwhile: the copy is of one of both, and never newer by its
    time than by its content.
    """
    stat = source.stat()
    if not _shared(source, target):
        room(stat.st_size)
        shutil.copyfile(source, target)
    with target.open("rb") as copied:
        os.fsync(copied.fileno())
    os.utime(target, ns=(stat.st_mtime_ns, stat.st_mtime_ns))


def drafted(source: Path, target: Path) -> Path:
    """A copy of a file beside `target`, to be put there; StorageFailed where it cannot be written."""
    draft = target.with_name(f"{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy(source, draft, lambda _: None)  # on another disk, perhaps: it says itself where it is full
    except OSError as error:
        raise StorageFailed(
            f"{draft}: the copy could not be written: {error.strerror}. Mend that, then run again"
        ) from error
    return draft


def _shared(source: Path, target: Path) -> bool:
    with source.open("rb") as content, target.open("wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, content.fileno())
        except OSError:  # another file system, or one that cannot
            return False
    return True
