"""`python -m benchmarks`: measures every contestant once per round and prints one table."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.blocks import BLOCKS, Block, Line
from benchmarks.contestants import OWN, PEERS
from benchmarks.measure import Figures, Key, figures, key
from benchmarks.process import MeasurementError, NotThereError
from benchmarks.table import render
from flowq.embedded.binary import find_server

_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 1 if a measurement of flowq failed, else 0."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Compare flowq with its peers; print medians of several rounds, and ratios."
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    parser.add_argument("--jobs", type=int, default=600, help="no-op jobs per measurement (default: 600)")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only blocks with TEXT in the title, or contestants with it in the name"
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # like Ctrl+C: stops the started processes
    if not (PEERS / "bin" / "python").exists():
        print(f"the peers are not installed in {PEERS}: run `make bench`", file=sys.stderr)
        return 1
    blocks = selected(options.only)
    if not blocks:
        parser.error(f"no title or contestant contains {options.only!r}; the titles are\n" + "\n".join(_titles()))
    measured, failures = _measure(blocks, options.rounds, options.jobs)
    print(f"\n{_machine()}\nmedians of {options.rounds} rounds\n")
    print(render(blocks, measured, {name: str(failure) for name, failure in failures.items()}))
    return 1 if _own_failures(blocks, failures) else 0


def selected(text: str) -> list[Block]:
    """Return blocks with `text` in the title completely, and of others the first line and the lines with `text` in the name."""
    found: list[Block] = []
    for block in BLOCKS:
        lines = [line for line in block.lines[1:] if text in line.worker.name]
        if text in block.title or text in block.lines[0].worker.name:
            found.append(block)
        elif lines:
            found.append(replace(block, lines=(block.lines[0], *lines)))
    return found


def _measure(blocks: Sequence[Block], rounds: int, jobs: int) -> tuple[dict[Key, list[Figures]], dict[Key, MeasurementError]]:
    """Measure in turns, so that other load affects all contestants; skip a contestant after its first failure."""
    lines: dict[Key, Line] = {}
    for line in (line for block in blocks for line in block.lines):
        lines.setdefault(key(line.worker, line.task), line)
    measured: dict[Key, list[Figures]] = {name: [] for name in lines}
    failures: dict[Key, MeasurementError] = {}
    for number in range(1, rounds + 1):
        for name, line in lines.items():
            if name in failures:
                continue
            what = f"round {number}: {line.worker.name}: {line.task.name}"
            try:
                found = figures(line.worker, line.task, jobs)
            except MeasurementError as error:
                failures[name] = error
                print(f"{what}: {error}", file=sys.stderr)
                continue
            measured[name].append(found)
            print(f"{what}: " + ", ".join(f"{figure} {value:,.2f}" for figure, value in found.items()), file=sys.stderr)
    return measured, failures


def _own_failures(blocks: Sequence[Block], failures: dict[Key, MeasurementError]) -> bool:
    own = {key(line.worker, line.task) for block in blocks for line in block.lines if line.worker.environment == OWN}
    return any(name in own and not isinstance(failure, NotThereError) for name, failure in failures.items())


def _titles() -> list[str]:
    return [f"  {block.title}" for block in BLOCKS]


def _machine() -> str:
    peers = ("rq", "celery", "dramatiq", "huey", "saq", "distributed")
    command = [str(PEERS / "bin" / "python"), "-c", _VERSIONS, *peers]
    versions = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {find_server()} on a unix socket\n{found}"


if __name__ == "__main__":
    sys.exit(main())
