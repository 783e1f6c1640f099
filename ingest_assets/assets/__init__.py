"""The only code that knows Dagster.

resources    Api and Warehouse: what a person sets in the launchpad, and takes as parameters
names        asset keys, and when Dagster calls them out of date
factory      a source's endpoints as assets
step         what a run does with the selected partitions of one endpoint
report       what Dagster is told of a fetch and of a load
reconcile    what the warehouse has and Dagster was not told of, after a crash
undone       what the warehouse has no more, since it was undone
previews     rows that Dagster was shown, taken out of its event log
progress     who watches the walks of this process
checks       what is looked at in all partitions
automation   schedules
project      all of it as Definitions
plan         which endpoints and partitions are meant, as few range runs
launch       materializes them through the Dagster instance, in this process
"""
