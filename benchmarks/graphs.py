"""Real workflow graphs, executed with their run times in milliseconds, compared with the least time that they could take.

A run takes at least its critical path, and at least all its work divided by the slots ("least"). In whatever order the jobs go, it takes at least
the work of any of them divided by the slots, after what all of these wait for and before what waits for all of these ("bound"). What comes on
top is overhead: of each job, and of the worker's start. Each graph runs twice: the second run knows the times of the first one.
Jobs sleep, so that slots can be more than cores. The corpora have the graphs; those without run times are left out.

    python -m benchmarks.graphs ../shared/corpora/graphs --slots 4 --most 400
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import graph2flow
from benchmarks.graph2flow import Graph, Options
from benchmarks.makespan import Constants, SimulatedJob, makespan
from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.wait import until

_ROOT: Final = Path(__file__).parent.parent
_CAP: Final = 2.0  # s of one job at most: some run times of traces have false tails
_PATIENCE: Final = 600  # s for one run
_CALIBRATION: Final = 200  # jobs of the chain and of the fan from which the overhead is taken


@dataclass(frozen=True, slots=True)
class Bound:
    """The least time of a run, in seconds: that of its longest chain, its work spread evenly over the slots, and the most of what `_window` says."""

    path: float
    share: float
    window: float
    jobs: int
    levels: int

    @property
    def least(self) -> float:
        """The larger of the first two."""
        return max(self.path, self.share)

    @property
    def bound(self) -> float:
        """The largest of the three."""
        return max(self.least, self.window)

    def expected(self, overhead: "Overhead") -> float:
        """Return the bound with overhead, in seconds."""
        return max(self.bound, self.path + self.levels * overhead.chain, self.share + self.jobs * overhead.fan)


@dataclass(frozen=True, slots=True)
class Overhead:
    """The measured seconds of a job that does nothing: in a chain, and in a fan that keeps all slots busy."""

    chain: float
    fan: float

    def constants(self) -> Constants:
        """Return it as costs: what jobs share, here the whole machine, and what each has for itself."""
        return Constants(server=self.fan, slot=max(0.0, self.chain - self.fan))


def simulated(graph: Graph, options: Options, slots: int, overhead: Overhead) -> float:
    """Return the seconds that a graph takes in a simulation."""
    numbers = {job.id: number for number, job in enumerate(graph.jobs)}
    jobs = [SimulatedJob(pause(job.runtime, options), [numbers[parent] for parent in job.parents]) for job in graph.jobs]
    return makespan(jobs, slots, overhead.constants())


def pause(runtime: float, options: Options) -> float:
    """Return the seconds that a job sleeps."""
    return min(max(runtime, 0.0) * options.scale, options.cap)


def bound(graph: Graph, options: Options, slots: int) -> Bound:
    """Return the least time of a graph whose jobs sleep as `options` say."""
    ends: dict[str, float] = {}
    levels: dict[str, int] = {}
    work = 0.0
    for job in graph.jobs:
        seconds = pause(job.runtime, options)
        work += seconds
        ends[job.id] = seconds + max((ends[parent] for parent in job.parents), default=0.0)
        levels[job.id] = 1 + max((levels[parent] for parent in job.parents), default=0)
    return Bound(max(ends.values()), work / slots, _window(graph, options, slots), len(graph.jobs), max(levels.values()))


def _window(graph: Graph, options: Options, slots: int) -> float:
    """Return the most, over all sets of jobs, of what each waits for, their work divided by the slots, and what each is waited for by."""
    seconds = {job.id: pause(job.runtime, options) for job in graph.jobs}
    before: dict[str, float] = {}
    after: dict[str, float] = dict.fromkeys(seconds, 0.0)
    for job in graph.jobs:
        before[job.id] = max((before[parent] + seconds[parent] for parent in job.parents), default=0.0)
    for job in reversed(graph.jobs):
        for parent in job.parents:
            after[parent] = max(after[parent], after[job.id] + seconds[job.id])
    most = 0.0
    names = sorted(seconds, key=lambda name: -after[name])
    for start in sorted(set(before.values())):
        work = 0.0
        for name in names:
            if before[name] >= start:
                work += seconds[name]
                most = max(most, start + work / slots + after[name])
    return most


def found(folder: Path, most: int) -> Iterator[tuple[str, Graph]]:
    """Yield the graphs of a folder that have run times and at most so many jobs, by name."""
    for path in sorted(folder.glob("*.json*")):
        graph = graph2flow.read(path)
        if len(graph.jobs) <= most and any(job.runtime for job in graph.jobs):
            yield path.name.partition(".json")[0], graph


class Bench:
    """A server and a worker that executes one run after the other.

    Args:
        slots: of the worker.
        folder: for the flow files.
    """

    def __init__(self, slots: int, folder: Path) -> None:
        self.slots = slots
        self._folder = folder
        self._server = PrivateServer().start()
        command = [sys.executable, "-m", "flowq.worker.main", "-c", str(slots), "--log-level", "error"]
        environment = {**os.environ, "FLOWQ_REDIS_URL": self._server.url}
        self._worker = subprocess.Popen(command, cwd=_ROOT, env=environment)
        self._store = Store(self._server.client()).open()
        self._former: str | None = None

    def close(self) -> None:
        """End both."""
        self._worker.kill()
        self._worker.wait()
        self._server.stop()

    def seconds(self, text: str) -> float:
        """Execute a flow and return how long its run took on the server's clock, from its submission to its end. Its times are known afterwards."""
        path = self._folder / "flow.yaml"
        path.write_text(text, encoding="utf-8")
        run = submit(self._store, _plan(path), directory=_ROOT)
        until(lambda: self._store.runs.require(run).ended, _PATIENCE, "the run to end")
        record = self._store.runs.require(run)
        assert record.status == "finished", record.status
        assert record.ended_ms is not None
        self.forget()
        self._former = run
        return (record.ended_ms - record.created_ms) / 1000

    def forget(self) -> None:
        """Delete the last run, so that nothing is known of its flow."""
        if self._former is not None:
            self._store.runs.delete(self._former)
            self._former = None

    def overhead(self) -> Overhead:
        """Measure the overhead."""
        chain = "\n".join(["jobs:", *(_noop(number, number - 1) for number in range(_CALIBRATION))])
        fan = "\n".join(["jobs:", *(_noop(number) for number in range(_CALIBRATION * self.slots))])
        self.seconds(fan)  # the first run warms the worker
        chains = statistics.median(self.seconds(chain) for _ in range(3)) / _CALIBRATION
        fans = statistics.median(self.seconds(fan) for _ in range(3)) / (_CALIBRATION * self.slots)
        return Overhead(chains, fans)


