"""Where Dagster starts reading: every source file becomes assets, checks and schedules."""

from ingest_assets import catalog
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse

defs = definitions(catalog.sources().values(), Api(), Warehouse())
