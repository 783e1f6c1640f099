"""HTTP APIs as partitioned Dagster assets, normalized into DuckDB: one short YAML file a source."""