def _noop(number: int, parent: int = -1) -> str:
    action = f"  j{number}:\n    call: benchmarks.noop:noop"
    return action if parent < 0 else f"{action}\n    depends_on: [j{parent}]"


def _plan(path: Path) -> Plan:
    plan = compile_file(path).plan
    assert plan is not None
    return plan


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each graph."""
    parser = argparse.ArgumentParser(prog="benchmarks.graphs", description="Compare real graphs with their least time.")
    parser.add_argument("folder", type=Path, help="graphs of the form flowgraph/1")
    parser.add_argument("--slots", type=int, default=4, help="of the worker (default: 4)")
    parser.add_argument("--scale", type=float, default=0.001, help="seconds slept per second of run time (default: 0.001)")
    parser.add_argument("--most", type=int, default=2000, help="jobs of a graph at most (default: 2000)")
    options = parser.parse_args(argv)
    sleeping = Options("sleep", options.scale, _CAP)
    with tempfile.TemporaryDirectory(prefix="fq-graphs-", dir="/tmp") as folder:
        bench = Bench(options.slots, Path(folder))
        try:
            overhead = bench.overhead()
            print(
                f"{options.slots} slots, load {os.getloadavg()[0]:.0f}; overhead of a job of a chain "
                f"{overhead.chain * 1000:.1f} ms, of a fan {overhead.fan * 1000:.1f} ms"
            )
            print(
                f"\n{'graph':<44}{'jobs':>6}{'least s':>9}{'bound s':>9}{'+ overhead':>12}{'simulated':>11}{'first s':>9}{'/ + overhead':>14}"
                f"{'second s':>10}{'/ + overhead':>14}"
            )
            for name, graph in found(options.folder, options.most):
                least = bound(graph, sleeping, options.slots)
                expected = least.expected(overhead)
                text = graph2flow.convert(graph, sleeping)
                bench.forget()
                first, second = bench.seconds(text), bench.seconds(text)
                print(
                    f"{name:<44}{least.jobs:>6}{least.least:>9.2f}{least.bound:>9.2f}{expected:>12.2f}"
                    f"{simulated(graph, sleeping, options.slots, overhead):>11.2f}{first:>9.2f}{first / expected:>14.2f}"
                    f"{second:>10.2f}{second / expected:>14.2f}",
                    flush=True,
                )
        finally:
            bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
