"""Jobs that do almost nothing, so that only overhead is measured.

All contestants execute these functions. The module imports only small parts of the standard library. The functions return nothing,
because some libraries would pass it to the next job of a chain.
"""

import os
import time


def noop() -> None:
    """Do nothing."""


def pause(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def short() -> None:
    """Compute the tenth Fibonacci number recursively: a short job that benchmarks of workflow engines use."""
    _fibonacci(10)


def spin(seconds: float) -> None:
    """Use this many seconds of CPU time; time of other processes does not count."""
    end = time.thread_time_ns() + int(seconds * 1e9)
    while time.thread_time_ns() < end:
        pass


def mark(path: str) -> None:
    """Write the time to a pipe or a file, for the process that measures.

    The clock is the system's monotonic one, in nanoseconds, shared by all processes of the machine.
    """
    _write(path, time.monotonic_ns())


def since(path: str, asked: int) -> None:
    """Write the time since `asked`, in nanoseconds: from the request to the job's first line."""
    _write(path, time.monotonic_ns() - asked)


def _fibonacci(number: int) -> int:
    return number if number < 2 else _fibonacci(number - 1) + _fibonacci(number - 2)


def _write(path: str, value: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % value)
    os.close(file)
