"""The reader's copy: at a stated pace, by sharing blocks where the file system can, and never half."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.load.copies import copy
from ingest_assets.load.published import published
from ingest_assets_tests.load import disks


def test_a_copy_that_is_young_enough_is_left_as_it_is(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    assert things.warehouse.publish(timedelta(hours=1))
    things.store(2, None, [{"id": 2}])
    things.load()

    young = things.warehouse.publish(timedelta(hours=1))
    is_current = things.warehouse.is_current
    due = things.warehouse.publish(timedelta(0))

    assert (young, is_current, due, things.warehouse.is_current) == (False, False, True, True)
    assert timedelta(0) <= datetime.now(UTC) - things.warehouse.published < timedelta(hours=1)


def test_a_copy_that_lacks_loads_for_longer_than_its_pace_is_a_finding(lab):
    things, pace = lab(), timedelta(minutes=10)
    name, later = (things.source, things.name), timedelta(minutes=26)
    things.store(1, None, [{"id": 1}])
    things.load()
    before = published(things.warehouse, name, pace, datetime.now(UTC) + later)
    things.warehouse.publish()
    at_rest = published(things.warehouse, name, pace, datetime.now(UTC) + 9 * later)
    things.store(2, None, [{"id": 2}])
    things.load()

    young = published(things.warehouse, name, pace, datetime.now(UTC) + later / 2)
    late = published(things.warehouse, name, pace, datetime.now(UTC) + later)
    other = published(things.warehouse, ("shop", "others"), pace, datetime.now(UTC) + later)
    things.warehouse.publish()
    mended = published(things.warehouse, name, pace, datetime.now(UTC) + later)

    assert before.problem.startswith("the reader's copy is not there, and 1 load of this table came since; `publish`")
    assert late.problem.startswith("the reader's copy is of 26 min ago, and 1 load of this table came since; `publish`")
    assert "Next: ingest reader publish" in late.problem
    assert (late.serious, late.told["newer loads"]) == (False, 1)
    assert [one.problem for one in (at_rest, young, other, mended)] == [""] * 4


def test_a_copy_is_the_same_to_the_byte_and_to_the_time(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(3_000_000))
    os.utime(source, ns=(1, 123_456_789_000))

    copy(source, target, lambda _: None)

    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mtime_ns == 123_456_789_000


_ON_XFS = """
import os, shutil, sys
from pathlib import Path
from ingest_assets_tests.load.conftest import Lab, endpoint, rebuild

disk = Path(sys.argv[1])
things = Lab(disk / "data", endpoint())
things.store(1, None, [{"id": number, "v": os.urandom(300).hex()} for number in range(20_000)])
things.load()
os.sync()
before, size = shutil.disk_usage(disk).used, things.warehouse.writer.stat().st_size
things.warehouse.publish()
os.sync()
grown = shutil.disk_usage(disk).used - before
assert grown < size / 20, (grown, size)

copied = things.warehouse.reader.read_bytes()
things.store(2, None, [{"id": number, "v": "changed"} for number in range(0, 20_000, 3)])
things.load()
assert things.warehouse.reader.read_bytes() == copied
things.warehouse.publish()
assert things.contents() == rebuild(things).contents()
"""


def test_a_copy_takes_no_room_where_the_file_system_shares_blocks_and_stays_as_it_was(tmp_path):
    if reason := disks.missing("xfs"):
        pytest.skip(reason)
    (tmp_path / "disk").mkdir()

    run = subprocess.run(
        [*disks.beside("xfs", tmp_path / "disk"), sys.executable, "-c", _ON_XFS, tmp_path / "disk"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_a_copy_that_finds_no_room_leaves_the_former_one(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    things.store(2, None, [{"id": 2}])
    things.load()
    things.warehouse.reserve_bytes = 1 << 60

    with pytest.raises(StorageFailed, match="free some space and run again"):
        things.warehouse.publish()

    with things.warehouse.reading() as connection:
        assert connection.execute("SELECT id FROM shop.things").fetchall() == [(1,)]
    assert not list(things.data.glob("*.new"))


@pytest.mark.parametrize("kept", [0, 1_000, 12_288])
def test_a_damaged_warehouse_leaves_the_former_copy(lab, kept):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    content = things.warehouse.writer.read_bytes()
    things.warehouse.writer.write_bytes(content[:kept])

    with pytest.raises(StorageFailed, match=r"writer\.duckdb: a copy of it cannot be read.*Next: .*ingest rebuild"):
        things.warehouse.publish()

    with things.warehouse.reading() as connection:
        assert connection.execute("SELECT id FROM shop.things").fetchall() == [(1,)]
    assert not list(things.data.glob("*.new"))


def test_a_warehouse_whose_file_became_smaller_is_published(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    with things.warehouse.session("much that goes again") as connection:
        connection.execute("CREATE TABLE w.much AS SELECT random() AS n FROM range(200000)")
    with things.warehouse.session("and goes") as connection:
        connection.execute("DROP TABLE w.much")

    for _ in range(3):
        with things.warehouse.session("a commit") as connection:
            connection.execute("CREATE OR REPLACE TABLE w.little AS SELECT 1 AS n")
        assert things.warehouse.publish()

    assert things.warehouse.is_current


def test_a_process_that_dies_while_it_copies_leaves_the_former_copy(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.publish()
    things.store(2, None, [{"id": 2}])
    things.load()
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ingest_assets.load.warehouse import Warehouse\n"
        "os.utime = lambda *args, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Warehouse(Path(sys.argv[1]), reserve_bytes=0).publish()"
    )
    died = subprocess.run([sys.executable, "-c", script, str(things.data)], check=False)

    with things.warehouse.reading() as connection:
        former = connection.execute("SELECT id FROM shop.things").fetchall()
    things.warehouse.publish()

    assert (died.returncode, former) == (-9, [(1,)])
    with things.warehouse.reading() as connection:
        assert connection.execute("SELECT id FROM shop.things ORDER BY id").fetchall() == [(1,), (2,)]
    assert not list(things.data.glob("*.new"))
