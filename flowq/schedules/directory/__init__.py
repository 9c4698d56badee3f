"""A directory of flows as schedulers see it; found by polling, never written.

walk      the files that may be flows
catalog   the flows: compiled when their files change
names     the name of a catalog
identity  which repository a directory belongs to
follows   the flows that trigger each other
spool     the files that a trigger waits for
"""
