"""METG(50 %), the minimum effective task granularity of Task Bench: the task size at which half of the machine is overhead.

The granularity of a run is its wall time x cores / tasks; its efficiency is the part of it that is the tasks' own work. Only available
cores count: the load of other users of the machine is not overhead.
"""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Final

_START: Final = 0.004  # s of work per task: the start of the search
_SMALLEST, _LARGEST = 0.00005, 0.1
_HALF: Final = 0.5
_STEPS: Final = 2  # that halve the interval: the figure is then accurate to about 10 %, like the runs themselves


_SHARE: Final = """
import time
from benchmarks.noop import spin
begun = time.monotonic()
spin(0.5)
print(0.5 / (time.monotonic() - begun))
"""


def cores_to_be_had(cores: int) -> float:
    """Return how many cores one process per core gets in total at this time."""
    spinning = [subprocess.Popen([sys.executable, "-c", _SHARE], stdout=subprocess.PIPE, text=True) for _ in range(cores)]
    return sum(float(process.communicate()[0]) for process in spinning)


def smallest_granularity(wall: Callable[[float], float], tasks: int, cores: float) -> float:
    """Search the task duration at which efficiency is one half and return the granularity there, in seconds.

    Args:
        wall: runs the tasks with the given seconds of work each and returns the wall time, in seconds.
        tasks: number of tasks.
        cores: number of available cores.

    Raises:
        ValueError: even the largest tasks do not reach one half, or the smallest exceed it.
    """

    def efficiency(duration: float) -> float:
        return duration * tasks / (wall(duration) * cores)

    low = high = _START
    if efficiency(_START) < _HALF:
        while efficiency(high := high * 2) < _HALF:
            if high > _LARGEST:
                raise ValueError(f"tasks of {high:g} s do not reach half of the machine")
        low = high / 2
    else:
        while efficiency(low := low / 2) >= _HALF:
            if low < _SMALLEST:
                raise ValueError(f"tasks of {low:g} s still reach half of the machine")
        high = low * 2
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if efficiency(middle) < _HALF else (low, middle)
    return math.sqrt(low * high) / _HALF
