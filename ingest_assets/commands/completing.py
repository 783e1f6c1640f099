"""Names of sources and endpoints for a shell's Tab: quickly, so only by what their files say.

Which files there are, and what `like` and null mean in them, is as in `ingest_assets.catalog`; that would import all
that a run needs, and a person waits for each Tab. A file that is wrong offers nothing.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent.parent / "sources"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 10


def names(begun: str, *, endpoints: bool) -> list[str]:
    """Sources whose name begins so, or with `endpoints` those of one source as `source.endpoint`.

    Endpoints are offered once their source is known: after its dot, or where one source only is left.
    """
    with contextlib.suppress(OSError, yaml.YAMLError, ValueError, AttributeError, TypeError):
        files = _files()
        source, dot, endpoint = begun.partition(".")
        found = [source] if dot else [name for name in files if name.startswith(begun)]
        if endpoints and len(found) == 1 and found[0] in files:
            below = [
                f"{found[0]}.{name}" for name in _endpoints(files[found[0]], _every()) if name.startswith(endpoint)
            ]
            return below if dot else [*found, *below]
        return [] if dot else found
    return []


def _every() -> list[Path]:
    """Every source file, those of INGEST_SOURCES first."""
    own = [Path(part).expanduser() for part in os.environ.get("INGEST_SOURCES", "").split(os.pathsep) if part]
    return [file for folder in (*own, SHIPPED) for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])]


def _files() -> dict[str, Path]:
    only = {name.strip() for name in os.environ.get("INGEST_ONLY", "").split(",") if name.strip()}
    found = {file.stem: file for file in reversed(_every())}
    return {name: found[name] for name in sorted(found) if not only or name in only}


def _endpoints(file: Path, known: list[Path], deep: int = 0) -> Iterator[str]:
    """The endpoints of a file, and of those that it is like."""
    told: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=_LOADER)  # noqa: S506 -- a SafeLoader
    own = told.get("endpoints") or {}
    under = next((other for other in known if other.stem == told.get("like") and other != file), None)
    if under is not None and deep < _DEEPEST:
        yield from (name for name in _endpoints(under, known, deep + 1) if name not in own)
    yield from (name for name, endpoint in own.items() if endpoint is not None)
