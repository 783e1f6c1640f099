"""What a manifest holds comes back as it was."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import StorageFailed
from ingest_assets.http.total import Expected, Tells
from ingest_assets.raw import manifest
from ingest_assets.raw.sealed import sealed, unsealed
from ingest_assets.raw.snapshots import Bounds, Counted, Ending, Manifest, Snapshots, Verdict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
MOMENTS = st.datetimes(datetime(1971, 1, 1), timezones=ZONES)  # noqa: DTZ001 -- Hypothesis adds the zone
COUNTS = st.integers(min_value=0, max_value=2**63)
ENDINGS = st.builds(
    Ending,
    at=MOMENTS,
    verdict=st.sampled_from(get_args(Verdict)),
    reason=st.text(),
    pages=COUNTS,
    records=COUNTS,
    bytes=COUNTS,
    expected=st.none() | COUNTS,
    expected_is=st.sampled_from(get_args(Tells)),
    position=JSON,
    traffic=st.dictionaries(st.text(), JSON, max_size=3),
)
COUNTED = st.builds(
    Counted,
    records=COUNTS,
    tells=st.sampled_from(get_args(Tells)),
    at=MOMENTS,
    url=st.text(),
    status=st.integers(100, 599),
    headers=st.dictionaries(st.text(), st.text(), max_size=2),
    body=st.text(),
)
MANIFESTS = st.builds(
    Manifest,
    source=st.text(),
    endpoint=st.text(),
    partition=st.none() | st.text(),
    fetch=COUNTS,
    started=MOMENTS,
    fingerprint=st.text(),
    bounds=st.none() | st.builds(Bounds, st.none() | MOMENTS, st.none() | MOMENTS),
    run=st.none() | st.text(),
    ended=st.none() | ENDINGS,
    counted=st.none() | COUNTED,
)


@given(MANIFESTS)
def test_a_manifest_comes_back_as_it_was_written(told: Manifest) -> None:
    assert manifest.from_line(manifest.to_line(told)) == told


@given(MANIFESTS, st.data())
def test_no_byte_of_a_manifest_changes_unseen(told: Manifest, data: st.DataObject) -> None:
    line = bytearray(manifest.to_line(told))
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(ValueError, match="checksum"):
        manifest.from_line(bytes(line))


def test_a_manifest_of_the_first_format_is_read_as_what_it_says(snapshots: Snapshots, manifest: Manifest) -> None:
    opened = snapshots.begin(manifest)
    opened.end("complete", "no_next", expected=Expected(0, "exactly"))
    told = unsealed((opened.folder / "manifest.json").read_bytes())
    del told["counted"], told["ended"]["expected_is"]
    (opened.folder / "manifest.json").write_bytes(sealed(told | {"format": 1}))

    found = snapshots.find("stripe", "charges", "2026-01-01", 7).manifest

    assert found == opened.manifest
    assert found.ended is not None
    assert (found.ended.expected, found.ended.expected_is) == (0, "exactly")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-01-01T00:00:00 has no zone"):
        Manifest("stripe", "charges", None, 1, datetime(2026, 1, 1), "f1")  # noqa: DTZ001 -- that is the mistake


def test_another_format_is_named_beside_the_one_that_is_known(snapshots: Snapshots, manifest: Manifest) -> None:
    folder = snapshots.begin(manifest).folder
    (folder / "manifest.json").write_bytes(sealed({"format": 3, "shape": "of the future"}))

    with pytest.raises(StorageFailed, match=r"is of format 3; this version of ingest-assets knows formats 1 to 2"):
        snapshots.find("stripe", "charges", "2026-01-01", 7).manifest  # noqa: B018 -- asking is the act


def test_a_snapshot_in_the_place_of_another_is_refused(snapshots: Snapshots, manifest: Manifest) -> None:
    folder = snapshots.begin(manifest).folder
    folder.rename(folder.with_name("8"))

    with pytest.raises(StorageFailed, match=r"damaged: .*manifest\.json: it is of fetch 7, partition '2026-01-01'"):
        snapshots.unfinished("stripe", "charges", "2026-01-01")


def test_a_missing_manifest_says_how_to_mend_it(snapshots: Snapshots, manifest: Manifest) -> None:
    folder: Path = snapshots.begin(manifest).folder
    (folder / "manifest.json").unlink()

    with pytest.raises(
        StorageFailed, match=r"the file is missing.*ingest run stripe\.charges --partition 2026-01-01 --again"
    ):
        snapshots.unfinished("stripe", "charges", "2026-01-01")


def test_of_what_is_archived_nothing_is_to_be_fetched_again(
    snapshots: Snapshots, manifest: Manifest, tmp_path: Path
) -> None:
    snapshots.begin(manifest)
    snapshots.archive("stripe", "charges", tmp_path / "archive")
    (one,) = snapshots.archived("stripe", "charges", tmp_path / "archive")
    (one.folder / "manifest.json").unlink()

    with pytest.raises(StorageFailed, match=r"the file is missing\. .* or move it away: of what is archived, no table"):
        one.manifest  # noqa: B018 -- asking is the act
