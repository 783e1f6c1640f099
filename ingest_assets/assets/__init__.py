"""The only code that knows Dagster.

resources    Api and Warehouse: what a person sets in the launchpad, and takes as parameters
names        asset keys, and what an endpoint is called in Dagster
factory      a source's endpoints as assets
step         what a run does with the selected partitions of one endpoint
report       what Dagster is told of a fetch and of a load, also after a crash
checks       what is looked at in all partitions
automation   schedules
"""
