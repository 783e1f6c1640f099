"""What the `ingest` command does, a file a question.

environment  where data and Dagster's own state are
run          runs with a person watching, and what they came to
auth         a person lets a source in, once
as_of        a table as it was at a time
deletions    what a fetch would delete, accepted by a person
replay       which stored partitions are to be loaded again
output       tables for people, or one JSON document for programs
terminal     progress lines and tables
interrupts   whether the user asked to stop
why          which stored response a row came from
trace        the last requests to an API
status       one screen on all that is loaded
sources      which sources there are
check        a source file against its API: one page an endpoint, nothing written
proposals    types to declare; unseen  what the file names and no record has
test         a source file against an API that does everything wrong
quarantine   records that did not fit: which, why, and whether they fit now
migrate      another partitioning: what is kept of the former one is given up and kept aside
undo         back to the state before a fetch
forget       a person's records erased, and kept out
verify       whether every stored response is what was written
du           what takes the disk
prune        stored fetches that nothing needs any more
backup       a copy of all that cannot be had again
rebuild      the warehouse from the snapshots
report       what the warehouse has, told to a Dagster that does not know it
down         which APIs count as down
reader       the copy that everybody reads
completing   names for a shell's Tab
ui           Dagster's UI on this data; ports  which are free
demo         three APIs on this machine, from nothing to the UI
"""
