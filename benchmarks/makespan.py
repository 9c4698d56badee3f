"""The makespan of a graph of jobs on slots, from costs of server and machine: the model behind `benchmarks.simulation` and `benchmarks.graphs`."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


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

    server: float = 278e-6
    machine: float = 1.76e-3
    slot: float = 1.1e-3
    cores: int = 8
    idle: float = 31e-6
    memory: float = 958.0


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
