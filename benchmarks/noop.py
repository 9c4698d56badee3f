"""Jobs that do next to nothing, so that what is measured is everything around them.

Both contestants execute these very functions: the module imports nothing but the standard library's smallest parts.
"""

import time


def noop() -> None:
    """Do nothing."""


def pause(seconds: float) -> None:
    """Wait, without using a processor."""
    time.sleep(seconds)


def mark(path: str) -> None:
    """Append the time to a file: the first and the last job of a measurement say when they ran, in the same clock.

    The clock is the system's monotonic one, in nanoseconds, shared by all processes of the machine.
    """
    with open(path, "a", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be the most expensive import of the job
        file.write(f"{time.monotonic_ns()}\n")
