"""The only code that knows Dagster.

resources    Api and Warehouse: what a person sets in the launchpad, and takes as parameters
names        asset keys, and when Dagster calls them out of date
factory      a source's endpoints as assets
columns      a table's columns as Dagster shows them, and where each comes from
members      partitions that an endpoint lists
step         what a run does with the selected partitions of one endpoint
groups       how many partitions it deals with at once
report       what Dagster is told of a fetch and of a load
gathered     many of its events stored at once
reconcile    what the warehouse has and Dagster was not told of, after a crash
undone       what the warehouse has no more, since it was undone
shown        what Dagster was shown of records, taken out of its events
progress     who watches the walks of this process
checks       what is looked at in all partitions
jobs         what schedules and sensors launch
schedules    what is asked for at certain times
sensors      what is asked for as soon as it is due, back to the first partition
asks         what a sensor asks for at one moment
unfinished   what has been asked for already
processes    who runs in Dagster's name without its daemon
project      all of it as Definitions
plan         which endpoints and partitions are meant, as few range runs
launch       materializes them through the Dagster instance, in this process
"""
