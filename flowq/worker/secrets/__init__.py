"""Secrets of executions: references are resolved for each one, and values are masked in all that leaves it."""
