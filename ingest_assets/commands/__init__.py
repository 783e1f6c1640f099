"""What the `ingest` command does, a file a question.

environment  where data and Dagster's own state are
plan         which endpoints and partitions a command means, as few range runs
run          materializes through the Dagster instance
terminal     progress lines and tables
status       one screen on all that is loaded
check        a source file against its API: one page an endpoint, nothing written
ui           Dagster's UI on this data
demo         three APIs on this machine, from nothing to the UI
"""
