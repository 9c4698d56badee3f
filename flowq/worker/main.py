"""`python -m flowq.worker.main`: where the program behind `flowq worker` and `flowq run` starts.

A stop signal may come in the first instants, and what a worker is made of takes a fifth of a second to import: signals come first.
"""

import sys

from flowq import processes
from flowq.worker import signals


def main() -> int:
    """Run a worker with the options of the command line; return the exit code, which is 0 for a stop before the worker is ready."""
    signals.leave_when_stopped()
    import gc

    from flowq.connections.imports import import_less

    import_less()
    from flowq.worker.program import work

    code = work()
    gc.freeze()  # the process ends: no garbage needs collecting, and a process waits for the end
    return code


if __name__ == "__main__":
    leave = processes.leaving()
    sys.exit(leave(main()))
