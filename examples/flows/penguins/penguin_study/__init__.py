"""A study of the Palmer penguins: the functions that the jobs of `penguins.yaml` call.

Each function takes and returns plain JSON values, so a job can call it. The functions do not depend on flowq, so they can be called and
tested separately. Jobs pass the table as the path of a file, and everything computed from it as a result. Standard library only.
"""
