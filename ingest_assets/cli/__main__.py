"""`python -m ingest_assets.cli`, for where the installed command is not on the path."""

from ingest_assets.cli.main import entry

entry()
