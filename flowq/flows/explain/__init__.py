"""Explanations: why a job is waiting, was skipped, failed or is queued."""
