"""Execution without a horse: `SimpleWorker`, and jobs that are executed inside `enqueue`."""
