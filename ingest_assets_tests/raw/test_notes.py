"""What the warehouse notes beside the snapshots."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.raw.notes import Notes
from ingest_assets.raw.sealed import sealed


def test_what_is_noted_is_read_again_and_what_is_not_is_none(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_account("shop", "https://api.example.com", "acme")
    notes.note_registry("shop", "orders", "{}")

    assert notes.account("shop") == ("https://api.example.com", "acme")
    assert notes.registry("shop", "orders") == "{}"
    assert (notes.account("other"), notes.registry("shop", "other")) == (None, None)


def test_all_that_was_ever_pruned_is_noted(tmp_path: Path) -> None:
    notes, ended = Notes(tmp_path / "raw"), datetime(2026, 1, 31, 12, tzinfo=UTC)
    notes.note_pruned("shop", "orders", {2: ended})
    notes.note_pruned("shop", "orders", {})
    notes.note_pruned("shop", "orders", {7: ended})

    assert notes.pruned("shop", "orders") == {2: ended, 7: ended}
    assert notes.pruned("shop", "other") == {}


def test_what_was_swept_is_noted_besides_what_was_noted_before(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_sweeps("shop", "orders", {3: True, 5: False})
    notes.note_sweeps("shop", "orders", {5: True, 7: True})

    assert notes.sweeps("shop", "orders") == {3: True, 5: True, 7: True}
    assert notes.sweeps("shop", "other") == {}


def test_a_forgotten_account_is_none(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_account("shop", "https://api.example.com", "")

    notes.forget_account("shop")
    notes.forget_account("never noted")

    assert notes.account("shop") is None


def test_a_note_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_registry("shop", "orders", "{}")
    (file,) = tmp_path.rglob("*.json")
    before = file.stat()

    notes.note_registry("shop", "orders", "{}")

    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_damaged_note_is_told_with_its_file(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_registry("shop", "orders", "{}")
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(file.read_bytes().replace(b"{}", b"[]"))

    with pytest.raises(StorageFailed, match=r"damaged: .*\.registry\.json"):
        notes.registry("shop", "orders")


def test_a_note_of_a_later_format_is_refused(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "raw")
    notes.note_registry("shop", "orders", "{}")
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(sealed({"format": 2, "registry": "of the future"}))

    with pytest.raises(StorageFailed, match="is of format 2; this version of ingest-assets knows format 1 only"):
        notes.registry("shop", "orders")
