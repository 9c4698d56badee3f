"""Benchmarks of flowq against its peers: `make bench`.

The contestants do the same work on one machine in one run, in turns; the table has medians and ratios. Absolute figures of a shared
machine mean little, so the test suite measures no times.

    libraries/       each library, used as in its own documentation: calls, chains, fans and graphs
    noop, heavy      functions of the jobs; they do almost nothing, so that only overhead is measured
    patterns         graphs of such jobs
    driver           the client side of a measurement: submits jobs with a library, in that library's environment
    contestants      the workers and their isolation
    blocks           the blocks of the table: tasks, workers, compared figures
    measure, process one measurement: its own server, a worker, a driver
    marks, metg      times that jobs write to a pipe; the search for METG(50 %)
    startup          durations of interactive commands
    table            medians of the rounds, ratios of the medians

`flows` measures big flows, `idle` what idle workers cost; `graphs` executes real graphs, and `simulation` says what
larger fleets would do. `graph2flow` turns real workflow graphs into flow files; the tests run those too.
"""
