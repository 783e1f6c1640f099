"""The peers' environment: installed once from `peers.lock`, apart from ours."""

import hashlib
import subprocess
import sys
from pathlib import Path

_LOCK = Path(__file__).with_name("peers.lock")
_CACHE = Path(__file__).parent.parent / ".cache"


def python() -> Path:
    """Its Python."""
    version = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:8]
    folder = _CACHE / f"peers-{sys.version_info.major}.{sys.version_info.minor}-{version}"
    found = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"Installing dlt into {folder} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = ["install", "-q", "--require-hashes", "--no-deps", "-r", str(_LOCK)]
        subprocess.run([str(found), "-m", "pip", *install], check=True)
        (folder / "installed").touch()
    return found
