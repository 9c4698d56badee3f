"""The worker that `flowq run` starts on this machine, and the runs that such a worker left behind."""
