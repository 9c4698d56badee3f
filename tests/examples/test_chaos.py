"""Long sweeps: every graph of the corpora, and a real graph whose workers are killed repeatedly."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.graph2flow import Options, convert, read
from flowq.connections.clients import open_store
from tests.examples.corpora import graph_file, graph_files
from tests.examples.running import ROOT, check_order, flowq, run_flow
from tests.support import invariants
from tests.support.server import PrivateServer
from tests.support.wait import until

if TYPE_CHECKING:
    from flowq.store import Store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

LARGEST = 2500  # jobs; the graphs of 10,000 are for the benchmarks
KILLS = 20


@pytest.mark.parametrize("path", graph_files(), ids=lambda path: path.name)
def test_every_graph_runs_in_order(path: Path, home: Path, tmp_path: Path) -> None:
    graph = read(path)
    if len(graph.jobs) > LARGEST:
        pytest.skip(f"{len(graph.jobs)} jobs")
    flow = tmp_path / "graph.yaml"
    flow.write_text(convert(graph), encoding="utf-8")
    run = run_flow(flow, "--workers", "4", timeout=600)
    assert run["counts"] == {"finished": len(graph.jobs)}
    assert check_order(open_store(), run["id"]) == len(graph.jobs)


@pytest.mark.parametrize("seed", range(3))
def test_a_graph_ends_correctly_while_workers_are_killed(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty times a worker is killed during its jobs and replaced; no job is lost or finished twice."""
    server = PrivateServer().start()
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    graph = read(graph_file("montage-chameleon-2mass-015d-001.json"))
    flow = tmp_path / "graph.yaml"
    patient = "defaults: {retry: 50}\n"
    flow.write_text(patient + convert(graph, Options(action="sleep", scale=0.02, cap=0.2)), encoding="utf-8")
    try:
        run_id = json.loads(flowq("run", str(flow), "--detach", "--json").out)["id"]
        store = open_store()
        with _workers() as workers:
            dice = random.Random(seed)
            for _ in range(KILLS):
                _wait_for_progress(store, run_id)
                workers.replace(dice.randrange(2))
            until(lambda: store.runs.require(run_id).ended, 120, "the run to end")
        assert store.runs.require(run_id).counts == {"finished": len(graph.jobs)}
        assert check_order(store, run_id, once=False) == len(graph.jobs)
        invariants.check(store)
    finally:
        server.stop()


def _wait_for_progress(store: "Store", run_id: str) -> None:
    before = store.runs.require(run_id).open
    until(lambda: store.runs.require(run_id).open < before, 60, "a job to end")


class _Workers:
    """Two worker processes with short leases, each replaceable."""

    def __init__(self) -> None:
        self.processes = [self._start() for _ in range(2)]

    def replace(self, index: int) -> None:
        """Kill one with SIGKILL and start another."""
        self._kill(self.processes[index])
        self.processes[index] = self._start()

    def stop(self) -> None:
        """Kill them all."""
        for process in self.processes:
            self._kill(process)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flowq.worker.main", "default", "-c", "2", "--lease", "2", "--log-level", "error"]
        return subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdin=subprocess.DEVNULL)


@contextmanager
def _workers() -> Iterator[_Workers]:
    workers = _Workers()
    try:
        yield workers
    finally:
        workers.stop()
