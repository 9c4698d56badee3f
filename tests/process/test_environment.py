"""The environment of jobs: that of the worker without flowq's own settings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowq
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.run import Run
from flowq.store import Store
from flowq.worker.ipc.platform import PRIVATE
from tests.language.lab import plan_of
from tests.support.pids import children_of
from tests.support.server import PrivateServer
from tests.support.wait import until
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


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has one policy")
@pytest.mark.parametrize("given", ["SCHED_OTHER", "SCHED_IDLE"])
def test_jobs_have_the_policy_of_their_worker(
    store: Store, server: PrivateServer, namespace: str, tmp_path: Path, given: str
) -> None:
    """Also what they start, though their processes give way as long as they wait for a job."""
    policy = getattr(os, given)
    (tmp_path / "policy.py").write_text("import os\n\n\ndef own():\n    return os.sched_getscheduler(0)\n")
    text = """
jobs:
  call: {call: "policy:own"}
  argv: {run: [sh, -c, 'echo "policy=$(python3 -c "import os; print(os.sched_getscheduler(0))")" >> $FLOWQ_OUTPUT']}
"""
    run = submit(store, plan_of(compile_text(text, file=str(tmp_path / "flow.yaml"))), directory=tmp_path)

    def inherit() -> None:
        os.sched_setscheduler(0, policy, os.sched_param(0))

    with WorkerProcess(server.url, "default", namespace=namespace, inherit=inherit) as worker:
        ended(store, run)
        assert os.sched_getscheduler(worker.process.pid) == policy
        waits = os.SCHED_BATCH if policy == os.SCHED_OTHER else policy
        (fork_server,) = children_of(worker.process.pid)
        until(lambda: {os.sched_getscheduler(pid) for pid in (fork_server, *children_of(fork_server))} == {waits})
    results = Run(store, run)
    assert (results.result("call"), results.result("argv")) == (policy, {"policy": str(int(policy))})


def test_every_variable_of_flowq_is_a_setting_or_given_to_jobs() -> None:
    """A variable that is new is put into `PRIVATE`, or jobs are told it on purpose."""
    sources = [path.read_text() for path in Path(flowq.__path__[0]).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"""["'](_?FLOWQ_[A-Z_]{2,})["']""", text)}
    assert named == set(PRIVATE) | GIVEN


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("run flow.yaml", 0),
        ("run flow.yaml --detach", 0),  # the worker outlives the command
        ("run flow.yaml --ui", 0),  # so does the page
        ("run missing.yaml", 3),  # the worker is not waited for
        ("retry --job a", 0),
        ("retry --job a --detach", 0),
    ],
)
def test_with_warnings_as_errors_nothing_is_warned_of(arguments: str, code: int, home: Path, tmp_path: Path) -> None:
    """As with PYTHONWARNINGS of a project's CI: the processes of a run have it too."""
    (tmp_path / "flow.yaml").write_text("jobs: {a: {run: echo hello}, b: {depends_on: a, call: 'os:getpid'}}\n")
    variables = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}

    def flowq(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flowq", *words]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)

    if arguments.startswith("retry"):
        flowq("run", "flow.yaml")
    done = flowq(*arguments.split())
    assert done.returncode == code, done.stderr
    assert [line for line in done.stderr.splitlines() if "Warning" in line or "ignored" in line] == []
