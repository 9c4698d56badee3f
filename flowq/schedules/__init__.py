"""Flows that run by themselves: the flows of a directory, and what starts runs of them.

    walk      the files of a directory that may be flows, found by polling
    catalog   the flows of a directory: compiled when their files change
    identity  which repository a directory belongs to
    due       which slots fire now: pure, from an entry, its stored state and the time
    entries   the schedule entries of a catalog, with their ids
    slot_runs runs for slots: compiled, and offered to the store
    firing    what `due` decides is carried out, for one entry
    backfill  runs for past slots
    triggers  runs that events start
    spool     the files that a trigger waits for
    scheduler the loop

A catalog has no state of its own: it is a cache of what the files say. Everything that must survive is in the store. A slot is data: its run's
id is made of schedule and slot, and the store notes the slot in the step that makes the run visible, so schedulers need no leader.
"""
