"""What history costs: a run after many others, compared with the first one on the same server.

Runs of ten jobs are executed until there are so many, by a driver in place of a worker, so that no process is started. Then a run of 500
jobs is measured: CPU time and commands of the server for a job, the time until its first job is claimed, and what `flowq status` reads.

    python -m benchmarks.history --runs 0 1000 10000
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import whole
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.views.snapshot import read_view
from flowq.plan import Plan
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution

_SMALL: Final = 10  # jobs of a run of the history
_LARGE: Final = 500  # jobs of the run that is measured


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run costs: of the server for a job (seconds, commands), seconds to the first claim, commands of a view of it."""

    runs: int
    server: float
    commands: float
    first: float
    view: float


class _Bench:
    """A server, and a driver that executes runs on it."""

    def __init__(self, server: PrivateServer, directory: Path) -> None:
        self.client: Any = server.client()
        self.store = Store(self.client, follow=False).open()
        self._driver = Driver(self.store)
        self._directory = directory

    def run(self, plan: Plan) -> tuple[str, float]:
        """Execute a run; return its id, and the seconds from its submission to the first claim."""
        begun = time.perf_counter()
        run = submit(self.store, plan, directory=self._directory)
        self._driver.settle()
        claim = self._driver.take()
        first = time.perf_counter() - begun
        following: Any = claim
        while following is not None:
            following = self._driver.step(execution(following), claims=1).claims[0]
        return run, first

    def used(self) -> tuple[float, int]:
        """Return the seconds of CPU time and the commands of the server so far."""
        used = self.client.info("cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"], sum(
            row["calls"] for row in self.client.info("commandstats").values()
        )

    def cost(self, plan: Plan, runs: int) -> Cost:
        """Measure a run after so many others. Its jobs have no ranks: whether they are long enough for some is up to the machine, and each takes a command."""
        self.client.delete(self.store.session.keys("latest"))
        seconds, commands = self.used()
        run, first = self.run(plan)
        after, calls = self.used()
        read_view(self.store, run)
        return Cost(runs, (after - seconds) / _LARGE, (calls - commands) / _LARGE, first, self.used()[1] - calls)

    def close(self) -> None:
        """End the driver."""
        self._driver.close()


def _plan(jobs: int) -> Plan:
    plan = compile_text(whole.stencil(jobs)).plan
    assert plan is not None
    return plan


@contextmanager
def _bench() -> Iterator[_Bench]:
    with tempfile.TemporaryDirectory(prefix="fq-history-", dir="/tmp") as folder:
        server = PrivateServer().start()
        bench = _Bench(server, Path(folder))
        try:
            yield bench
        finally:
            bench.close()
            server.stop()


def memory(jobs: int) -> float:
    """Return the bytes that the server keeps for each job of a run that has ended."""
    with _bench() as bench:
        before = bench.client.info("memory")["used_memory"]
        bench.run(_plan(jobs))
        return float(bench.client.info("memory")["used_memory"] - before) / jobs


def measure(sizes: Sequence[int]) -> Iterator[Cost]:
    """Yield what a run costs after so many others, on one server."""
    small, large = _plan(_SMALL), _plan(_LARGE)
    with _bench() as bench:
        bench.run(large)  # the first run loads what the server needs
        there = 0
        for size in sorted(sizes):
            for _ in range(size - there):
                bench.run(small)
            there = max(there, size)
            yield min((bench.cost(large, size) for _ in range(3)), key=lambda cost: cost.server)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks.history", description="Measure what earlier runs cost a run.")
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 1000], help="sizes of the history (default: 0 1000)")
    options = parser.parse_args(argv)
    print(
        f"{'earlier runs':<14}{'server, us a job':>18}{'commands a job':>16}{'to the first claim, ms':>24}{'commands of a view':>20}"
    )
    for cost in measure(options.runs):
        print(
            f"{cost.runs:<14,}{cost.server * 1e6:>18.0f}{cost.commands:>16.2f}{cost.first * 1e3:>24.1f}{cost.view:>20,.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
