"""Explanations: why a job is waiting, was skipped, failed or is queued.

Start with `why` (`explain`: the answer for each status, and the chain of causes). Its sentences for jobs that wait are in `waiting`, those
for failures in `failures`. `queue_state` is the only module here that reads the store.
"""
