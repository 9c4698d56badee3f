"""Expressions of flows at run time: what they can read, and the conditions that a worker evaluates before a job is queued."""
