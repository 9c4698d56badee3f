"""What a fleet of any size would do, from constants that were measured on a small one.

The server executes one request after the other, and a job costs it one: the end of a job and the claim of the next travel together. So the
server is a queue with one attendant, and slots are places that a job occupies for its own time and for what the worker needs to start and
end its process.

    python -m benchmarks.simulation                       # the table of docs/scaling.md
    python -m benchmarks.simulation --measure             # the constants of this machine, and predictions that check them; minutes
    python -m benchmarks.simulation --slots 64 --seconds 1 --server 150e-6
"""

import argparse
import heapq
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

_JOBS: Final = 20_000  # simulated for a row of the table


@dataclass(frozen=True, slots=True)
class Constants:
    """Measured costs, in seconds, unless said otherwise. The defaults are those of docs/scaling.md.

    Attributes:
        server: time of the server for one job of a flow, of its one core.
        machine: CPU time of the worker's machine for one job with a process of its own.
        slot: time for which a job has a slot, beyond its own.
        cores: number of cores of a worker's machine.
        idle: time of the server for one second of an idle worker.
        memory: bytes of the server for one job of a flow.
    """

    server: float = 300e-6
    machine: float = 3.8e-3
    slot: float = 3e-3
    cores: int = 8
    idle: float = 82e-6
    memory: float = 1000.0


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """A job: its own time in seconds, and the jobs before it, by their positions."""

    seconds: float
    parents: Sequence[int] = ()


def makespan(jobs: Sequence[SimulatedJob], slots: int, constants: Constants, server_share: float = 1.0) -> float:
    """Return the seconds from the submission of a graph to its end.

    Args:
        jobs: the graph; parents come before their children.
        slots: of all workers together.
        constants: the costs.
        server_share: of the server's time that is left for this run: idle workers and other runs take theirs.
    """
    children: list[list[int]] = [[] for _ in jobs]
    pending = [len(job.parents) for job in jobs]
    for number, job in enumerate(jobs):
        for parent in job.parents:
            children[parent].append(number)
    ready = [number for number, count in enumerate(pending) if count == 0]
    heapq.heapify(ready)
    ends: list[tuple[float, int]] = []  # of jobs that run
    call = constants.server / server_share
    now = server_free = 0.0
    while ready or ends:
        while ready and len(ends) < slots:
            server_free = max(server_free, now) + call
            number = heapq.heappop(ready)
            heapq.heappush(ends, (server_free + constants.slot + jobs[number].seconds, number))
        now, number = heapq.heappop(ends)
        for child in children[number]:
            pending[child] -= 1
            if pending[child] == 0:
                heapq.heappush(ready, child)
    return now


def rate(seconds: float, slots: int, workers: int, constants: Constants) -> float:
    """Return the jobs per second of a fan of jobs that wait for `seconds` each, on a fleet of that many workers, each on a machine."""
    share = max(1e-9, 1 - workers * constants.idle)
    jobs = [SimulatedJob(seconds)] * max(_JOBS, 4 * slots)
    return min(len(jobs) / makespan(jobs, slots, constants, share), workers * constants.cores / constants.machine)


def _measure() -> Constants:
    """Measure the constants and print them; return them with the cores of the simulated machines."""
    from benchmarks.constants import lines, measured, predictions  # which need this module

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
