"""Artifacts, as far as the horse has to do with them: it fetches those of other jobs and lists its own.

Loaded only for jobs with `artifacts` or `fetch`.
"""
