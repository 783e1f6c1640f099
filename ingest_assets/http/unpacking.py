"""Files inside of an answer: a .gz or .zip that is known by its first bytes is unpacked before anything is stored.

So values of secrets in it are taken out as in any other body, and what is stored can be read without it. A zip archive
is read from its end, and so put on disk for that time. What it holds is never asked how large it says it is: what comes
out is counted.
"""

import errno
import fnmatch
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, cast

from pydantic import BaseModel, ConfigDict, Field

from ingest_assets.errors import RequestFailed, StorageFailed, TransientFailure

CHUNK_BYTES = 1 << 18
_GZIP_MARK, _ZIP_MARKS = b"\x1f\x8b\x08", (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = 16 + zlib.MAX_WBITS
_END = struct.Struct("<4s4H2LH")  # end of central directory (APPNOTE 4.3.16)
_END_MARK = b"PK\x05\x06"
_LONGEST_COMMENT = 0xFFFF
# zipfile believes the lengths, names and places in an archive, so what is wrong with these comes out as it may.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, IndexError, ValueError, struct.error)
_MOST_NAMES_BYTES = 1 << 20
_NAMES_SHOWN, _NAME_SHOWN = 8, 60
_MOST_MB, _MOST_RATIO = 20_480, 200


class AnswerRules(BaseModel):
    """How large an answer may be, and what of an archive is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    max_mb: int = Field(_MOST_MB, gt=0, description="the largest body that is read, in MB, once it is unpacked")
    max_ratio: int = Field(
        _MOST_RATIO, gt=1, description="how many times as large as it came a body may become; asked beyond 64 MB"
    )
    member: str | None = Field(
        None, min_length=1, description="the file to read of a zip archive of several: its name, * stands for anything"
    )


def unpacked(body: Iterable[bytes], named: str, member: str | None, *, whole: bool = False) -> Iterator[bytes]:
    """A body, or what is in it where it is a gzip file or zip archive; `whole` says that it is gzip for certain.

    Raises TransientFailure where it is cut or damaged, RequestFailed where it is not clear which file is meant,
    StorageFailed where an archive finds no room on disk.
    """
    pieces = iter(body)
    start = b""
    while not whole and len(start) < len(_ZIP_MARKS[0]) and (piece := next(pieces, b"")):
        start += piece
    if start.startswith(_ZIP_MARKS):
        yield from _of_archive(start, pieces, named, member)
        return
    if whole or start.startswith(_GZIP_MARK):
        yield from _of_gzip(start, pieces, named)
        return
    if start:
        yield start
    yield from pieces


def _of_gzip(start: bytes, pieces: Iterator[bytes], named: str) -> Iterator[bytes]:
    """The content of one or more gzip members (RFC 1952 §2.2), in bounded chunks however well it was packed.

    Zeros after a member are none: some programs fill their last block with them, and gzip passes them over as well.
    """
    member, pieces = zlib.decompressobj(_GZIP), _small(chain([start], pieces))
    begun, data = False, b""
    try:
        while data or (data := next(pieces, b"")):
            if member.eof and not (data := data.lstrip(b"\0")):
                continue
            begun = True
            member = zlib.decompressobj(_GZIP) if member.eof else member
            if content := member.decompress(data, CHUNK_BYTES):
                yield content
            data = member.unused_data if member.eof else member.unconsumed_tail
        if content := member.flush():
            yield content
    except zlib.error:
        raise TransientFailure(f"{named}: cut body: its gzip data are damaged") from None
    if begun and not member.eof:
        raise TransientFailure(f"{named}: cut body: its gzip data do not end")


def _small(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same in pieces of which what is left over may be copied again and again."""
    for piece in pieces:
        yield from (piece[at : at + CHUNK_BYTES] for at in range(0, len(piece), CHUNK_BYTES))


def _of_archive(start: bytes, pieces: Iterator[bytes], named: str, member: str | None) -> Iterator[bytes]:
    try:
        with tempfile.TemporaryFile() as file:
            for piece in chain([start], pieces):
                file.write(piece)
            file.flush()
            yield from _read(cast("BinaryIO", file), named, member)
    except OSError as error:
        raise StorageFailed(
            f"{named}: its zip archive is put on disk while it is read, and the folder for temporary files, "
            f"{tempfile.tempdir or 'TMPDIR'}, cannot be written: {error.strerror}. Make room there, or name another "
            "one in TMPDIR, then run again"
        ) from error


def _read(file: BinaryIO, named: str, member: str | None) -> Iterator[bytes]:
    """The file that is meant of an archive; TransientFailure where the archive is damaged, in any way."""
    _refuse_many(file, named)
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_chosen(archive, named, member)) as inner:
            while content := inner.read(CHUNK_BYTES):
                yield content
    except _DAMAGED:
        problem = "its zip archive is damaged"
    except NotImplementedError as error:
        problem = f"its zip archive is damaged, or written in a way that is not read: {error}"
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the begin of the file
            raise
        problem = "its zip archive is damaged"
    else:
        return
    raise TransientFailure(f"{named}: cut body: {problem}")


def _refuse_many(file: BinaryIO, named: str) -> None:
    """Look at the end of an archive, before all names in it are read at once."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    end = file.read()
    at = end.rfind(_END_MARK)
    if at < 0 or len(end) - at < _END.size:
        raise TransientFailure(f"{named}: cut body: its zip archive does not end")
    if _END.unpack_from(end, at)[5] > _MOST_NAMES_BYTES:
        raise RequestFailed(f"{named}: the list of files in its zip archive is larger than 1 MB, the most read")


def _chosen(archive: zipfile.ZipFile, named: str, member: str | None) -> zipfile.ZipInfo:
    files = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    fitting = [one for one in files if member is None or fnmatch.fnmatchcase(one.filename, member)]
    if len(fitting) != 1:
        shown = ", ".join(repr(one.filename[:_NAME_SHOWN]) for one in files[:_NAMES_SHOWN]) or "none"
        told = "" if member is None else f" that are {member!r}"
        more = f" and {len(files) - _NAMES_SHOWN} more" if len(files) > _NAMES_SHOWN else ""
        raise RequestFailed(
            f"{named}: expected a zip archive of one file, found {len(fitting)}{told}; its files are {shown}{more}. "
            "Say which is meant: `answer: {member: NAME}`, where * stands for anything"
        )
    (found,) = fitting
    if found.flag_bits & 1 or found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        shown = repr(found.filename[:_NAME_SHOWN])
        raise RequestFailed(f"{named}: {shown} in its zip archive is encrypted, or packed otherwise than by deflate")
    return found
