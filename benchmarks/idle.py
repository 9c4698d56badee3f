"""What idle workers cost: commands a second and CPU time of the server, and CPU time of a worker.

The workers are real supervisors, each in a process of its own with its own connections. They are forked from one process, which has
imported what they need, so that a thousand of them fit into the memory of a laptop.

    python -m benchmarks.idle --workers 1 20 200
"""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowq.store import Store
from flowq.worker.options import WorkerOptions
from flowq.worker.supervise import supervise
from tests.support.server import PrivateServer, die_with_parent
from tests.support.wait import until

_SETTLE = 8.0  # s until all workers have had a few turns


@dataclass(frozen=True, slots=True)
class IdleCost:
    """The cost of a fleet of workers without jobs: of the server per second, and of one worker per second."""

    workers: int
    commands: float
    server: float  # of a core
    worker: float  # of a core
    by_name: dict[str, float]  # commands a second


def measure(workers: int, seconds: float) -> IdleCost:
    """Start that many workers on a server of their own, let them settle, and count for that many seconds."""
    server = PrivateServer().start()
    fleet: list[int] = []
    try:
        fleet = [_forked(server) for _ in range(workers)]
        with server.client() as client:
            store = Store(client).open()
            until(lambda: len(store.workers.live()) == workers, 60 + workers, "all workers to be there")
            time.sleep(_SETTLE)
            return _counted(client, fleet, seconds)
    finally:
        for pid in fleet:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        server.stop()


def _counted(client: Any, fleet: list[int], seconds: float) -> IdleCost:
    before, used, spent, begun = _calls(client), _server_cpu(client), _cpu(fleet), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    after = _calls(client)
    calls = {name: (count - before.get(name, 0)) / took for name, count in after.items()}
    return IdleCost(
        len(fleet),
        sum(calls.values()),
        (_server_cpu(client) - used) / took,
        (_cpu(fleet) - spent) / took / len(fleet),
        {name: rate for name, rate in sorted(calls.items(), key=lambda item: -item[1]) if rate >= 0.1},
    )


def _forked(server: PrivateServer) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        die_with_parent()
        logging.disable(logging.CRITICAL)
        store = Store(server.client(), follow=False).open()
        supervise(store, WorkerOptions(queues=("default",), warm=False))
    finally:
        os._exit(0)


def _calls(client: Any) -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in client.info("commandstats").items()}


def _server_cpu(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def _cpu(fleet: Sequence[int]) -> float:
    """Return the seconds of CPU time that these processes and their fork servers have had."""
    ticks = 0
    for pid in fleet:
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks.idle", description="Measure what idle workers cost.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 20, 200], help="sizes of the fleet (default: 1 20 200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for which commands are counted (default: 20)")
    options = parser.parse_args(argv)
    print(f"{'idle workers':<14}{'commands/s':>12}{'server, of a core':>20}{'a worker, of a core':>21}")
    for workers in options.workers:
        cost = measure(workers, options.seconds)
        print(f"{cost.workers:<14}{cost.commands:>12,.0f}{cost.server:>19.2%} {cost.worker:>20.3%}")
        print("  " + ", ".join(f"{name} {rate:,.1f}" for name, rate in cost.by_name.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
