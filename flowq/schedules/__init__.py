"""Flows that run by themselves: the flows of a directory, and what starts runs of them.

    walk      the files of a directory that may be flows, found by polling
    catalog   the flows of a directory: compiled when their files change
    identity  which repository a directory belongs to

A catalog has no state of its own: it is a cache of what the files say. Everything that must survive is in the store.
"""
