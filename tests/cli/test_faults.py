"""Faults around a run: clashing names, unwritable output, a dead worker, a command given twice."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from flowq.connections.clients import open_store
from flowq.embedded.control import server_status
from tests.cli import process
from tests.cli.process import FLOWQ, Process
from tests.embedded.users import gone
from tests.support.launcher import IMPATIENT
from tests.support.leases import lapse
from tests.support.wait import until

# Like the installed command: without the working directory on the import path.
COMMAND = (FLOWQ[0], "-P", *FLOWQ[1:])

QUICK = "jobs: {a: {run: echo hi}}\n"
WAITING = "jobs: {a: {run: 'while [ ! -e go ]; do sleep 0.05; done'}}\n"


flowq = partial(process.flowq, safe_path=True)


def started(*arguments: str, cwd: Path, **more: object) -> "subprocess.CompletedProcess[str]":
    """Run a command in an interpreter of its own: for tests of imports, and of streams that are closed or full."""
    settings: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, text=True, timeout=60, check=False, **settings)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Path:
    assert home.exists()
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "waiting.yaml").write_text(WAITING)
    return tmp_path


def without_waits(said: str) -> str:
    """Return what a command has said, but that it waits: on a busy machine a server takes longer to start."""
    return re.sub("^waiting for the embedded server.*\n", "", said, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["random", "redis", "queue", "types"])
def test_a_file_named_like_a_module_is_not_imported(project: Path, name: str) -> None:
    (project / f"{name}.py").write_text("raise SystemExit('imported')\n")
    done = started("run", "quick.yaml", cwd=project)
    assert (done.returncode, without_waits(done.stderr)) == (0, "")


@pytest.mark.parametrize("command", [("runs",), ("schema",), ("status", "--json")])
def test_a_full_disk_is_not_reported_as_a_bug(project: Path, command: tuple[str, ...]) -> None:
    assert flowq("run", "quick.yaml", cwd=project).returncode == 0
    with Path("/dev/full").open("w") as full:
        done = started(*command, cwd=project, stdout=full)
    assert done.returncode == 2
    assert without_waits(done.stderr) == "error: cannot write: No space left on device: make room, or write somewhere else\n"


def test_a_full_disk_for_the_output_does_not_end_the_run(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = started("run", "quick.yaml", cwd=project, stdout=full)
    assert done.returncode == 0, done.stderr
    assert flowq("status", "--exit-status", cwd=project).returncode == 0


@pytest.mark.parametrize(("closed", "arguments", "code"), [(1, ("run", "quick.yaml"), 0), (2, ("run", "nothing.yaml"), 3)])
def test_a_closed_stream_is_not_an_error(project: Path, closed: int, arguments: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *COMMAND, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_started_twice_with_one_id_has_one_worker(project: Path) -> None:
    first = flowq("run", "waiting.yaml", "--run-id", "nightly1", "--detach", cwd=project)
    assert first.stdout == "nightly1\n"
    store = open_store()
    until(store.workers.live, message="no worker has come")
    again = subprocess.Popen(
        [*COMMAND, "run", "waiting.yaml", "--run-id", "nightly1"], cwd=project, stderr=subprocess.PIPE, text=True
    )
    assert again.stderr is not None
    assert "has its worker already" in again.stderr.readline()
    assert len(store.workers.live()) == 1
    (project / "go").touch()
    assert again.wait(30) == 0
    again.stderr.close()
    assert store.runs.recent() == ["nightly1"]
    other = flowq("run", "quick.yaml", "--run-id", "nightly1", cwd=project)
    assert other.returncode == 2
    assert "a run of something else has the id nightly1" in other.stderr
    store.close()


def test_a_run_without_its_worker_says_so_and_can_be_canceled(project: Path) -> None:
    run = flowq("run", "waiting.yaml", "--detach", cwd=project).stdout.strip()
    store = open_store()
    until(lambda: store.runs.require(run).counts.get("started"), message="the job has not started")  # type: ignore[call-overload]
    (worker,) = store.workers.live()
    os.kill(worker.pid, 9)
    # set back the worker's heartbeat and the job's lease by a minute
    store.client.hset(store.session.keys("worker", worker.name), "beat", 1)
    store.client.zadd(store.session.keys("leases"), {f"{run}-0": 1})
    shown = flowq("status", cwd=project).stdout
    assert f"flowq run --resume {run}" in shown
    assert flowq("cancel", cwd=project).returncode == 0
    assert str(store.runs.require(run).status) == "canceled"
    store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_run_that_cannot_be_canceled_is_killed_when_its_jobs_had_time_to_stop(project: Path) -> None:
    (project / "slow.yaml").write_text(WAITING.replace("a: {", "a: {stop_grace: 0.5s, retry: {max: 1, on: [abandoned]}, "))
    with on_a_full_disk(project, "run", "slow.yaml") as (run, _):
        run.signal(signal.SIGTERM)
        assert run.wait() == 130
    assert run.out.count("cannot be canceled now: the server at") == 1
    assert "make room on its disk" in run.out
    assert "its jobs are killed in 500ms if that lasts" in run.out
    assert "`flowq run --resume" in run.err
    with closing(open_store()) as store:
        lapse(store)
    (project / "go").touch()
    assert flowq("run", "--resume", "@latest", cwd=project).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_run_is_canceled_once_the_disk_has_room(project: Path) -> None:
    with on_a_full_disk(project, "run", "waiting.yaml") as (run, make_room):
        run.signal(signal.SIGTERM)
        run.expect("cannot be canceled now")
        make_room()
        assert run.wait() == 130
    assert run.out.count("canceling run") == 1
    assert json.loads(flowq("status", "--json", cwd=project).stdout)["status"] == "canceled"


def test_a_run_ends_at_the_third_signal_while_the_server_does_not_answer(project: Path) -> None:
    (project / "slow.yaml").write_text("jobs: {a: {run: 'echo $$ > pid; exec sleep 600'}}\n")
    run = Process("run", "slow.yaml", cwd=project)
    try:
        job = int(until((project / "pid").read_text) if until((project / "pid").exists) else 0)
        server = server_status().pid
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        try:
            until(partial(interrupted, run), 8, "the command to end")
        finally:
            os.kill(server, signal.SIGCONT)
        assert run.wait() in {130, -signal.SIGTERM}  # a fourth one, while it ends, has the default action
        until(lambda: gone(job), message="the job to end")
        assert "Traceback" not in run.err
    finally:
        run.end()


def interrupted(run: Process) -> bool:
    """Send one more signal; return whether the command has ended."""
    run.signal(signal.SIGTERM)
    return run.code is not None


@contextmanager
def on_a_full_disk(project: Path, *command: str) -> Iterator[tuple[Process, Callable[[], object]]]:
    """Start a run, whose server has no room from when a job runs; yield it, and what makes room, as the end of the block does."""
    with closing(open_store()) as store, ExitStack() as stack:
        run = Process(*command, cwd=project)
        stack.callback(run.end)
        until(lambda: store.runs.recent() and store.runs.require(store.runs.recent()[0]).counts.get("started"))  # type: ignore[call-overload]
        server = server_status()
        assert server.pid is not None
        limit = partial(resource.prlimit, server.pid, resource.RLIMIT_FSIZE)
        make_room = partial(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        limit((1, resource.RLIM_INFINITY))
        stack.callback(make_room)

        def refuses() -> bool:
            try:
                store.client.set("{flowq}:nothing", "", px=1)
            except redis.ResponseError as error:
                return "MISCONF" in str(error)
            return False

        until(refuses)
        yield run, make_room


def test_retry_does_not_guess_while_another_run_is_active(project: Path) -> None:
    (project / "bad.yaml").write_text("jobs: {a: {run: exit 1}}\n")
    assert flowq("run", "bad.yaml", cwd=project).returncode == 1
    flowq("run", "waiting.yaml", "--detach", cwd=project)
    refused = flowq("retry", "--failed", cwd=project)
    assert refused.returncode == 2
    assert "say which one you mean" in refused.stderr
    (project / "go").touch()


def test_a_misspelt_variable_is_named(project: Path) -> None:
    """It would be ignored: the run would be on another server, or its data elsewhere."""
    wrong = {"FLOWQ_URL": "redis://db", "FLOWQ_HOM": "/data", "flowq_home": "/data", "FLOWQ_KEY": "x"}
    other = {"FLOWQ_ATTEMPT": "1", "FLOWQ_V1": "x", "FLOWQ_MY_DATA": "x", "FLOWQ_SPACE": "", "FLOWQ_NAMESPACE": "mine"}
    done = flowq("version", cwd=project, env={**os.environ, **wrong, **other})
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        "warning: nothing reads the variable FLOWQ_HOM: did you mean FLOWQ_HOME?",
        "warning: nothing reads the variable FLOWQ_KEY: did you mean FLOWQ_SECRET_KEY?",
        "warning: nothing reads the variable FLOWQ_URL: did you mean FLOWQ_REDIS_URL?",
        "warning: nothing reads the variable flowq_home: did you mean FLOWQ_HOME?",
    ]


def test_a_variable_is_named_once_by_a_command_with_children(project: Path) -> None:
    process = Process("serve", "--no-page", cwd=project, env={"FLOWQ_HOM": "/data"})
    try:
        process.expect("Ctrl+C stops")
        process.signal(signal.SIGINT)
        assert process.wait() == 0
    finally:
        process.end()
    assert (process.out + process.err).count("FLOWQ_HOME?") == 1


def test_a_directory_whose_name_is_not_utf_8_is_named(project: Path) -> None:
    odd = os.fsencode(project) + b"/\xe9t\xe9"
    os.mkdir(odd)
    (Path(os.fsdecode(odd)) / "flow.yaml").write_text(QUICK)
    done = flowq("run", cwd=Path(os.fsdecode(odd)))
    assert done.returncode == 2
    assert done.stderr.endswith("its bytes are not UTF-8; rename the file or directory, or correct the text\n")


def test_the_file_of_a_flow_cannot_be_served(project: Path) -> None:
    done = flowq("serve", "./quick.yaml", cwd=project)
    assert done.returncode == 2
    assert "'./quick.yaml' is a file, expected the directory of the flows, as in `flowq serve .`" in done.stderr


def test_a_server_that_does_not_answer_is_named_before_it_is_given_up(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it never answers
        url = f"redis://:canary@127.0.0.1:{silent.getsockname()[1]}"
        command = Process("-u", f"{url}?socket_timeout=60", "status", cwd=project, env={IMPATIENT: "1"})
        until(lambda: "\n" in command.err, timeout=20)
        assert "waiting for the server at redis://:***@127.0.0.1:" in command.err
        assert command.err.endswith(", which has not answered yet; Ctrl+C ends the wait\n")
        command.signal(signal.SIGINT)
        assert command.wait() == 130
        command.end()
        soon = flowq("-u", f"{url}?socket_timeout=0.1", "status", cwd=project)
    assert (soon.returncode, soon.stderr.count("\n")) == (6, 1), "an error that comes at once says it all"
    assert "did not answer in time" in soon.stderr
