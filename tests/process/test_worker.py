"""Whole workers on a real server: execution, stops, and recovery from killed processes."""

import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest
import redis

from flowq import ids
from flowq.plan import Action, RetryPolicy
from flowq.states import JobStatus, RunStatus
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.worker.signals import SAME_STOP
from tests.support.launcher import MARK
from tests.support.pids import pid_in
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import MODULES, gone, survivors
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, records, script, start

LEASE = ("--lease", "1.5")


@pytest.fixture
def url(server: PrivateServer) -> str:
    return server.url


def call(attribute: str, *args: object) -> Action:
    return Action("call", module="process_jobs", attribute=attribute, args=args)


def attempts(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


# -- executing


def test_a_flow_runs_from_end_to_end(store: Store, url: str, tmp_path: Path) -> None:
    plan = flow(
        node("first", call("echo", {"n": 1})),
        node(
            "second",
            Action(
                "shell",
                script='echo "got $N"\necho "twice=$N$N" >> "$FLOWQ_OUTPUT"\n',
                variables={"N": {"$": "jobs.first.result.n"}},
            ),
            reads=("first",),
            env={"SET": {"$join": ["run ", {"$": "run.name"}]}},
        ),
        node(
            "third",
            call("environment", "SET", "FLOWQ_RUN_ID"),
            env={"SET": {"$": "jobs.second.result.twice"}},
            reads=("second",),
        ),
        node("never", script("exit 1"), condition="params.wanted"),
        node("always", script("true"), condition="!params.wanted"),
        edges={
            "second": {"first": "success"},
            "third": {"second": "success"},
            "never": {"first": "success"},
            "always": {"never": "done"},
        },
        params={"wanted": False},
        file=str(Path(MODULES) / "flow.yaml"),
    )
    run = start(store, plan, tmp_path)
    with WorkerProcess(url, "-c", "2", "--until-run", run) as worker:
        jobs = ended(store, run)
        assert worker.wait() == 0
    assert [job.status for job in jobs] == ["finished", "finished", "finished", "skipped", "finished"]
    assert jobs[3].reason == "if_false"
    assert store.runs.results(run, [1, 2]) == [
        (JobStatus.FINISHED, b'{"twice":"11"}'),
        (JobStatus.FINISHED, b'{"SET":"11","FLOWQ_RUN_ID":"%s"}' % run.encode()),
    ]
    assert [(entry.job, entry.stream, entry.data) for entry in store.runs.logs(run)] == [(f"{run}-1", "out", b"got 1\n")]
    assert store.workers.live() == []


def test_failures_are_retried_and_allowed(store: Store, url: str, tmp_path: Path) -> None:
    plan = flow(
        node("retried", script(f"echo x >> {tmp_path}/n; [ $FLOWQ_ATTEMPT = 3 ]"), retry=RetryPolicy(2)),
        node("hopeless", script("exit 4"), retry=RetryPolicy(1), allow_failure=(4,)),
        node("other", script("exit 5"), allow_failure=(4,)),
        node("broken", Action("argv", args=("echo", {"$": "params.missing"}))),
        file="/flows/some.yaml",
    )
    run = start(store, plan, tmp_path)
    with WorkerProcess(url, "-c", "2", "--burst"):
        jobs = ended(store, run)
    assert [(job.status, job.allowed, job.attempt) for job in jobs] == [
        ("finished", False, 3),
        ("failed", True, 2),
        ("failed", False, 1),
        ("failed", False, 1),
    ]
    assert attempts(tmp_path / "n") == 3
    errors = store.runs.errors(run, range(4))
    assert errors[1] == b"exit code 4"
    assert errors[3] is not None
    assert errors[3].startswith(b"/flows/some.yaml:1: job broken: ")


def test_a_plain_job_is_a_pickled_call(store: Store, url: str) -> None:
    payload = pickle.dumps(("process_jobs.Maker.make", (5,), {}))
    store.jobs.create(NewJob("plain", "q", payload, ids.nonce()))
    with WorkerProcess(url, "q", "--burst", env={"PYTHONPATH": MODULES}) as worker:
        assert worker.wait() == 0
    result = store.jobs.result("plain")
    assert result is not None
    assert result.value is not None
    assert pickle.loads(result.value) == {"made": 5}  # noqa: S301 - made above


def test_an_idle_worker_starts_a_job_at_once(store: Store, url: str, tmp_path: Path) -> None:
    with WorkerProcess(url):
        warm_up = start(store, flow(node("a", script("true"))), tmp_path)
        ended(store, warm_up)
        waits = []
        for _ in range(5):
            run = start(store, flow(node("a", script("true"))), tmp_path)
            job = ended(store, run)[0]
            assert job.enqueued_ms is not None
            assert job.started_ms is not None
            waits.append(job.started_ms - job.enqueued_ms)
    assert sorted(waits)[2] < 200  # not a poll: the sweep comes every second


def test_a_handler_starts_at_once(store: Store, url: str, tmp_path: Path) -> None:
    """The end of the graph queues it after the claims in the same call: its hint is there before the reply, which knows of no job."""
    made = flow(node("a", script("true")), node("clean", script("true")))
    made = replace(made, cells=(made.cells[0], replace(made.cells[1], phase="exit")))
    with WorkerProcess(url, "--slots", "4"):
        jobs = [ended(store, start(store, made, tmp_path))[1] for _ in range(3)]
    waits = sorted(job.started_ms - job.enqueued_ms for job in jobs if job.started_ms and job.enqueued_ms)
    assert waits[1] < 500  # not a poll: a heartbeat comes every three seconds


@pytest.mark.parametrize(("shape", "slots"), [("singles", 1), ("chain", 4)])
def test_one_round_trip_per_job_in_the_steady_state(
    store: Store, url: str, redis_client: redis.Redis, tmp_path: Path, shape: str, slots: int
) -> None:
    """Also where the end of a job releases the next one while other slots are free."""
    nodes = [node(f"n{index}", call("noop")) for index in range(60)]
    edges = {f"n{index}": {f"n{index - 1}": "success"} for index in range(1, 60)} if shape == "chain" else {}
    run = start(store, flow(*nodes, edges=edges, file=f"{MODULES}/flow.yaml"), tmp_path)
    redis_client.config_resetstat()
    with WorkerProcess(url, "--until-run", run, "--slots", str(slots)):
        until(lambda: (record := store.runs.get(run)) is not None and record.ended, message="the run to end")
        stats = redis_client.info("commandstats")
    calls = sum(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in ("fcall", "blpop"))
    # registration, first claims, waiters, sweeps and heartbeats of some seconds come on top
    assert 60 <= calls <= 60 + 25


# -- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_finishes_running_jobs(store: Store, url: str, tmp_path: Path, number: int) -> None:
    plan = flow(
        node("a", script(f"echo $$ > {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.01; done")),
        node("b", script("true")),
    )
    run = start(store, plan, tmp_path)
    with WorkerProcess(url) as worker:
        pid_in(tmp_path / "pid")
        worker.signal(number)
        until(lambda: store.workers.live()[0].state == "stopping", message="the worker to say that it stops")
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert [job.status for job in records(store, run)] == ["finished", "queued"]
    assert store.workers.live() == []


def test_the_second_signal_requeues_the_jobs_without_counting_an_attempt(store: Store, url: str, tmp_path: Path) -> None:
    run = start(store, flow(node("a", script(f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 60 & wait; wait"))), tmp_path)
    with WorkerProcess(url) as worker:
        pid_in(tmp_path / "pid")
        worker.signal(signal.SIGINT)
        until(lambda: store.workers.live()[0].state == "stopping")
        time.sleep(1.5 * SAME_STOP)  # an earlier one would be the same signal, and the first may be handled late
        worker.signal(signal.SIGINT)
        assert worker.wait(5) == 0
    job = records(store, run)[0]
    assert (job.status, job.attempt) == ("queued", 0)


def test_signals_within_a_second_of_the_first_are_the_same(store: Store, url: str, tmp_path: Path) -> None:
    run = start(
        store,
        flow(node("a", script(f"echo $$ > {tmp_path}/pid; while ! test -e {tmp_path}/go; do sleep 0.05; done"))),
        tmp_path,
    )
    with WorkerProcess(url, *LEASE) as worker:
        pid_in(tmp_path / "pid")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            worker.signal(number)
        until(lambda: [item.state for item in store.workers.live()] == ["stopping"], message="the worker to stop")
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert (records(store, run)[0].status, records(store, run)[0].attempt) == ("finished", 1)


def test_three_signals_end_it(store: Store, url: str, tmp_path: Path) -> None:
    start(store, flow(node("a", call("ignore_term", str(tmp_path / "pid"))), file=f"{MODULES}/flow.yaml"), tmp_path)
    with WorkerProcess(url, *LEASE) as worker:
        pid_in(tmp_path / "pid")
        worker.signal(signal.SIGTERM)
        time.sleep(1.5 * SAME_STOP)  # an earlier one would be the same signal, and the first may be handled late
        before = time.monotonic()
        for _ in range(2):
            worker.signal(signal.SIGTERM)
            time.sleep(0.02)  # pending signals of one number merge: keystrokes are signals of their own
        worker.wait(5)
        assert time.monotonic() - before < 1


@pytest.mark.parametrize("pause", [SAME_STOP])
def test_ctrl_c_twice_in_a_terminal(store: Store, url: str, tmp_path: Path, pause: float) -> None:
    run = start(store, flow(node("a", script(f"trap '' INT; echo $$ > {tmp_path}/pid; sleep 60 & wait; wait"))), tmp_path)
    worker = pexpect.spawn(
        sys.executable,
        ["-m", "flowq.worker.main", "--namespace", "flowq-test"],
        env={**os.environ, "FLOWQ_REDIS_URL": url, MARK: "ctrl-c"},
        cwd=str(Path(__file__).parent.parent.parent),
    )
    try:
        script_pid = pid_in(tmp_path / "pid")
        worker.send("\x03")
        worker.expect("running jobs are finished first", timeout=5)
        assert not gone(script_pid, "ctrl-c")  # the terminal signals only the worker, because jobs have their own sessions
        time.sleep(pause)  # the interval between keystrokes is the input of this test
        worker.send("\x03")
        worker.expect(pexpect.EOF, timeout=5)
    finally:
        worker.close(force=True)
    assert worker.exitstatus == 0
    job = records(store, run)[0]
    assert (job.status, job.attempt) == ("queued", 0)
    until(lambda: gone(script_pid, "ctrl-c"))


def test_the_end_of_the_lifeline_is_a_cold_stop(store: Store, url: str, tmp_path: Path) -> None:
    run = start(store, flow(node("a", script(f"echo $$ > {tmp_path}/pid; sleep 60"))), tmp_path)
    reading, writing = os.pipe()
    with WorkerProcess(url, "--lifeline", str(reading), fds=(reading,)) as worker:
        os.close(reading)
        pid_in(tmp_path / "pid")
        os.close(writing)
        assert worker.wait(5) == 0
    job = records(store, run)[0]
    assert (job.status, job.attempt) == ("queued", 0)


def test_burst_max_jobs_and_max_idle(store: Store, url: str, tmp_path: Path) -> None:
    with WorkerProcess(url, "--burst") as worker:
        assert worker.wait() == 0
    run = start(store, flow(*[node(f"n{index}", script("true")) for index in range(5)]), tmp_path)
    with WorkerProcess(url, "--max-jobs", "3", "-c", "2") as worker:
        assert worker.wait() == 0
    assert sorted(job.status for job in records(store, run)) == ["finished"] * 3 + ["queued"] * 2
    with WorkerProcess(url, "--max-idle", "0.2") as worker:
        assert worker.wait() == 0
    assert {job.status for job in records(store, run)} == {"finished"}


def test_a_burst_executes_dependents_too(store: Store, url: str, tmp_path: Path) -> None:
    nodes = [node(f"n{index}", script("true")) for index in range(6)]
    run = start(store, flow(*nodes, edges={f"n{index}": {f"n{index - 1}": "success"} for index in range(1, 6)}), tmp_path)
    with WorkerProcess(url, "--burst", "-c", "2") as worker:
        assert worker.wait() == 0
    assert store.runs.require(run).status is RunStatus.FINISHED


def test_canceling_a_run_kills_its_jobs_soon(store: Store, url: str, tmp_path: Path) -> None:
    run = start(store, flow(node("a", script(f"echo $$ > {tmp_path}/pid; sleep 60")), node("b", script("true"))), tmp_path)
    with WorkerProcess(url) as worker:
        pid = pid_in(tmp_path / "pid")
        before = time.monotonic()
        store.runs.cancel(run)
        assert [(job.status, job.reason) for job in ended(store, run)] == [("canceled", "run_canceled")] * 2
        assert time.monotonic() - before < 2  # notified, not noticed by the next heartbeat
        until(lambda: gone(pid, worker.mark))


# -- dying


def test_another_worker_executes_the_job_of_a_killed_one(store: Store, url: str, tmp_path: Path) -> None:
    job = script(f"echo $$ >> {tmp_path}/pids; [ $FLOWQ_ATTEMPT = 2 ] || sleep 60")
    run = start(store, flow(node("a", job, retry=RetryPolicy(1))), tmp_path)
    with WorkerProcess(url, *LEASE) as first:
        until(lambda: attempts(tmp_path / "pids") == 1)
        first.process.kill()
        first.wait()
        until(lambda: not survivors(first.mark))
        with WorkerProcess(url, *LEASE):
            assert [(job.status, job.attempt) for job in ended(store, run)] == [("finished", 2)]
    assert [result.type for result in store.jobs.results(f"{run}-0")] == ["successful", "failed"]


def test_a_job_that_kills_its_worker_repeatedly_ends_as_abandoned(store: Store, url: str, tmp_path: Path) -> None:
    job = script(f"kill -9 $(cat {tmp_path}/worker); sleep 60")
    run = start(store, flow(node("a", job, retry=RetryPolicy(1))), tmp_path)
    for _ in range(2):
        with WorkerProcess(url, *LEASE) as worker:
            (tmp_path / "worker").write_text(str(worker.process.pid))
            assert worker.wait() == -signal.SIGKILL
    with WorkerProcess(url, *LEASE):
        assert [(job.status, job.reason, job.attempt) for job in ended(store, run)] == [("failed", "abandoned", 2)]
    assert b"AbandonedJobError" in (store.runs.errors(run, [0])[0] or b"")


def test_a_killed_horse_is_a_failed_attempt(store: Store, url: str, tmp_path: Path) -> None:
    plan = flow(node("a", call("block", str(tmp_path / "pid"))), file=f"{MODULES}/flow.yaml")
    run = start(store, plan, tmp_path)
    with WorkerProcess(url):
        os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
        job = ended(store, run)[0]
    assert (job.status, job.reason, job.exit_code) == ("failed", "killed", 137)


def test_a_killed_fork_server_is_replaced(store: Store, url: str, tmp_path: Path) -> None:
    plan = flow(
        node("a", call("daemon_then_kill_parent", str(tmp_path / "daemon"))),
        node("b", call("echo", 1)),
        file=f"{MODULES}/flow.yaml",
    )
    run = start(store, plan, tmp_path)
    with WorkerProcess(url) as worker:
        assert [(job.status, job.reason) for job in ended(store, run)] == [("failed", "killed"), ("finished", None)]
        # the daemon had left horse and session, and became the worker's child when the fork server died
        daemon = pid_in(tmp_path / "daemon")
        until(lambda: gone(daemon, worker.mark))


CLONED = """
import os, pickle, sys
from flowq import ids
from flowq.connections.clients import open_store
from flowq.store.schema.new_jobs import NewJob
from flowq.worker.options import WorkerOptions
from flowq.worker.supervise import supervise

def only_in_main(number):
    return number + 1, SETTING

SETTING = "as the caller has it"
store = open_store(None, "flowq-test", follow=False)
for number in range(3):
    store.jobs.create(NewJob(f"cloned-{number}", "q", pickle.dumps(("__main__.only_in_main", (number,), {})), ids.nonce()))
code, _ = supervise(store, WorkerOptions(queues=("q",), slots=2, burst=True, clone=True))
for number in range(3):
    print(pickle.loads(store.jobs.result(f"cloned-{number}").value))
sys.exit(code)
"""


def test_a_worker_in_a_users_process_forks_that_process(store: Store, url: str) -> None:
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", CLONED],
        cwd=root,
        env={**os.environ, "FLOWQ_REDIS_URL": url},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [str((number + 1, "as the caller has it")) for number in range(3)]


def test_a_worker_without_descriptors_requeues_and_recovers(store: Store, url: str, tmp_path: Path) -> None:
    with WorkerProcess(url) as worker:
        ended(store, start(store, flow(node("a", script("true"))), tmp_path))
        limits = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        run = start(store, flow(node("b", script("true"))), tmp_path)
        until(
            lambda: (job := records(store, run)[0]).execution >= 1 and job.status == "queued",
            message="the job to be handed back",
        )
        assert records(store, run)[0].attempt == 0
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, limits)
        job = ended(store, run)[0]
    assert (job.status, job.attempt) == ("finished", 1)
    assert job.execution <= 10  # it waited between its attempts


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_worker_that_was_stopped_too_long_is_fenced(store: Store, url: str, tmp_path: Path) -> None:
    job = script(f"echo $$ >> {tmp_path}/pids; until [ -e {tmp_path}/go ]; do sleep 0.01; done")
    run = start(store, flow(node("a", job, retry=RetryPolicy(1))), tmp_path)
    with WorkerProcess(url, *LEASE) as first:
        until(lambda: attempts(tmp_path / "pids") == 1)
        first.signal(signal.SIGSTOP)
        with WorkerProcess(url, *LEASE):
            until(lambda: attempts(tmp_path / "pids") == 2, message="the second worker to take over")
            pid = int((tmp_path / "pids").read_text().split()[0])
            until(lambda: gone(pid, first.mark), timeout=3, message="the first horse to be fenced by its fork server")
            first.signal(signal.SIGCONT)
            (tmp_path / "go").touch()
            assert [(job.status, job.attempt, job.execution) for job in ended(store, run)] == [("finished", 2, 2)]
        again = start(store, flow(node("b", script("true"))), tmp_path)  # and the first one continues
        assert ended(store, again)[0].status == "finished"


def test_worker_and_job_survive_a_restart_of_the_server(tmp_path: Path) -> None:
    server = PrivateServer().start(appendonly=True)
    try:
        store = Store(server.client(), namespace="flowq-test").open()
        job = script(f"echo $$ > {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo done > {tmp_path}/done")
        run = start(store, flow(node("a", job), node("b", script("true")), edges={"b": {"a": "success"}}), tmp_path)
        with WorkerProcess(server.url, "--lease", "5"):
            pid_in(tmp_path / "pid")
            server.kill9()
            (tmp_path / "go").touch()
            until((tmp_path / "done").exists, message="the job to end while the server is away")
            server.restart()
            store = Store(server.client(), namespace="flowq-test").open()
            assert [(job.status, job.execution) for job in ended(store, run)] == [("finished", 1), ("finished", 1)]
    finally:
        server.stop()


def test_a_worker_without_a_server_waits_without_spinning(tmp_path: Path) -> None:
    """It has no job and cannot ask whether its run has ended: it must not try that again at once."""
    server = PrivateServer().start()
    try:
        store = Store(server.client(), namespace="flowq-test").open()
        run = start(store, flow(node("a", script("true"), queue="elsewhere")), tmp_path)
        with WorkerProcess(server.url, *LEASE, "--until-run", run) as worker:
            until(lambda: any(it.beat_ms > it.started_ms for it in store.workers.live()), message="a heartbeat")
            server.kill9()
            before = cpu_seconds(worker.process.pid)
            select.select((), (), (), 3.0)  # an outage of so long
            assert cpu_seconds(worker.process.pid) - before < 0.3
    finally:
        server.stop()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_starts_again_with_a_server_that_lost_its_data(
    store: Store, url: str, redis_client: redis.Redis, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start(store, flow(node("a", script(f"echo $$ > {tmp_path}/pid; sleep 60"))), tmp_path)
    with WorkerProcess(url, *LEASE, "--max-jobs", "2") as worker:
        lost = pid_in(tmp_path / "pid")
        redis_client.flushall()
        until(lambda: not Path(f"/proc/{lost}").exists(), message="the job of the lost data to be killed")
        store.open()
        run = start(store, flow(node("b", script("echo done"))), tmp_path)
        (job,) = ended(store, run)
        assert (job.status, job.execution) == ("finished", 1)
        assert worker.wait() == 0, "the job of before counts for --max-jobs"
    error = capfd.readouterr().err
    assert "is gone" in error
    assert "starts again, with the data that the server has now" in error
    assert "Traceback" not in error


def test_a_worker_that_is_stopped_while_the_server_has_no_data_ends_well(
    url: str, redis_client: redis.Redis, store: Store
) -> None:
    with WorkerProcess(url, *LEASE) as worker:
        until(store.workers.live)
        redis_client.flushall()
        store.open()
        until(store.workers.live, message="the worker to register again")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert store.workers.live() == []


def test_a_worker_of_one_run_ends_when_its_data_is_lost(
    store: Store, url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    run = start(store, flow(node("a", script(f"echo $$ > {tmp_path}/pid; sleep 60"))), tmp_path)
    with WorkerProcess(url, *LEASE, "--until-run", run) as worker:
        pid_in(tmp_path / "pid")
        redis_client.flushall()
        assert worker.wait(5) == 1
        until(lambda: not survivors(worker.mark))
    store.open()  # the fixture checks the store again


def test_an_unreachable_server_ends_in_one_sentence_and_code_6(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerProcess(f"unix://{tmp_path}/no.sock") as worker:
        assert worker.wait() == 6
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_another_worker_takes_over_the_sweeps_of_a_killed_one(server: PrivateServer, store: Store) -> None:
    def sweeper() -> str:
        client: Any = store.client
        return str((client.hget(store.session.keys("meta"), "sweeper") or b"").decode().partition(" ")[2])

    with WorkerProcess(server.url, "--name", "first") as first, WorkerProcess(server.url, "--name", "second") as second:
        until(lambda: len(store.workers.live()) == 2 and sweeper(), message="a worker to sweep for both")
        gone, left = (first, "second") if sweeper() == "first" else (second, "first")
        gone.signal(signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: sweeper() == left, message="the other one to sweep")
        assert time.monotonic() - killed < 3, "a turn, and the time until the next look"
