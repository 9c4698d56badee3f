"""`python -m benchmarks.engines`: what a job costs on each executor that can be started here, as a table in Markdown.

The engines are those of the conformance suite (`tests/executors/engines.py`), all on this machine: so the figures are those of the way to a node and
back, not of a network. Each job calls `time.time`. The times of a job are those that its record has: from the moment at which it was in its queue
to its end. An engine that is missing has a line with the reason.
"""

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from flowq.embedded.binary import find_server
from tests.executors.bench import Bench, bench_of

ENGINES: Final = ("fork", "sh", "job", "bwrap", "ssh", "srun", "dask", "ray")
_PER_JOB: Final = ("job", "srun")  # a command and a node for each job, so that there are fewer of them
_NAMES: Final = {"fork": "none (forks)", "sh": "pipe: a local command", "job": "pipe, a node per job: `nice`", "bwrap": "pipe: `bwrap`",
                 "ssh": "pipe: `ssh`, 2 hosts", "srun": "pipe, a node per job: `srun`", "dask": "Dask, 2 workers", "ray": "Ray, 2 nodes"}  # fmt: skip
_TICK: Final = os.sysconf("SC_CLK_TCK")
_LEASE: Final = 30.0  # s
_LIMIT: Final = 300.0  # s for one flow


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the engines and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.engines", description="Measure what a job costs on each executor.")
    parser.add_argument("--only", action="append", choices=ENGINES, help="only this engine; may be given several times")
    parser.add_argument(
        "--jobs", type=int, default=200, help="jobs per measurement; a tenth with one at a time, and where each has a node"
    )
    parser.add_argument("--flight", type=int, default=50, help="jobs in flight at once (default: 50)")
    options = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {find_server()}; no-op jobs, times in ms\n")
    print(
        f"| executor | one at a time: jobs/s | p50 | p99 | {options.flight} at once: jobs/s | p50 | p99 | CPU per job: worker | driver |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for engine in options.only or ENGINES:
        few = max(5, options.jobs // 10)
        many = max(options.flight, few) if engine in _PER_JOB else options.jobs
        try:
            with bench_of(engine, _LEASE, places=options.flight) as bench:
                cells = _row(bench, few, many, options.flight)
        except pytest.skip.Exception as reason:
            cells = [f"not there: {reason}"]
        print(f"| {_NAMES[engine]} | {' | '.join(cells)} |", flush=True)
    return 0


def _row(bench: Bench, few: int, many: int, flight: int) -> list[str]:
    """Return the cells of an engine's line: one job at a time, then many."""
    _run(bench, flight, flight)  # nodes and fork servers are there from now on
    one = _run(bench, few, 1)
    before = _cpu(bench)
    at_once = _run(bench, many, flight)
    spent = [(after - earlier) / many for after, earlier in zip(_cpu(bench), before, strict=True)]
    return [*one, *at_once, *(f"{ms:.1f}" if ms else "" for ms in spent)]


def _run(bench: Bench, jobs: int, flight: int) -> list[str]:
    """Run a flow; return its jobs per second, and the median and the 99th percentile of their times."""
    cells = f"matrix: {{n: {list(range(jobs))}}}, max_parallel: {flight}"
    ran = bench.run(f"jobs: {{a: {{call: 'time:time', {cells}}}}}", _LIMIT)
    assert ran.status == "finished", bench.tail()
    spans = [(job.enqueued_ms, job.ended_ms) for job in ran.jobs if job.enqueued_ms and job.ended_ms]
    assert len(spans) == jobs
    times = [ended - enqueued for enqueued, ended in spans]
    took = max(ended for _, ended in spans) - min(enqueued for enqueued, _ in spans)
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98] if jobs > 1 else times[0]
    rate = 1000 * jobs / max(1, took)
    return [f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}", f"{statistics.median(times):.0f}", f"{p99:.0f}"]


def _cpu(bench: Bench) -> list[float]:
    """Return the milliseconds of processor time that worker and driver have used so far; 0 for a driver that is none."""
    drivers = bench.processes("flowq.worker.executors.driver")
    return [sum(map(_used, pids)) for pids in ([bench.worker.process.pid], drivers)]


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICK


if __name__ == "__main__":
    sys.exit(main())
