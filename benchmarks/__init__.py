"""Measurements of flowq beside its peers: `make bench`.

Everything here compares: the contestants do the same work on one machine in one run, in turns, and what is printed are medians and
ratios. Absolute figures of a shared machine mean little, so nothing in the test suite is timed.

    libraries/       each library as its own documentation uses it: how it takes calls, chains, fans and graphs
    noop, heavy      what the jobs do: next to nothing, so that all the rest is measured
    patterns         graphs of such jobs
    driver           one side of a measurement: asks a library for something, in that library's environment
    contestants      the workers, and who isolates jobs; `table_rows` says what they are asked and what is compared
    measure, process a server of its own, a worker, a driver: figures
    startup          the commands that people wait for
    table            medians of the rounds, ratios of the medians

`graph2flow` turns real workflow graphs into flow files; the tests run those too.
"""
