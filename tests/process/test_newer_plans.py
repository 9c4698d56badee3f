"""A run of a newer flowq, on a worker that does not know its plan: it is left to others, and fails with the reason when there are none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowq.plan import PLAN_VERSION
from flowq.states import Reason
from flowq.store import Store
from tests.process.test_cell_queues import compiled
from tests.support import workers
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = "jobs: {a: {matrix: {n: [1, 2]}, timeout: '${{ matrix.n }}m', run: 'echo $WHO >> ran'}}"
REFUSED = f"this run's plan has version {PLAN_VERSION}, this flowq reads up to"
OLDER = """
import sys
from flowq.plan import plan
plan._READABLE = plan._READABLE[:-1]
from flowq.worker.supervisor.expressions import job_scope
job_scope.LEFT_TO_OTHERS = float(sys.argv.pop(1))
from flowq.worker.main import main
sys.exit(main())
"""


@contextmanager
def older(server: PrivateServer, said: Path, left: float) -> Iterator[None]:
    """A worker whose flowq knows the plans before the latest version, and leaves a run to others for so many seconds."""
    environment = {**os.environ, "FLOWQ_REDIS_URL": server.url, "WHO": "older"}
    command = [sys.executable, "-c", OLDER, str(left), "--namespace", "flowq-test"]
    with said.open("wb") as output:
        worker = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(20)


def test_a_worker_that_knows_the_plan_gets_the_jobs(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    run = workers.start(store, compiled(FLOW), tmp_path)
    said = tmp_path / "said"
    with older(server, said, left=60):
        until(lambda: f"{REFUSED} " in said.read_text(), 20, "the older worker to refuse a job")
        with WorkerProcess(server.url, env={"WHO": "newer"}):
            found = workers.ended(store, run, timeout=20)
    assert [(str(job.status), job.attempt) for job in found if job.kind != "group"] == [("finished", 1)] * 2
    assert (tmp_path / "ran").read_text().split() == ["newer", "newer"]
    assert "left to other workers for now; handed back" in said.read_text()


def test_without_another_worker_the_jobs_fail_with_the_reason(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    run = workers.start(store, compiled(FLOW), tmp_path)
    said = tmp_path / "said"
    with older(server, said, left=0.5):
        found = workers.ended(store, run, timeout=20)
    failed = [job for job in found if job.kind != "group"]
    assert [(str(job.status), job.reason) for job in failed] == [("failed", Reason.ERROR)] * 2
    assert REFUSED in store.runs.errors(run, [0])[0].decode()  # type: ignore[union-attr]
