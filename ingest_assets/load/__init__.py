"""The warehouse: staged rows become tables, in one short transaction with the fetch's account.

load         one load of some work, from reading what is loaded to the commit
    plan         what is to be loaded: pending fetches, replays, rebuilds; nothing  fetches without a record
    stage        stored pages → typed rows outside the lock: staged  their ids and ranks
        filling      the same before any database: spool  where rows are many, keys  whether one may come twice
        meanwhile    the same by two processes, while the walk goes on or of what is stored: helper  the other one,
                     second  what it does, link  what both tell each other, shares  which pages each takes,
                     both  what they made as one
    commit       the transaction: tables and drift; account  what became of records, with quarantine and names
        turns        whose turn it is to commit; missing  what a rebuild would lose
        moving       large tables that were built anew, some rows at a time
        overtaken    what is staged, where another load came before it
    merge        staged rows → the table and its children: who wins, and what is left alone
        merging      what its parts share: fates  of records, lists  the child tables, versions  in any order
        together     small fetches as one
        beforehand   what it comes to, found out in the reader's copy before the lock is taken
    history      when each version held; sweep  what is gone, and whether so many may go unasked
    drift        what is new to a table; broken  when a fetch breaks its contract; clashes  records that share a key,
                 crossing  of several partitions
    tables       the columns a table has, and what it takes to give it others: widened  a type that holds more
    summary      what the warehouse says of a load
warehouse    the writer's file, its lock, the reader's copy: copies, contents, troubles
schema       `_ingest`: ledger  fetches, names, quarantine; owners, reported, partitioning, asked
health       what is wrong with a table: volume, behind, references, noticed, looked; published  how old the copy is
due          which partitions are to be fetched: listed  of which accounts and parents, patience  after which failures
lineage      which stored response a row came from: brought  by which record of it; occurs  where else a value is
erase        a key taken out of pages and tables: erase_key, erase_rows
rebuild      a lost warehouse from the snapshots
usage        what the tables cite; unneeded  which fetches nothing needs any more
"""
