"""Whether the cost of 1 -> n -> 1 is flat: CPU time and commands of the server for a job, for several n.

The jobs are plain ones, enqueued with `depends_on`, as in the row of `make bench`. A driver executes them in place of a worker: it reports an
end and claims the next job in one call, as a SimpleWorker does, so that nothing but the server and the way to it is measured.

    python -m benchmarks.fan --jobs 1200 12000 100000
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.noop import noop
from flowq import Queue
from flowq.job import Job
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution

_WARM: Final = 100  # jobs before the first measurement


@dataclass(frozen=True, slots=True)
class FanCost:
    """What a job of 1 -> jobs -> 1 costs, between the first claim and the last end: seconds of the server, its commands, seconds in all."""

    jobs: int
    server: float
    commands: float
    wall: float


def measure(sizes: Sequence[int]) -> Iterator[FanCost]:
    """Yield the cost for each n, on one server."""
    server = PrivateServer().start()
    try:
        client: Any = server.client()
        driver = Driver(Store(client, follow=False).open())
        for warm, jobs in ((True, _WARM), *((False, size) for size in sizes)):
            last = _enqueue(client, jobs)
            (seconds, commands), begun = _used(client), time.perf_counter()
            _execute(driver)
            took, (after, calls) = time.perf_counter() - begun, _used(client)
            assert last.get_status() == "finished"
            if not warm:
                yield FanCost(jobs, (after - seconds) / jobs, (calls - commands) / jobs, took / jobs)
        driver.close()
    finally:
        server.stop()


def _enqueue(client: Any, jobs: int) -> Job:
    queue = Queue(connection=client)
    first = queue.enqueue(noop)
    middle = queue.enqueue_many([Queue.prepare_data(noop, depends_on=first) for _ in range(jobs)])
    return queue.enqueue(noop, depends_on=middle)


def _execute(driver: Driver) -> None:
    """Execute all that is there. What a call leaves for later is settled when nothing can be claimed."""
    driver.settle()
    claim = driver.claim()
    while claim is not None:
        claim = driver.step(execution(claim), claims=1).claims[0]
        if claim is None:
            driver.settle()
            claim = driver.claim()


def _used(client: Any) -> tuple[float, int]:
    used = client.info("cpu")
    calls = sum(row["calls"] for row in client.info("commandstats").values())
    return used["used_cpu_user"] + used["used_cpu_sys"], calls


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks.fan", description="Measure what a job of 1 -> n -> 1 costs the server.")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1200, 12_000, 100_000], help="n (default: 1200 12000 100000)")
    options = parser.parse_args(argv)
    print(f"{'1 -> n -> 1':<14}{'server, us a job':>18}{'commands a job':>16}{'us in all':>12}")
    for cost in measure(options.jobs):
        print(f"{cost.jobs:<14,}{cost.server * 1e6:>18.0f}{cost.commands:>16.2f}{cost.wall * 1e6:>12.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
