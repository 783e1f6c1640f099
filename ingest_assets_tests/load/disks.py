"""Small disks for tests: a process finds one at a folder, which is gone with the process."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_TMPFS = 'mount -t tmpfs -o size=40m none "$1"'
# The least that XFS takes. The image is as large as what was written to it.
_XFS = 'truncate -s 320M "$1.image" && mkfs.xfs -q "$1.image" && mount -o loop "$1.image" "$1"'
_MOUNTS = {
    "tmpfs": (["unshare", "--user", "--map-root-user", "--mount"], _TMPFS),
    "xfs": (["unshare", "--mount"], _XFS),
}


def beside(kind: str, disk: Path) -> list[str]:
    """What comes before a command so that it finds an empty disk at `disk`; `kind` is tmpfs or xfs."""
    apart, mount = _MOUNTS[kind]
    return [*apart, "sh", "-c", f'{mount} && shift && exec "$@"', "sh", str(disk)]


def missing(kind: str) -> str:
    """Why there can be no such disk here; empty where there can."""
    if kind == "xfs" and os.geteuid():
        return "an XFS of its own takes root"
    for tool in ("unshare", *(["mkfs.xfs"] if kind == "xfs" else [])):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run([*beside(kind, Path(folder)), "true"], capture_output=True, text=True, check=False)
        Path(f"{folder}.image").unlink(missing_ok=True)
    return f"no {kind} can be mounted: {tried.stderr.strip()}" if tried.returncode else ""
