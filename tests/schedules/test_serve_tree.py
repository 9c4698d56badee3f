"""The processes of `flowq serve`: any of them is killed, stopped, or cannot begin."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flowq.plan import Action, RetryPolicy
from flowq.states import JobStatus
from flowq.store import Store
from flowq.worker.signals import SAME_STOP
from tests.support.serve import ServeProcess
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.wait import until
from tests.support.workers import ended, flow, node, records, script, start


@pytest.fixture
def env(server: PrivateServer, store: Store) -> dict[str, str]:
    return {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": store.namespace}


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    return tmp_path / "flows"


def serve(flows: Path, env: dict[str, str], *arguments: str) -> ServeProcess:
    return ServeProcess(flows, "--no-scheduler", *arguments, log=flows.parent / "serve.log", env=env)


def long_job(flows: Path) -> Action:
    """Return a job that says when it runs, and ends when a file is there."""
    return script(f"echo $$ >> {flows.parent}/runs; until [ -e {flows.parent}/go ]; do sleep 0.05; done")


def runs(flows: Path, times: int = 1) -> None:
    file = flows.parent / "runs"
    until(lambda: file.exists() and len(file.read_text().split()) == times, timeout=25, message=f"the job to run {times} times")


def status(store: Store, run: str) -> JobStatus:
    (record,) = records(store, run)
    return record.status


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_job_runs_again(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env, "--worker-ttl", "1.5") as served:
        run = start(store, flow(node("a", long_job(flows), retry=RetryPolicy(1))), flows)
        runs(flows)
        assert [worker.lease_ms for worker in store.workers.live()] == [1500]
        (pid,) = served.pids("worker")
        os.kill(pid, signal.SIGKILL)
        served.says("the worker (pid")
        runs(flows, 2)
        (flows.parent / "go").touch()
        assert ended(store, run)[0].status is JobStatus.FINISHED
        assert len(served.pids("worker")) == 2


def test_children_end_with_a_killed_parent_and_hand_their_jobs_back(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as served:
        run = start(store, flow(node("a", long_job(flows))), flows)
        runs(flows)
        served.signal(signal.SIGKILL)
        until(lambda: not survivors(served.mark), message="all children to end")
        (record,) = records(store, run)
        assert (record.status, record.attempt) == (JobStatus.QUEUED, 0)


def test_a_stop_lets_jobs_finish(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as served:
        run = start(store, flow(node("a", long_job(flows)), node("b", script("true")), edges={"b": {"a": "success"}}), flows)
        runs(flows)
        served.signal()
        served.says("running jobs may take 10m; another stop signal hands them back")
        (flows.parent / "go").touch()
        assert served.wait() == 0
        assert [record.status for record in records(store, run)] == [JobStatus.FINISHED, JobStatus.QUEUED]


def test_a_stop_of_one_that_executes_nothing(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as served:
        until(store.workers.live)
        served.signal()
        assert served.wait() == 0
        assert "stopping: no job runs" in served.output
        assert "running jobs" not in served.output


@pytest.mark.parametrize("how", ["drained", "second signal"])
def test_then_jobs_are_handed_back(flows: Path, env: dict[str, str], store: Store, how: str) -> None:
    with serve(flows, env, *(["--drain", "1s"] if how == "drained" else [])) as served:
        run = start(store, flow(node("a", long_job(flows))), flows)
        runs(flows)
        served.signal()
        served.says("stopping")
        if how == "second signal":
            stopped = time.monotonic()
            until(lambda: time.monotonic() > stopped + SAME_STOP + 0.3)  # an earlier one is the same
            served.signal()
        assert served.wait() == 0
        assert status(store, run) is JobStatus.QUEUED


def test_a_child_that_cannot_begin_ends_it_with_its_code(flows: Path, env: dict[str, str]) -> None:
    with serve(flows, env | {"FLOWQ_ISOLATION": "nothing"}) as served:
        assert served.wait() == 2
        assert "FLOWQ_ISOLATION" in served.output
        assert "Traceback" not in served.output


def test_the_server_is_waited_for(flows: Path, store: Store) -> None:
    """As after the start of a machine, which starts both at once."""
    late = PrivateServer()
    try:
        with serve(flows, {"FLOWQ_REDIS_URL": late.url, "FLOWQ_NAMESPACE": store.namespace}) as served:
            served.says("; it is waited for")
            assert "cannot be reached" in served.output
            assert "the scheduler" not in served.output, "nothing has been started"
            late.start()
            served.says("the server is there")
            served.says("serving")
            served.signal()
            assert served.wait() == 0
            assert served.output.count("it is waited for") == 1
    finally:
        late.stop()


def test_a_stop_signal_ends_the_wait_for_the_server(flows: Path, tmp_path: Path) -> None:
    with serve(flows, {"FLOWQ_REDIS_URL": f"unix://{tmp_path}/nothing.sock"}) as served:
        served.says("; it is waited for")
        served.signal()
        assert served.wait() == 0
        assert "Traceback" not in served.output


def test_a_server_that_refuses_is_not_waited_for(flows: Path, server: PrivateServer) -> None:
    url = server.url.replace("unix://", "unix://guest:wrong@")
    with serve(flows, {"FLOWQ_REDIS_URL": url}) as served:
        assert served.wait() == 6
        assert "error: " in served.output
        assert "waited for" not in served.output


def test_nothing_to_run_is_a_usage_error(flows: Path, env: dict[str, str]) -> None:
    with serve(flows, env, "--no-workers") as served:
        assert served.wait() == 2
        assert "leave nothing to run" in served.output


def test_the_embedded_server_is_held_open_and_queues_have_a_prefix(flows: Path, home: Path) -> None:
    from flowq.connections.clients import open_store
    from flowq.flows.actions.submit import submit

    with serve(flows, {}, "--queues", "default", "--queues", "gpu") as served:
        served.says("listens on serve/flows/default, serve/flows/gpu")
        store = open_store()
        try:
            plan = flow(node("a", script("true"), queue="gpu"), node("b", script("true")))
            run = submit(store, plan, directory=flows, queue_prefix="serve/flows")
            assert [record.status for record in ended(store, run)] == [JobStatus.FINISHED] * 2
            record = store.runs.require(run)
            assert (record.local, record.queue_prefix) == (False, "serve/flows")
        finally:
            store.close()
        served.signal()
        assert served.wait() == 0
    assert home.is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="reads in /proc what a process waits for")
def test_a_stop_before_the_children_are_started_is_a_stop_like_any_other(flows: Path, env: dict[str, str]) -> None:
    """While it writes its first line into a pipe that is full: the signal killed it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(1024))
    os.set_blocking(write, True)
    command = [sys.executable, "-m", "flowq", "serve", str(flows), "--no-page", "--no-scheduler"]
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=write, start_new_session=True)
    os.close(write)
    try:
        until(lambda: "pipe_write" in Path(f"/proc/{process.pid}/wchan").read_text(), message="serve to write")
        process.terminate()
        while os.read(read, 1 << 20):
            pass
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)
