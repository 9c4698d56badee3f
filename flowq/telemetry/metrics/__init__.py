"""Metrics: the state of a namespace as numbers, for Prometheus and what reads its format.

    families    the table of all metrics: names, types, labels, meanings
    samples     values with their labels
    stored      samples of what the store counts, and of what there is now
    schedules   samples of schedules
    exposition  samples as text

What has happened is counted in the transitions (`lua/lib/stats.lua`), so all processes show the same. Labels are bounded: no run, job or host is one.
"""
