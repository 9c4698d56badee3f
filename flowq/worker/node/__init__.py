"""The node of an executor: `python -m flowq.worker.node`, started by an engine on the machine where jobs are to be executed.

A supervisor without a store: slots, fork servers and horses are those of any worker, but tasks, leases and signals come from a driver through
stdin, and output and outcomes go back through stdout (`flowq.worker.executors.wire`). It keeps the times of jobs by its own clock, masks
secrets before anything leaves the machine, and ends, with all that runs, when its stdin does. It reads no configuration.
"""
