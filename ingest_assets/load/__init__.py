"""The warehouse: staged rows become tables, in one short transaction with the fetch's account.

stage      stored pages → typed rows, in a database file of its own, outside the lock
merge      staged rows → the table, its children and its tombstones: who wins, and what is left alone
tables     the columns a table has, and what it takes to give it others
ledger     the `_ingest` schema: fetches, accounts, names, quarantine
warehouse  the writer's file, its lock, and the reader's copy
erase      a key taken out of pages, tables and files
occurs     where else a value is
plan       what is to be loaded: pending fetches, replays, rebuilds
rebuild    a lost warehouse from the snapshots, in a place of its own until it is whole
load       one load, from reading what is loaded to the commit
"""
