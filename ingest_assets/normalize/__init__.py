"""Record → rows, child rows, types, names and quarantine: what comes of stored pages, before any database.

Normalizer(endpoint, contract, registry).batch(block, page) -> Batch
batches(normalizer, placed blocks) -> Batch, Batch, …     the same for pages of which nothing new is to be learned

normalize    one batch: the quick way where it is proven to fit, else record by record; reading  a block on the way
rows         record by record: exact  values as the text has them, masked  as people may see them
fast         many records at once: layout  generated structs, gathering  these taken apart while they are in the cache
    pieces   a column's values: arrays  what fits it, plain  without pandas, written  what is read of texts by Arrow
    tables   what a batch gives; list_hashes  what a list is known by
    proofs       what has to be shown of a text first; together  many small pages
columns      where a column's value is, and what makes it fit: values, times, rules
rest         what no column takes, under a contract that does not take everything; dropping  the same of texts
registry     the names and types of all that was ever seen: names, shape
collecting   what becomes of memory that is let go of

Its modules are imported by their names: a process that loads no row needs the registry alone, and no Arrow.
"""
