"""One measurement: its own server, a driver, a worker, and figures.

If a queue is filled before the worker starts, the first and the last job write the time; the rate is the number of jobs between them divided
by the seconds between them, so it excludes the start of the worker. If the worker is already running, the driver measures the times.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.blocks import Task
from benchmarks.contestants import ROOT, Worker
from benchmarks.marks import Marks, MissingMarkError
from benchmarks.process import MeasurementError, Process
from tests.support.server import PrivateServer

PATIENCE: Final = 120  # s for one command

Figures = Mapping[str, float]
Key = tuple[object, ...]


def key(worker: Worker, task: Task) -> Key:
    """Return the key under which equal measurements are shared."""
    return worker.library, worker.environment, tuple(worker.command), worker.slots, task


def figures(worker: Worker, task: Task, jobs: int) -> Figures:
    """Measure once, on a fresh server.

    Raises:
        MeasurementError: a command failed or took too long, or the marks are missing.
    """
    server = PrivateServer().start()
    try:
        with TemporaryDirectory() as folder:
            environment = _environment(server.url, str(Path(folder) / "marks"), worker.slots)
            ask = worker.driver(task.name, task.jobs(jobs))
            if task.standing:
                return _standing(ask, worker, environment)
            return _worked_off(ask, worker, environment, server, task.jobs(jobs))
    finally:
        server.stop()


def _standing(ask: list[str], worker: Worker, environment: dict[str, str]) -> Figures:
    """Let the driver submit jobs to a running worker."""
    if not worker.command:
        return _driven(ask, environment)
    with Process(worker.command, environment) as process:
        try:
            return _driven(ask, environment)
        except MeasurementError as error:
            if process.ended():
                raise process.failure("the worker ended at once") from error
            raise


def _driven(ask: list[str], environment: dict[str, str]) -> Figures:
    with Marks(environment["BENCHMARK_MARKS"]), Process(ask, environment) as driver:
        found: Figures = json.loads(driver.output(PATIENCE).strip().splitlines()[-1])
        return found


def _worked_off(ask: list[str], worker: Worker, environment: dict[str, str], server: PrivateServer, jobs: int) -> Figures:
    """Let the driver fill the queue and the worker empty it; also take the server's counts between the marks."""
    with Process(ask, environment) as driver:
        driver.output(PATIENCE)
    with (
        server.client() as client,
        Marks(environment["BENCHMARK_MARKS"]) as marks,
        Process(worker.command, environment) as process,
    ):
        times, counts = [], []
        for found in range(2):
            try:
                times.append(marks.read(process.ended))
            except MissingMarkError as error:
                raise process.failure(f"the first and the last job did not run once each, found {found} marks") from error
            counts.append(client.info("everything"))
    between = jobs + 1  # from mark to mark: all jobs, and the job of the last mark
    delta = {name: counts[1][name] - counts[0][name] for name in _COUNTED}
    return {
        "rate": between / ((times[1] - times[0]) / 1e9),
        "trips": delta["total_reads_processed"] / between,
        "connections": delta["total_connections_received"] / between,
        "server": (delta["used_cpu_user"] + delta["used_cpu_sys"]) * 1e6 / between,
    }


_COUNTED: Final = ("total_reads_processed", "total_connections_received", "used_cpu_user", "used_cpu_sys")


def _environment(url: str, marks: str, slots: int) -> dict[str, str]:
    """Return the variables that give each library the server's address, and all of them the path of the jobs."""
    named = {"BENCHMARK_URL": url, "BENCHMARK_MARKS": marks, "BENCHMARK_SLOTS": str(slots)}
    libraries = os.pathsep.join((str(ROOT), str(ROOT / ".benchmarks" / "lib")))  # imports of the jobs, in every environment
    return {**os.environ, **named, "FLOWQ_REDIS_URL": url, "RQ_REDIS_URL": url, "PYTHONPATH": libraries}
