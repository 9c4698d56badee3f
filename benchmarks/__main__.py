"""`python -m benchmarks`: measure in rounds, every contestant once in each, and print one table."""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.contestants import PEERS, ROWS, RQ, contestants
from benchmarks.measure import MeasurementError, NotThereError, rate
from benchmarks.table import render
from flowq.embedded.binary import find_server


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks; the exit code is 1 when a contestant could not do its work."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Compare flowq with RQ: medians of several rounds, and ratios."
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    parser.add_argument("--jobs", type=int, default=600, help="no-op jobs of one measurement (default: 600)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose title contains TEXT")
    options = parser.parse_args(argv)
    if not RQ.bin.exists():
        print(f"the peers are not installed in {PEERS}: `make bench` does that", file=sys.stderr)
        return 1
    names = list(dict.fromkeys(name for row in ROWS if options.only in row.title for name in (row.peer, row.own)))
    rates, failures = _measure(names, options.rounds, options.jobs)
    print(f"\n{_machine()}\nmedians of {options.rounds} rounds, jobs per second\n\n{render(rates)}")
    for name, failure in failures.items():
        print(f"{name}: {failure}", file=sys.stderr)
    return 0 if all(isinstance(failure, NotThereError) for failure in failures.values()) else 1


def _measure(names: Sequence[str], rounds: int, jobs: int) -> tuple[dict[str, list[float]], dict[str, MeasurementError]]:
    """Measure in turns, so that whatever else the machine does hits everybody; one that failed is not asked again."""
    everybody = contestants(jobs)
    rates: dict[str, list[float]] = {name: [] for name in names}
    failures: dict[str, MeasurementError] = {}
    for number in range(1, rounds + 1):
        for name in names:
            if name in failures:
                continue
            try:
                rates[name].append(rate(everybody[name]))
            except MeasurementError as error:
                failures[name] = error
                continue
            print(f"round {number}: {name}: {rates[name][-1]:,.0f}/s", file=sys.stderr)
    return rates, failures


def _machine() -> str:
    version = subprocess.run(
        RQ.python("-c", "import rq; print(rq.__version__)"), capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {find_server()} on a unix socket, RQ {version}"


if __name__ == "__main__":
    sys.exit(main())
