"""Snapshots: what an API answered, kept as it came, a folder a fetch.

    <data>/raw/<source>/<endpoint>/<partition>/<fetch>/
        manifest.json   which fetch this is; once it has ended: when, why, with which verdict and counts
        pages.zst       the bodies, one zstd frame a page, one after the other
        index.jsonl     a line a page: where its frame is, what asked for it, and what answered
        parts.jsonl     of a fetch of several parts, a line for each that has ended
        jobs.jsonl      of a fetch by jobs, a line for each change of one

A page exists when its line does: its frame is written before the line, and both before `commit` returns. So a process
may die at any moment: what it leaves behind the last whole line is cut off when the walk goes on. The machine may
fail, too: before the end of a fetch is noted all of it is synced, and while a walk goes on all but the last pages
(`unsynced`). Lines and manifest are sealed by a checksum of their own, bodies by their sha256: nothing that a snapshot
says can change unseen.

    paths      a partition's key as the name of a folder
    sealed     a JSON line with its checksum
    manifest   which fetch a snapshot is of, and how it ended
    index      the pages of a snapshot
    parts      which parts of a fetch have ended
    jobs       the jobs that a fetch has had the API make
    body       a stored body as a stream that is verified while it is read
    disk       writes that survive a crash, and a disk that is never filled to the last byte
    page       a page that arrives
    ahead      pages that came before their turn
    writing    a snapshot that grows
    unsynced   what of it a power cut could still take
    records    the records of stored pages, nested lists that were cut put in whole
    notes      what the warehouse knows and no response tells: names, and whose rows these are
    copies     all of them in another folder, taken while walks go on
    bodies     bodies with records replaced by marks
    forgotten  who is to stay out, by salted hashes
    erase      records taken out of stored pages
    reading    one snapshot, read and verified
    snapshots  all of them: begin, find, read, verify

The folder's lock is the caller's: one process a partition writes, any number reads.
"""
