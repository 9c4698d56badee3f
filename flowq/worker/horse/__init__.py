"""The horse: the process that executes one task and exits.

What is imported here costs every job: no `typing`, no `dataclasses`, nothing of the store. This module imports nothing.
"""
