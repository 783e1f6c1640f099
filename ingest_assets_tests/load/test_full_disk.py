"""A disk that fills while a fetch is stored, loaded or published: all that was there stays, and more can be loaded
as soon as there is room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest_assets_tests.load import disks

LONG = bool(os.environ.get("INGEST_LONG"))
POINTS = 20 if LONG else 4

_FILLING = """
import json, shutil, sys
from pathlib import Path
from msgspec.structs import replace
from ingest_assets.errors import StorageFailed
from ingest_assets_tests.load.conftest import Lab, endpoint, rebuild

disk, points, anew = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "anew"
told = {"newest_by": "at", "columns": {"at": {"type": "bigint"}}} if anew else {}
def records(first):
    return [
        {"id": n, "at": first, "v": f"{hash((first, n)):x}" * 8, "l": [n, n + 1]} for n in range(first, first + 4000)
    ]
def load():
    # What is built anew comes in by pieces, of which any may be the one that does not fit.
    replace(things.loader(), from_rows=1).load(None, replay=anew)

def contents():
    return {name: told for name, told in things.contents(lineage=True).items() if not name.startswith("_new:")}

stopped = set()
for point in range(points):
    things = Lab(disk / str(point), endpoint(**told))
    things.store(1, None, records(0))
    things.load()
    things.warehouse.publish()
    before = contents()
    left = point * 5_000_000 // points
    with (disk / "filler").open("wb") as filler:
        while (more := shutil.disk_usage(disk).free - left) > 4096:
            filler.write(bytes(min(more, 1 << 20)))
            filler.flush()
    done = []
    for step, act in {
        "store": lambda: things.store(2, None, records(2000)), "load": load, "publish": things.warehouse.publish
    }.items():
        try:
            act()
            done.append(step)
        except StorageFailed as error:
            assert str(disk) in str(error), error
            stopped.add(step)
            break
    with things.warehouse.reading() as connection:
        (count,), = connection.execute("SELECT count(*) FROM shop.things").fetchall()
    assert count == (6000 if "publish" in done else 4000), (count, done)
    (disk / "filler").unlink()
    if "load" not in done:
        # A commit that is durable may lack the room to be folded into the file: then all of it is there.
        assert contents() == before or things.contents() == rebuild(things).contents(), done
    things.store(3, None, records(4000))
    things.load()
    things.warehouse.publish()
    there = set(range(4000)) | set(range(4000, 8000)) | (set(range(2000, 6000)) if "store" in done else set())
    assert things.values("id") == sorted(there)
    assert things.contents() == rebuild(things).contents(), done
    shutil.rmtree(disk / str(point))
print(json.dumps(sorted(stopped)))
"""


@pytest.mark.parametrize("how", ["merged", "anew"])
@pytest.mark.parametrize("kind", ["tmpfs", "xfs"])  # XFS shares blocks: what is written over takes room there
def test_a_disk_that_fills_at_any_point_leaves_everything_loadable(kind: str, how: str, tmp_path: Path) -> None:
    if reason := disks.missing(kind):
        pytest.skip(reason)
    disk = tmp_path / "disk"
    disk.mkdir()

    run = subprocess.run(
        [*disks.beside(kind, disk), sys.executable, "-c", _FILLING, str(disk), str(POINTS), how],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    # With more points, also in the middle of a load's commit. A copy that shares blocks takes no room.
    reached = {"store", "load"} if LONG else {"store"}
    assert set(json.loads(run.stdout)) >= (reached | {"publish"} if kind == "tmpfs" else reached)
