"""Durations of interactive commands, compared with those of Python itself.

Whole processes are measured in wall time, in turns. The baselines are the bare interpreter, and the import of the client that every
command with a server needs.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_FLOW: Final = "jobs: {nothing: {run: 'true'}}\n"
_FLOWQ: Final = str(Path(sys.executable).parent / "flowq")
_RUN: Final = "flowq run, one job, no server yet"
_COMMANDS: Final = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import redis": [sys.executable, "-c", "import redis"],
    "flowq --help": [_FLOWQ, "--help"],
    "flowq status": [_FLOWQ, "status"],
}


def startup(rounds: int) -> dict[str, float]:
    """Return the median of each command, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="fq-start-", dir="/tmp") as folder:
        (Path(folder) / "nothing.yaml").write_text(_FLOW, encoding="utf-8")
        times = _measure(Path(folder), rounds)
    return {name: statistics.median(values) * 1000 for name, values in times.items()}


def _measure(folder: Path, rounds: int) -> Mapping[str, Sequence[float]]:
    """Run all commands in turns, so that other load affects all of them."""
    warm = {"FLOWQ_HOME": str(folder / "warm"), "FLOWQ_LINGER": "600"}
    times: dict[str, list[float]] = {name: [] for name in (*_COMMANDS, _RUN)}
    _timed([_FLOWQ, "run", "nothing.yaml"], folder, warm)
    try:
        for number in range(rounds):
            for name, command in _COMMANDS.items():
                times[name].append(_timed(command, folder, warm))
            cold = {"FLOWQ_HOME": str(folder / f"cold{number}")}
            times[_RUN].append(_timed([_FLOWQ, "run", "nothing.yaml"], folder, cold))
            _timed([_FLOWQ, "server", "stop"], folder, cold)
    finally:
        _timed([_FLOWQ, "server", "stop"], folder, warm)
    return times


def _timed(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWQ_", "PYTHONPATH"))}
    begun = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env={**environment, **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return time.perf_counter() - begun
