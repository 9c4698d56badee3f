"""A study of the Palmer penguins: the functions that the jobs of `penguins.yaml` call.

Each function takes and returns plain JSON values, so it can be a job, and none knows about flowq, so each can be called and tested by
itself. The table goes from job to job as the path of a file, everything computed from it as a result. Standard library only.
"""
