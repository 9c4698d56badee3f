"""Flows: runs made from plans, and the stored data of a run as users and programs see it. Each folder has one purpose.

    actions/        change a run: submit, retry, select, approve, remove
    views/          read a run: snapshot, view, events, JSON
    forecast/       predict: ends of jobs, durations, what a retry runs again
    explain/        say why a job is waiting, was skipped, failed or is queued
    render/         write a format: graphs, Gantt charts, JUnit reports, annotations of CI systems
    local_worker/   start the worker of a run on this machine, and find runs that such a worker left behind
    flow, run       the public classes `Flow` and `Run`
    health          the checks of `flowq doctor`

`forecast.graph_rules` states in plain Python what the transitions of the store do. Forecasts and retries use it, and tests hold the store
against it. Nothing here parses YAML (the compiler does) or prints (the command line does).
"""
