"""The environment of jobs: that of the worker without flowq's own settings."""

import re
from pathlib import Path

import flowq
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.run import Run
from flowq.store import Store
from flowq.worker.ipc.platform import PRIVATE
from tests.language.lab import plan_of
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess, ended

GIVEN = {
    "FLOWQ_OUTPUT", "FLOWQ_RUN_ID", "FLOWQ_JOB_ID", "FLOWQ_JOB_NAME", "FLOWQ_ATTEMPT", "FLOWQ_EXECUTION", "FLOWQ_IDEMPOTENCY_KEY",
    "FLOWQ_FLOW_DIR",
}  # fmt: skip
"""What jobs are told by variables."""

FLOW = """
jobs:
  shell: {run: "echo \\"names=$(env | grep -o '^_*FLOWQ[A-Z_]*=' | tr -d '=' | tr '\\n' ' ')\\" >> $FLOWQ_OUTPUT"}
  argv: {run: [sh, names.sh]}
  call: {call: "environment_job:names"}
"""
MODULE = """
import os


def names():
    return [name for name in os.environ if "FLOWQ" in name]
"""


def test_no_setting_of_flowq_reaches_a_job(store: Store, server: PrivateServer, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "environment_job.py").write_text(MODULE)
    (tmp_path / "names.sh").write_text(
        """echo "names=$(env | grep -o '^_*FLOWQ[A-Z_]*=' | tr -d '=' | tr '\\n' ' ')" >> "$FLOWQ_OUTPUT"\n"""
    )
    settings = {
        name: "1" for name in PRIVATE if name not in {"FLOWQ_REDIS_URL", "FLOWQ_NAMESPACE", "FLOWQ_SECRET_KEY", "FLOWQ_CONFIG"}
    } | {"FLOWQ_ISOLATION": "batch", "FLOWQ_STORE": tmp_path.as_uri()}
    run = submit(store, plan_of(compile_text(FLOW, file=str(tmp_path / "flow.yaml"))), directory=tmp_path)
    with WorkerProcess(server.url, "default", namespace=namespace, env=settings):
        ended(store, run)
    results = Run(store, run)
    assert {job.name: job.error for job in results.view().jobs if job.status != "finished"} == {}
    for name in ("shell", "argv"):
        written = results.result(name)
        assert isinstance(written, dict)
        assert set(written["names"].split()) & {*PRIVATE, *GIVEN} == GIVEN
    called = results.result("call")
    assert isinstance(called, list)
    assert set(called) & {*PRIVATE, *GIVEN} <= GIVEN


def test_every_variable_of_flowq_is_a_setting_or_given_to_jobs() -> None:
    """A variable that is new is put into `PRIVATE`, or jobs are told it on purpose."""
    sources = [path.read_text() for path in Path(flowq.__path__[0]).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"""["'](_?FLOWQ_[A-Z_]{2,})["']""", text)}
    assert named == set(PRIVATE) | GIVEN
