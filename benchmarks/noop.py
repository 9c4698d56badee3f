"""Jobs that do next to nothing, so that what is measured is everything around them.

All contestants execute these very functions: the module imports nothing but the standard library's smallest parts. Nothing is
returned, since some libraries would hand it to the next job of a chain.
"""

import os
import time


def noop() -> None:
    """Do nothing."""


def pause(seconds: float) -> None:
    """Wait, without using a processor."""
    time.sleep(seconds)


def short() -> None:
    """Do the work of a short job of the benchmarks of workflow engines: the tenth Fibonacci number, the slow way."""
    _fibonacci(10)


def spin(seconds: float) -> None:
    """Use a processor for so many seconds of its time; what others take from it meanwhile does not count."""
    end = time.thread_time_ns() + int(seconds * 1e9)
    while time.thread_time_ns() < end:
        pass


def mark(path: str) -> None:
    """Write the time to a pipe or a file: whoever reads there learns when this job ran.

    The clock is the system's monotonic one, in nanoseconds, shared by all processes of the machine.
    """
    _write(path, time.monotonic_ns())


def since(path: str, asked: int) -> None:
    """Write how long ago `asked` was, in nanoseconds: from the request to the job's first line."""
    _write(path, time.monotonic_ns() - asked)


def _fibonacci(number: int) -> int:
    return number if number < 2 else _fibonacci(number - 1) + _fibonacci(number - 2)


def _write(path: str, value: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % value)
    os.close(file)
