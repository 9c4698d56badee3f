"""Flows that run by themselves: the flows of a directory, and what starts runs of them.

    directory the flows of a directory, its name, and the files that triggers wait for
    due       which slots fire now: pure, from an entry, its stored state and the time
    entries   the schedule entries of a catalog, with their ids
    slot_runs runs for slots: compiled, and offered to the store
    firing    what `due` decides is carried out, for one entry
    backfill  runs for past slots
    triggers  events that are looked for: files, and the ends of other flows
    events    runs that events start, and events that are requests
    users     `Schedule`, documents of flows, runs that users start, what needs a user now
    turns     what `firing` and `triggers` have in common
    heartbeat tells an address that a scheduler lives
    scheduler the loop
    coming    the next slots, from a file alone

A catalog has no state of its own: it is a cache of what the files say. Everything that must survive is in the store. A slot is data: its run's
id is made of schedule and slot, and the store notes the slot in the step that makes the run visible, so schedulers need no leader.
"""
