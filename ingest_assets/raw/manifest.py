"""Which fetch a snapshot is of, and how it ended: `manifest.json`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import asdict, force_setattr

from ingest_assets.errors import StorageFailed
from ingest_assets.http.total import Tells
from ingest_assets.raw import disk
from ingest_assets.raw.paths import encoded
from ingest_assets.raw.sealed import sealed, unsealed

FORMAT = 2  # of format 1 nothing else is missing than what was not known then: it is read as it is
FILE = "manifest.json"

SKIPPED = "skipped by a rule"
"""What the reason of a fetch says where parents were left out, as the source file wants it."""

Verdict = Literal["complete", "open", "incomplete", "failed", "given_up"]


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no zone: which moment it is cannot be told")
    return moment.astimezone(UTC)


class Bounds(Struct, frozen=True):
    """The slice of time that was asked for, half-open; an end is None where the API has no such bound."""

    from_: datetime | None
    until: datetime | None

    def __post_init__(self) -> None:
        for name in ("from_", "until"):
            if (moment := getattr(self, name)) is not None:
                force_setattr(self, name, _utc(moment))


class Counted(Struct, frozen=True):
    """What the API answered where it was asked how many records there are: the body as it came, secrets replaced."""

    records: int
    tells: Tells
    at: datetime
    url: str
    status: int
    headers: Mapping[str, str]
    body: str

    def __post_init__(self) -> None:
        force_setattr(self, "at", _utc(self.at))


class Ending(Struct, frozen=True):
    """Why and when a walk ended. `position` is where a feed goes on, any JSON.

    `expected` is the API's own count of its records, and `expected_is` how it means that.
    """

    at: datetime
    verdict: Verdict
    reason: str
    pages: int
    records: int
    bytes: int
    expected: int | None = None
    position: Any = None
    traffic: Mapping[str, Any] = field(default_factory=dict)
    expected_is: Tells = "exactly"

    def __post_init__(self) -> None:
        force_setattr(self, "at", _utc(self.at))
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict {self.verdict!r} is none of {', '.join(get_args(Verdict))}")


class Manifest(Struct, frozen=True):
    """A fetch: one walk of one partition. `fingerprint` tells its request from that of a changed source file.

    `completes` is the fetch before it whose failed parts, and no others, it asks for.
    """

    source: str
    endpoint: str
    partition: str | None
    fetch: int
    started: datetime
    fingerprint: str
    bounds: Bounds | None = None
    run: str | None = None
    ended: Ending | None = None
    counted: Counted | None = None
    completes: int | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "started", _utc(self.started))

    def folder(self, root: Path) -> Path:
        """Where its snapshot is, below the folder of all snapshots."""
        return root / encoded(self.source) / encoded(self.endpoint) / encoded(self.partition) / str(self.fetch)


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None


def to_line(manifest: Manifest) -> bytes:
    """The manifest as its file holds it."""
    told = asdict(manifest) | {"started": _told(manifest.started)}
    if bounds := manifest.bounds:
        told["bounds"] = {"from": _told(bounds.from_), "until": _told(bounds.until)}
    if end := manifest.ended:
        told["ended"] = asdict(end) | {"at": _told(end.at)}
    if counted := manifest.counted:
        told["counted"] = asdict(counted) | {"at": _told(counted.at)}
    return sealed({"format": FORMAT} | told)


@lru_cache(maxsize=4096)
def from_line(line: bytes) -> Manifest:
    """The manifest that `to_line` wrote; ValueError where the line is not as it was written."""
    told = unsealed(line)
    del told["format"]
    told["started"] = datetime.fromisoformat(told["started"])
    if bounds := told["bounds"]:
        told["bounds"] = Bounds(_moment(bounds["from"]), _moment(bounds["until"]))
    if end := told["ended"]:
        told["ended"] = Ending(**end | {"at": datetime.fromisoformat(end["at"])})
    if counted := told.get("counted"):
        told["counted"] = Counted(**counted | {"at": datetime.fromisoformat(counted["at"])})
    return Manifest(**told)


def _format_of(line: bytes) -> int | None:
    """The format number that a manifest begins with, in every format; None where there is none.

    >>> _format_of(b'{"format":2,"what":"follows"}')
    2
    """
    number = line.removeprefix(b'{"format":').partition(b",")[0]
    return int(number) if number != line and number.isdigit() else None


def _refuse_other_formats(file: Path, line: bytes) -> None:
    found = _format_of(line)
    if found is not None and not 1 <= found <= FORMAT:
        raise StorageFailed(
            f"{file}: the snapshot is of format {found}; this version of ingest-assets knows formats 1 to {FORMAT}. "
            "Use the version that wrote it, or a later one"
        )


def read(folder: Path) -> Manifest:
    """The manifest in a snapshot's folder; StorageFailed where it is missing, damaged or of another format."""
    file = folder / FILE
    try:
        line = file.read_bytes()
    except FileNotFoundError as error:
        raise disk.damaged(file, "the file is missing") from error
    _refuse_other_formats(file, line)
    try:
        manifest = from_line(line)
    except (ValueError, KeyError, TypeError) as error:
        raise disk.damaged(file, str(error)) from error
    if (folder.parent.name, folder.name) != (encoded(manifest.partition), str(manifest.fetch)):
        raise disk.damaged(file, f"it is of fetch {manifest.fetch}, partition {manifest.partition!r}")
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest in place, at once and durably."""
    disk.write_file(folder / FILE, to_line(manifest))
