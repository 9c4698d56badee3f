"""Chaos: a real system under random faults, and a checker that decides from the outside whether a guarantee was broken.

A round is about a minute and has one seed, which decides the schedule of faults and the workload. Real parts: `redis-server` that
writes every change to disk before it answers (appendfsync always, so that nothing that was accepted may be lost), several workers, their
fork servers and horses, submitters that are killed and started again, and a proxy between all of them and the server.

    schedule    the faults of a round, from its seed
    workload    the flows and plain jobs of a round, from its seed
    jobs        the code of the jobs, which keeps the execution log
    submitter   a process that submits a part of the workload, and can be killed at any moment
    removal     a process that deletes all runs and jobs after a round
    network     the proxy, a process that carries out the faults of the network
    services    the `flowq serve`s of a round, with their children, and what the faults do to them
    served      the directory that they serve
    deliveries  a process that sends deliveries to their page
    nodes       the worker whose jobs are executed on a node
    cast        the processes of a round, and what the other faults do to them
    evidence    what is read after a round: records, event streams, execution log, journals of the submitters
    checks      what must hold, as functions from the evidence to problems
    slots       those of them that are about slots and events
    recovery    how long jobs of lost workers waited for their next execution
    mutants     mistakes in a copy of flowq that the checks must find
    rounds      a round, from its seed to its findings
    report      the table

`python -m tests.chaos --seed 7 --minutes 30` runs rounds with the seeds 7, 8, … and ends with 1 when a check found a problem.
"""
