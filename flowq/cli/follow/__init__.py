"""Following a run: events of a run go to a live display, a log or the log of a CI system."""
