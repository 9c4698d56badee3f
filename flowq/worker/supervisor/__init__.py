"""The supervisor: the process that claims jobs, hands them to horses, watches them and reports how they ended.

It is the only process of a worker that speaks to the store, and it runs no user code.
"""
