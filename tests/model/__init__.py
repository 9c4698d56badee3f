"""Explicit-state models of transitions, slots, executors and shared processes: all states are visited, and traces are replayed on production."""
