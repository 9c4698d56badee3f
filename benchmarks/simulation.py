"""What a fleet of any size would do, from constants that were measured on a small one.

The server executes one request after the other, and a job costs it one: the end of a job and the claim of the next travel together. So the
server is a queue with one attendant, and slots are places that a job occupies for its own time and for what the worker needs to start and
end its process.

    python -m benchmarks.simulation                       # the table of docs/scaling.md
    python -m benchmarks.simulation --measure             # the constants of this machine, and predictions that check them; minutes
    python -m benchmarks.simulation --slots 64 --seconds 1 --server 150e-6
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.constants import lines, measured, predictions
from benchmarks.makespan import Constants, SimulatedJob, makespan

_JOBS: Final = 20_000  # simulated for a row of the table


def rate(seconds: float, slots: int, workers: int, constants: Constants) -> float:
    """Return the jobs per second of a fan of jobs that wait for `seconds` each, on a fleet of that many workers, each on a machine."""
    share = max(1e-9, 1 - workers * constants.idle)
    jobs = [SimulatedJob(seconds)] * max(_JOBS, 4 * slots)
    return min(len(jobs) / makespan(jobs, slots, constants, share), workers * constants.cores / constants.machine)


def _measure() -> Constants:
    """Measure the constants and print them; return them with the cores of the simulated machines."""
    found = measured(os.cpu_count() or 1)
    print("\n".join(lines(found, list(predictions(found)))) + "\n", flush=True)
    return replace(found, cores=Constants().cores)


def main(argv: Sequence[str] | None = None) -> int:
    """Print how many jobs per second fleets execute."""
    constants = Constants()
    parser = argparse.ArgumentParser(prog="benchmarks.simulation", description="Simulate fleets of any size.")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 0.1, 1.0, 10.0, 60.0], help="own times of the jobs")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100, 1000], help="one worker each")
    parser.add_argument("--slots", type=int, default=16, help="of a machine (default: 16)")
    parser.add_argument("--server", type=float, default=constants.server, help="s of the server per job")
    parser.add_argument("--measure", action="store_true", help="measure the constants first, and check them")
    options = parser.parse_args(argv)
    constants = replace(constants, server=options.server)
    if options.measure:
        constants = _measure()
    print(f"jobs/s, {options.slots} slots a machine, {constants.server * 1e6:.0f} us of the server a job")
    print(f"{'machines':>9}" + "".join(f"{seconds:>11g} s" for seconds in options.seconds))
    for machines in options.machines:
        rates = (rate(seconds, machines * options.slots, machines, constants) for seconds in options.seconds)
        print(f"{machines:>9}" + "".join(f"{found:>13,.0f}" for found in rates), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
