"""Workers, fork servers and horses at the limit of open files: each reports it, and continues when descriptors are free."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowq import ids
from flowq.flows.local_worker.process import default_slots
from flowq.processes import FEWEST_FILES, FILES_OF_A_JOB
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from tests.support.ctypes_files import kept_by_ctypes
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Stand, call, shell
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of other processes are set")
LIMIT = resource.RLIMIT_NOFILE


def limit(pid: int, number: int) -> None:
    """Limit the open files of a process to that number."""
    resource.prlimit(pid, LIMIT, (number, resource.prlimit(pid, LIMIT)[1]))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def lowest_free(pid: int) -> int:
    """Return the number that the next file which a process opens would get: as its limit it leaves room for none."""
    used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


def work(server: PrivateServer, inherit: Callable[[], object] | None, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "flowq.worker.main", "--namespace", "flowq-test"],
            env={**os.environ, "FLOWQ_REDIS_URL": server.url},
            stderr=file,
            preexec_fn=inherit,  # noqa: PLW1509 - a test has no threads
        )


@pytest.mark.parametrize("number", [5, 6, 8, 10, 14, 16, 19])
def test_a_worker_that_cannot_start_reports_why(store: Store, server: PrivateServer, tmp_path: Path, number: int) -> None:
    process = work(server, lambda: resource.setrlimit(LIMIT, (number, number)), tmp_path / "log")
    until(lambda: process.poll() is not None or "listens" in (tmp_path / "log").read_text())
    process.terminate()
    code, log = process.wait(10), (tmp_path / "log").read_text()
    assert "Traceback" not in log
    needs = f"error: a worker needs 23 open files to execute a job, and may have {number} here: `ulimit -n 1024` raises that\n"
    assert (code, log) == (2, needs) or (number < 10 and "oo many open files" in log)


def test_with_the_fewest_files_a_worker_executes_a_job(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    store.jobs.create(NewJob("a", "default", b"\x80\x04\x95\x00", ids.nonce()))
    process = work(server, lambda: resource.setrlimit(LIMIT, (FEWEST_FILES, FEWEST_FILES)), tmp_path / "log")
    until(lambda: store.jobs.get("a").status is JobStatus.FAILED)  # type: ignore[union-attr] # its payload is none: it was executed
    process.terminate()
    assert process.wait(10) == 0, (tmp_path / "log").read_text()


def test_a_run_without_open_files_is_not_submitted(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("jobs: {a: {run: 'true'}}")
    server = subprocess.run([sys.executable, "-m", "flowq", "server", "start"], check=False, capture_output=True)
    assert server.returncode == 0
    for arguments in (["run", "flow.yaml"], ["run", "flow.yaml", "--detach"]):
        done = subprocess.run(
            [sys.executable, "-m", "flowq", *arguments],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(LIMIT, (16, 16)),
        )
        assert (done.returncode, done.stdout) == (2, "")
        needed = FEWEST_FILES + FILES_OF_A_JOB * default_slots()
        assert (
            f"error: a worker needs {needed} open files to execute {default_slots()} jobs at once, and may have 16 here"
            in done.stderr
        )
    shown = subprocess.run([sys.executable, "-m", "flowq", "runs", "--json"], check=False, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_a_worker_without_descriptors_requeues_and_continues_later(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = work(server, None, log)
    try:
        until(lambda: "listens" in log.read_text())
        before = resource.prlimit(process.pid, LIMIT)[0]
        limit(process.pid, lowest_free(process.pid))
        store.jobs.create(NewJob("a", "default", b"\x80\x04\x95\x00", ids.nonce()))
        until(lambda: "Too many open files" in log.read_text())
        limit(process.pid, before)
        until(lambda: store.jobs.get("a").status is JobStatus.FAILED)  # type: ignore[union-attr] # its payload is none: it was executed
        assert store.jobs.get("a").attempt == 1  # type: ignore[union-attr]
    finally:
        process.terminate()
        assert process.wait(10) == 0, log.read_text()


@pytest.mark.parametrize("clone", [False, True])
def test_a_fork_server_without_descriptors_reports_it_and_forks_again_later(clone: bool, tmp_path: Path) -> None:
    with Stand(clone=clone, slots=4) as stand:
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"
        stand.turn(lambda: stand.fork_server._ready)
        before = resource.prlimit(stand.fork_server.pid, LIMIT)[0]
        limit(stand.fork_server.pid, lowest_free(stand.fork_server.pid))
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"  # a lane that exists needs no descriptor of the server's
        started = [stand.start(call("block", str(tmp_path / str(slot))), slot=slot) for slot in range(4)]
        stand.turn(lambda: any(execution.freed for execution in started))
        execution = next(execution for execution in started if execution.freed)
        assert execution.end is not None
        assert execution.end.unstarted
        assert execution.outcome["error"].startswith("no process could be started for the job: Too many open files")
        assert stand.fork_server.fresh() is not clone  # a copy is made again, the program may have closed something since
        limit(stand.fork_server.pid, before)
        slot = next(slot.index for slot in stand.slots if slot.free)

        def executed() -> bool:
            later = stand.start(call("echo", 2), slot=slot)  # handed back too, if its lane was asked for under the limit
            stand.turn(lambda: later.freed)
            return later.end is not None and not later.end.unstarted and later.outcome["value"] == b"2"

        until(executed, message="a job to be executed")


def test_a_fork_server_without_descriptors_survives_a_job_that_exits() -> None:
    with Stand() as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        limit(stand.fork_server.pid, lowest_free(stand.fork_server.pid))
        assert stand.run(call("leave_hard", 3)).outcome["reason"] == "killed"
        assert not stand.lost


def test_the_ends_of_commands_are_told_by_a_fork_server_with_all_the_lanes_that_it_can_have(tmp_path: Path) -> None:
    with Stand(slots=12) as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        limit(stand.fork_server.pid, lowest_free(stand.fork_server.pid) + 8)
        script = f"echo key=value >> $FLOWQ_OUTPUT; mkdir -p $(dirname $FLOWQ_OUTPUT)/a/b; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        executions = [stand.start(shell(script), slot=slot) for slot in range(12)]
        stand.turn(lambda: all(slot.free or slot.has_horse for slot in stand.slots))
        assert any(slot.free for slot in stand.slots), "there were too many"
        (tmp_path / "go").touch()
        stand.turn(lambda: all(execution.freed for execution in executions))
        ended = [execution for execution in executions if execution.end is not None and not execution.end.unstarted]
        assert len(ended) >= 5
        assert {execution.outcome.get("value") for execution in ended} == {b'{"key":"value"}'}


def test_a_fork_server_without_descriptors_survives_what_a_command_leaves() -> None:
    with Stand() as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        limit(stand.fork_server.pid, lowest_free(stand.fork_server.pid))
        assert stand.run(shell("sleep 60 & exit 4")).outcome["error"] == "exit code 4"
        assert not stand.lost


def test_a_horse_without_descriptors_for_its_pipes_reports_it() -> None:
    with Stand() as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        spare = stand.fork_server._ready[0].pid
        until(lambda: open_files(spare) == 4 + kept_by_ctypes())
        limit(spare, 4 + kept_by_ctypes())
        outcome = stand.run(call("noop")).outcome
        assert outcome["error"].startswith("the job's process could not begin: too many open files")
        assert stand.run(call("echo", 2)).outcome["value"] == b"2"
