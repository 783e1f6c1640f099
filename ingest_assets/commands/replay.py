"""Which stored partitions are to be loaded again."""

from pathlib import Path

from ingest_assets.assets.plan import Name, Range, in_ranges
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.errors import ConfigError
from ingest_assets.load.load import LOADABLE
from ingest_assets.source import Source


def ranges_to_replay(source: Source, name: Name, data: Path, key: str | None, *, every: bool) -> list[Range]:
    """The runs that replay one endpoint: what is out of date, in quarantine or not loaded, or all that is stored.

    Raises ConfigError where a partition is named of which nothing is stored.
    """
    Api(data=str(data)).line(source, "").refuse_changed(name[1])
    stored = _stored(source, name, data)
    if key is not None:
        if key not in stored:
            raise ConfigError(f"{'.'.join(name)}: nothing is stored of {key}; fetch it by `ingest run`")
        return [Range((name,), key, key)]
    wanted = stored if every else stored & _wanting(source, name, data, stored)
    if None in wanted:
        return [Range((name,))]
    return in_ranges({name: [key for key in wanted if key is not None]}, source.endpoints[name[1]])


def _stored(source: Source, name: Name, data: Path) -> set[str | None]:
    snapshots = Api(data=str(data)).line(source, "").snapshots.fetches(*name)
    return {s.manifest.partition for s in snapshots if s.manifest.ended and s.manifest.ended.verdict in LOADABLE}


def _wanting(source: Source, name: Name, data: Path, stored: set[str | None]) -> set[str | None]:
    """Stored partitions whose newest load is under another contract, has open quarantine, or is none."""
    version = source.endpoints[name[1]].contract.version
    with Warehouse(data=str(data)).reading() as connection:
        loaded = connection.execute(
            "SELECT partition, contract FROM _ingest.fetches WHERE source = ? AND endpoint = ? AND loaded IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY partition ORDER BY _fetch DESC) = 1",
            list(name),
        ).fetchall()
        aside = connection.execute(
            "SELECT DISTINCT partition FROM _ingest.quarantine WHERE source = ? AND endpoint = ? AND closed_by IS NULL",
            list(name),
        ).fetchall()
    current = {partition for partition, under in loaded if under == version}
    return (stored - current) | {partition for (partition,) in aside}
