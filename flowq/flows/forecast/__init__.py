"""Forecasts: the jobs that would be skipped, the duration of a run, the jobs that a retry runs again."""
