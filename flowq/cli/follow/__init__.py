"""Following a run: its events and output go to a live display, a log or the log of a CI system.

Start with `follow`, the loop: it reads updates, passes them to a display, handles Ctrl+C and returns the exit code. `local_worker`
replaces the worker of a local run when it dies; the other modules are the displays.
"""
