"""Which endpoints are meant, of those that anything is stored of: also where their file is gone, or broken."""

from collections.abc import Sequence

from ingest_assets.catalog import hint
from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.raw.snapshots import Snapshot, Snapshots

Name = tuple[str, str]


def stored(snapshots: Snapshots, names: Sequence[str]) -> list[Name]:
    """The endpoints that `SOURCE` and `SOURCE.ENDPOINT` mean, all where nothing is named.

    ConfigError where nothing is stored of a name: a misspelt one must not look as if all were well.
    """
    there = list(snapshots.endpoints())
    known = {text for source, endpoint in there for text in (source, f"{source}.{endpoint}")}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"nothing is stored of {name!r}; {hint(name, sorted(known)) if known else 'nor of others'}"
            )
    return [name for name in there if not names or name[0] in names or ".".join(name) in names]


def readable(fetches: Sequence[Snapshot]) -> tuple[list[Snapshot], list[StorageFailed]]:
    """Those whose manifests can be read, and why those of the others cannot."""
    errors = {snapshot.fetch: snapshot.unknown for snapshot in fetches}
    return [one for one in fetches if errors[one.fetch] is None], [error for error in errors.values() if error]
