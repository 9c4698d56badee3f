"""`python -m benchmarks.startup`: how long the commands take that people wait for, beside what Python itself needs.

Whole processes, by the clock, in turns; medians and their ratios. The yardsticks are the bare interpreter and the import of the client that
every command needs that asks a server.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FLOW: Final = "jobs: {nothing: {run: 'true'}}\n"
_BIN: Final = Path(sys.executable).parent
_FLOWQ: Final = str(_BIN / "flowq")


@dataclass(frozen=True, slots=True)
class Row:
    """One command beside its yardstick; `goal` is the ratio that it should stay below."""

    title: str
    command: str
    yardstick: str
    goal: float


ROWS: Final = (
    Row("flowq --help", "help", "python -c pass", 8),
    Row("flowq status", "status", "import redis", 2),
    Row("flowq run, one no-op job, no server yet", "run", "import redis", 5),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description="How long commands take, beside Python itself.")
    parser.add_argument("--rounds", type=int, default=11, help="how often everything is measured (default: 11)")
    rounds = parser.parse_args(argv).rounds
    with tempfile.TemporaryDirectory(prefix="fq-start-", dir="/tmp") as folder:
        (Path(folder) / "nothing.yaml").write_text(_FLOW, encoding="utf-8")
        times = _measure(Path(folder), rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{os.cpu_count()} cores, medians of {rounds} rounds\n")
    print(f"{'command':<42}{'ms':>8}  {'beside':<16}{'ms':>8}{'ratio':>9}{'goal':>9}")
    for row in ROWS:
        own, other = medians[row.command], medians[row.yardstick]
        goal = f"<= {row.goal:g} x"
        print(f"{row.title:<42}{own * 1000:8.0f}  {row.yardstick:<16}{other * 1000:8.0f}{own / other:7.1f} x{goal:>9}")
    return 0


def _measure(folder: Path, rounds: int) -> Mapping[str, Sequence[float]]:
    """Run everything in turns: whatever else the machine does hits all of them."""
    warm = {"FLOWQ_HOME": str(folder / "warm"), "FLOWQ_LINGER": "600"}
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import redis": [sys.executable, "-c", "import redis"],
        "help": [_FLOWQ, "--help"],
        "status": [_FLOWQ, "status"],
    }
    times: dict[str, list[float]] = {name: [] for name in (*commands, "run")}
    _timed([_FLOWQ, "run", "nothing.yaml"], folder, warm)
    try:
        for number in range(rounds):
            for name, command in commands.items():
                times[name].append(_timed(command, folder, warm))
            cold = {"FLOWQ_HOME": str(folder / f"cold{number}")}
            times["run"].append(_timed([_FLOWQ, "run", "nothing.yaml"], folder, cold))
            _timed([_FLOWQ, "server", "stop"], folder, cold)
    finally:
        _timed([_FLOWQ, "server", "stop"], folder, warm)
    return times


def _timed(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWQ_")}
    begun = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env={**environment, **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
