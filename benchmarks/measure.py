"""One measurement: a contestant, a server of its own, and two marks.

The first and the last job of the work write the time; the rate is the jobs between them by the seconds between them. So the
start of the worker's process is not part of it, and both libraries are timed by the same clock in the same function.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contestants import ROOT, Contestant
from benchmarks.peer import MISSING
from tests.support.server import PrivateServer

PATIENCE: Final = 300  # s for one command


class MeasurementError(Exception):
    """A contestant did not do its work; the message has what it wrote to stderr."""


class NotThereError(MeasurementError):
    """The library does not have what the measurement needs: a dash in the table, not a mishap."""


def rate(contestant: Contestant) -> float:
    """Let the contestant do its work once on a fresh server and return jobs per second.

    Raises:
        MeasurementError: a command failed or took too long, or the marks are not there.
    """
    server = PrivateServer().start()
    try:
        with TemporaryDirectory() as folder:
            marks = Path(folder) / "marks"
            environment = _environment(server.url, marks)
            _run(contestant.fill, environment)
            _run(contestant.work, environment)
            return contestant.jobs / _seconds(marks)
    finally:
        server.stop()


def _environment(url: str, marks: Path) -> dict[str, str]:
    """Say where the server is in each library's own way, and where the jobs are, to both alike."""
    named = {"BENCHMARK_URL": url, "BENCHMARK_MARKS": str(marks), "FLOWQ_REDIS_URL": url, "RQ_REDIS_URL": url}
    return {**os.environ, **named, "PYTHONPATH": str(ROOT)}


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{' '.join(command)}: not done after {PATIENCE} s") from error
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        if tail and tail[-1].startswith(MISSING):
            raise NotThereError(tail[-1])
        raise MeasurementError(f"{' '.join(command)}: exit code {done.returncode}: {' / '.join(tail)}")


def _seconds(marks: Path) -> float:
    times = [int(line) for line in marks.read_text(encoding="ascii").split()] if marks.exists() else []
    if len(times) != 2:
        raise MeasurementError(f"expected the first and the last job to have run once each, found {len(times)} marks")
    return (times[1] - times[0]) / 1e9
