"""What the warehouse knows and no response tells, noted beside the snapshots, for the day when it is lost.

    <data>/raw/<source>/.account.json                whose rows these are: origin and account
    <data>/raw/<source>/<endpoint>/.registry.json    the names settled for columns and tables, and the shapes seen
    <data>/raw/<source>/<endpoint>/.drift.json       what its fetches brought that the tables did not know
    <data>/raw/<source>/<endpoint>/.accepted.json    fetches whose many deletions a person has accepted
    <data>/raw/<source>/<endpoint>/.pruned.json      fetches that were loaded and are not stored any more
    <data>/raw/<source>/<endpoint>/.sweeps.json      what fetches swept before others, or records, were taken away

The warehouse owns the first three: it writes them here before it commits, under its lock, and reads them where it has
none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from ingest_assets.errors import StorageFailed
from ingest_assets.raw import disk
from ingest_assets.raw.paths import encoded
from ingest_assets.raw.sealed import sealed, unsealed

FORMAT = 1
ACCOUNT = ".account.json"
REGISTRY = ".registry.json"
DRIFT = ".drift.json"
ACCEPTED = ".accepted.json"
PRUNED = ".pruned.json"
SWEEPS = ".sweeps.json"


class Notes(Struct, frozen=True):
    """The notes below `folder`, which is that of all snapshots; where it does not write, they stay as they are."""

    folder: Path
    writes: bool = True

    def account(self, source: str) -> tuple[str, str] | None:
        """Origin and account that a source's rows come from; None where nothing is noted."""
        told = _read(self.folder / encoded(source) / ACCOUNT)
        return None if told is None else (told["origin"], told["account"])

    def note_account(self, source: str, origin: str, account: str) -> None:
        """Note whose rows a source's are."""
        self._write(self.folder / encoded(source) / ACCOUNT, {"origin": origin, "account": account})

    def forget_account(self, source: str) -> None:
        """Note no more whose rows a source's are."""
        (self.folder / encoded(source) / ACCOUNT).unlink(missing_ok=True)

    def registry(self, source: str, endpoint: str) -> str | None:
        """The text of an endpoint's registry; None where nothing is noted."""
        told = _read(self.folder / encoded(source) / encoded(endpoint) / REGISTRY)
        return None if told is None else str(told["registry"])

    def note_registry(self, source: str, endpoint: str, text: str) -> None:
        """Note the text of an endpoint's registry."""
        self._write(self.folder / encoded(source) / encoded(endpoint) / REGISTRY, {"registry": text})

    def drift(self, source: str, endpoint: str) -> list[list[Any]]:
        """The events of an endpoint, as they were noted."""
        told = _read(self.folder / encoded(source) / encoded(endpoint) / DRIFT)
        return [] if told is None else list(told["events"])

    def note_drift(self, source: str, endpoint: str, events: Sequence[Sequence[Any]]) -> None:
        """Note the events of an endpoint, in place of those that were noted."""
        self._write(self.folder / encoded(source) / encoded(endpoint) / DRIFT, {"events": events})

    def accepted(self, source: str, endpoint: str) -> frozenset[int]:
        """The fetches of an endpoint whose deletions were accepted, however many."""
        told = _read(self.folder / encoded(source) / encoded(endpoint) / ACCEPTED)
        return frozenset(told["fetches"]) if told is not None else frozenset()

    def accept(self, source: str, endpoint: str, fetch: int) -> None:
        """Note that a fetch may delete what it did not bring; for who holds the lock of its partition."""
        known = self.accepted(source, endpoint)
        self._write(self.folder / encoded(source) / encoded(endpoint) / ACCEPTED, {"fetches": sorted({*known, fetch})})

    def pruned(self, source: str, endpoint: str) -> dict[int, datetime]:
        """The fetches of an endpoint that were loaded and pruned since, with when each ended."""
        told = _read(self.folder / encoded(source) / encoded(endpoint) / PRUNED)
        return {} if told is None else {fetch: datetime.fromisoformat(ended) for fetch, ended in told["fetches"]}

    def note_pruned(self, source: str, endpoint: str, ended: Mapping[int, datetime]) -> None:
        """Note fetches that are about to be pruned, with when each ended; for who holds the locks of all partitions."""
        known = sorted({**self.pruned(source, endpoint), **ended}.items())
        told = [(fetch, at.isoformat()) for fetch, at in known]
        if told:
            self._write(self.folder / encoded(source) / encoded(endpoint) / PRUNED, {"fetches": told})

    def sweeps(self, source: str, endpoint: str) -> dict[int, bool]:
        """The fetches that deleted what they did not bring; false of those that spared it.

        As it was before others were pruned, or records forgotten.
        """
        told = _read(self.folder / encoded(source) / encoded(endpoint) / SWEEPS)
        return {} if told is None else dict(told["fetches"])

    def note_sweeps(self, source: str, endpoint: str, swept: Mapping[int, bool]) -> None:
        """Note what fetches did that stay, before others are pruned or records forgotten.

        For who holds the locks of all partitions, or those of the fetches and the warehouse's.
        """
        told = {**self.sweeps(source, endpoint), **swept}
        if told:
            self._write(self.folder / encoded(source) / encoded(endpoint) / SWEEPS, {"fetches": sorted(told.items())})

    def _write(self, file: Path, told: dict[str, Any]) -> None:
        if self.writes:
            _write(file, told)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        told = unsealed(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorageFailed(
            f"damaged: {file}: {error}. Put it back from a backup; without it names of columns are settled anew, and "
            "the next fetch says whose rows these are"
        ) from error
    if told["format"] != FORMAT:
        raise StorageFailed(
            f"{file}: the note is of format {told['format']}; this version of ingest-assets knows format {FORMAT} "
            "only. Use the version that wrote it, or a later one"
        )
    return told


def _write(file: Path, told: Mapping[str, Any]) -> None:
    line = sealed({"format": FORMAT, **told})
    if not file.exists() or file.read_bytes() != line:
        with disk.writing(file.parent):
            disk.make_folder(file.parent)
            disk.write_file(file, line)
