"""Following a run: output for pipes, programs and terminals; Ctrl+C; a restart of the server."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from flowq.flows.actions.submit import submit
from flowq.flows.views.follow import Follower
from flowq.plan import Action, Cell, Edge, Node, Plan, RetryPolicy
from flowq.store import Store
from tests.cli.manual_worker import HandWorker
from tests.cli.process import FLOWQ, Process, Terminal, on_terminal
from tests.support.graphs import Extra
from tests.support.graphs import plan as plan_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until

Start = Callable[..., Process]


def pair_plan(retries: int = 0) -> Plan:
    """Return a plan of two jobs in a row; the first may be retried."""
    action = Action(kind="shell", script="true")
    retry = RetryPolicy(retries) if retries else None
    first = Node(name="first", line=3, action=action, queue="default", timeout=60.0, retry=retry)
    second = Node(name="second", line=7, action=action, queue="default", timeout=60.0)
    return Plan(
        name="pair", nodes=(first, second), cells=(Cell(0, "first", 0), Cell(1, "second", 1, (Edge(0),))), file="/x/pair.yaml"
    )


@pytest.fixture
def settings(server: PrivateServer, namespace: str) -> dict[str, str]:
    """The environment with which a process uses the store of the test."""
    return {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `flowq`; all processes are killed after the test."""
    running: list[Process] = []

    def begin(*arguments: str) -> Process:
        running.append(Process(*arguments, cwd=tmp_path, env=settings))
        return running[-1]

    yield begin
    for process in running:
        process.end()


@pytest.fixture
def run_id(store: Store, tmp_path: Path) -> str:
    """A submitted run of two jobs."""
    return submit(store, pair_plan(), directory=tmp_path)


def test_a_pipe_gets_lines(start: Start, store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    watching = start("status", "--watch", run_id)
    watching.expect(f"run {run_id}  pair  2 jobs")
    claim = worker.claim()
    watching.expect("running   first")
    worker.print(claim, "hello\n")
    watching.expect("first | hello")
    worker.finish(claim)
    claim = worker.claim()
    worker.print(claim, "to standard error\n", "err")
    worker.fail(claim, "exit code 3", exit_code=3)
    assert watching.wait() == 0
    assert "\x1b" not in watching.out
    tail = watching.out[watching.out.index("2 jobs: ") :].splitlines()
    assert tail[0] == "2 jobs: 1 finished, 1 failed"
    assert "second failed: exit code 3  (/x/pair.yaml:7)" in tail
    assert "  │ to standard error" in tail
    assert f"next: flowq logs {run_id} second     # /x/pair.yaml:7" in tail
    worker.close()


def test_exit_status_of_a_watched_run(start: Start, store: Store, run_id: str) -> None:
    watching = start("status", "--watch", "--exit-status")
    watching.expect(run_id)
    store.runs.cancel(run_id)
    assert watching.wait() == 4


def test_json_is_one_event_per_line_and_then_the_run(start: Start, store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    watching = start("status", "--watch", "--json", run_id)
    for _ in range(2):
        claim = worker.claim()
        worker.print(claim, 'not json\n{"nor": "this"}\u2028\n')
        worker.finish(claim, b"7")
    assert watching.wait() == 0
    assert watching.out.isascii()
    *events, document = [json.loads(line) for line in watching.out.splitlines()]
    moves = [(event["name"], event["from"], event["to"]) for event in events if event["job"]]
    assert moves == [
        ("first", "deferred", "queued"),
        ("first", "queued", "started"),
        ("first", "started", "finished"),
        ("second", "deferred", "queued"),
        ("second", "queued", "started"),
        ("second", "started", "finished"),
    ]
    assert document["status"] == "finished"
    assert [job["name"] for job in document["jobs"]] == ["first", "second"]
    worker.close()


def test_a_retried_attempt_is_shown(start: Start, store: Store, tmp_path: Path) -> None:
    run = submit(store, pair_plan(retries=1), directory=tmp_path)
    worker = HandWorker(store, "default")
    watching = start("status", "--watch", run)
    worker.fail(worker.claim(), "exit code 75")
    watching.expect("retrying  first")
    worker.finish(worker.claim())
    worker.finish(worker.claim())
    assert watching.wait() == 0
    assert re.search(r"retrying  first  \S+  exit code 75; attempt 2 of 2", watching.out)
    assert re.search(r"running   first  attempt 2", watching.out)
    worker.close()


def test_the_error_before_a_retry_at_once_is_read(store: Store, tmp_path: Path) -> None:
    """The next attempt has begun before the first look at the run."""
    run = submit(store, pair_plan(retries=1), directory=tmp_path)
    worker = HandWorker(store, "default")
    worker.fail(worker.claim(), "exit code 75")
    worker.claim()
    assert next(Follower(store, run, wait=0).updates()).errors == {0: "exit code 75"}
    worker.close()


def test_an_allowed_failure_is_shown_as_such(start: Start, store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    watching = start("status", "--watch", "--exit-status", run_id)
    watching.expect("2 jobs")
    worker.fail(worker.claim(), "exit code 2", exit_code=2, allowed=True)
    watching.expect("allowed: exit code 2")
    worker.finish(worker.claim())
    assert watching.wait() == 0
    assert "2 jobs: 1 finished, 1 failed, 1 warning" in watching.out
    worker.close()


def test_ctrl_c_detaches_from_a_run_of_other_workers(start: Start, store: Store, run_id: str) -> None:
    following = start("run", "--resume", run_id)
    following.expect(f"run {run_id}")
    assert "warning: no worker listens on queue 'default'" in following.err
    following.signal(signal.SIGINT)
    assert following.wait() == 130
    assert f"detached; run {run_id} goes on" in following.err
    assert not store.runs.require(run_id).ended


def test_many_events_are_read_together(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    """A command that follows a run of 10,000 short jobs must not work as much as their worker."""
    jobs = 200
    node = Node(name="job", line=1, action=Action(kind="shell", script="true"), queue="default", timeout=60.0, matrix=True)
    cells = tuple(Cell(number, f"job[n={number}]", 0, matrix={"n": number}) for number in range(jobs))
    run = submit(store, Plan(name="many", nodes=(node,), cells=cells, file="/x/many.yaml"), directory=tmp_path)

    def work() -> None:
        driver = Driver(Store(server.client(), store.namespace, follow=False).open())
        driver.settle()
        for _ in range(jobs):
            driver.end(driver.take())
        driver.close()

    thread = threading.Thread(target=work)
    begun = time.monotonic()
    thread.start()
    updates = [update for update in Follower(store, run).updates() if update.events]
    took = time.monotonic() - begun
    thread.join()
    assert sum(event.new == "finished" for update in updates for event in update.events) == jobs + 1, "and the run"
    assert len(updates) <= 20 + 20 * took + 1


def test_logs_follow_until_the_end(start: Start, store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    claim = worker.claim()
    worker.print(claim, "before\n")
    following = start("logs", run_id, "-f")
    following.expect("first | before")
    worker.print(claim, "after\n")
    following.expect("first | after")
    worker.finish(claim)
    worker.finish(worker.claim())
    assert following.wait() == 0
    assert following.out == "first | before\nfirst | after\n"
    worker.close()


def test_logs_follow_failed_jobs(start: Start, store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    claim = worker.claim()
    worker.print(claim, "not yet\n")
    following = start("logs", run_id, "-f", "--failed")
    plain = start("logs", run_id, "-f")
    plain.expect("first | not yet")
    worker.fail(claim, "exit code 1")
    following.expect("first | not yet")
    assert following.wait() == plain.wait() == 0
    assert following.out == "first | not yet\n"
    worker.close()


def test_logs_follow_new_cells(start: Start, store: Store, tmp_path: Path) -> None:
    """A foreach is expanded while its output is followed."""
    made = plan_of({"first": [], "each": ["first"]}, extra=Extra(foreach=["each"]))
    run = submit(store, made, directory=tmp_path)
    driver = Driver(store)
    driver.list_of = lambda _job: ["x", "y"]
    first = driver.take()
    following = start("logs", run, "-f")
    one_job = start("logs", run, "each", "-f")
    worker = HandWorker(store, "default")
    worker.print(first, "listed\n")
    following.expect("first | listed")
    driver.end(first, "finished")
    driver.settle()
    for number in range(2):
        claim = worker.claim()
        worker.print(claim, f"cell {number}\n")
        worker.finish(claim)
    assert following.wait() == one_job.wait() == 0
    assert following.out == "first | listed\neach[0] | cell 0\neach[1] | cell 1\n"
    assert one_job.out == "each[0] | cell 0\neach[1] | cell 1\n"
    worker.close()
    driver.close()


def test_a_closed_pipe_ends_logs_quietly(settings: dict[str, str], store: Store, run_id: str, tmp_path: Path) -> None:
    worker = HandWorker(store, "default")
    claim = worker.claim()
    worker.print(claim, "line\n" * 2000)
    command = f"{' '.join(FLOWQ)} logs {run_id} | head -1; echo code ${{PIPESTATUS[0]}}"
    environment = {**os.environ, **settings}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60, check=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith("first | line\n")
    worker.finish(claim)
    worker.finish(worker.claim())
    worker.close()


def test_following_survives_a_restart_of_the_server(tmp_path: Path, namespace: str) -> None:
    private = PrivateServer().start(appendonly=True)
    try:
        store = Store(private.client(), namespace).open()
        run = submit(store, pair_plan(), directory=tmp_path)
        watching = Process(
            "status", "--watch", run, cwd=tmp_path, env={"FLOWQ_REDIS_URL": private.url, "FLOWQ_NAMESPACE": namespace}
        )
        watching.expect("2 jobs")
        until(lambda: private.client().config_get("appendonly")["appendonly"] == "yes")
        private.kill9()
        watching.expect("waiting for it")
        private.restart()
        store = Store(private.client(), namespace).open()
        worker = HandWorker(store, "default")
        worker.finish(worker.claim())
        worker.finish(worker.claim())
        assert watching.wait() == 0
        assert "2 jobs: 2 finished" in watching.out
        worker.close()
        watching.end()
    finally:
        private.stop()


# -- on a terminal ------------------------------------------------------------------------------------------------------------

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.fixture
def terminal(settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts `flowq` on a pseudo-terminal."""
    running: list[Terminal] = []

    def begin(*arguments: str, size: tuple[int, int] = (24, 80), **env: str) -> Terminal:
        running.append(on_terminal(*arguments, cwd=tmp_path, env={**settings, **env}, size=size))
        return running[-1]

    yield begin
    for child in running:
        child.close()


def test_a_terminal_shows_a_live_table_and_is_restored(terminal: Callable[..., Terminal], store: Store, run_id: str) -> None:
    worker = HandWorker(store, "default")
    child = terminal("status", "--watch", run_id)
    child.expect_exact(HIDE_CURSOR)
    claim = worker.claim()
    child.expect("first  .*running")
    child.expect("0/2")
    worker.finish(claim)
    child.expect("1/2")
    worker.finish(worker.claim())
    child.expect_exact(SHOW_CURSOR)
    child.expect("2 jobs: .*2 finished")
    child.expect(pexpect.EOF)
    assert child.wait() == 0
    worker.close()


def test_ctrl_c_restores_the_terminal(terminal: Callable[..., Terminal], run_id: str) -> None:
    child = terminal("status", "--watch", run_id)
    child.expect_exact(HIDE_CURSOR)
    child.expect("0/2")
    child.sendintr()
    child.expect_exact(SHOW_CURSOR)
    child.expect("goes on")
    child.expect(pexpect.EOF)
    assert child.wait() == 130


@pytest.mark.parametrize("size", [(24, 20), (5, 80), (2, 10)])
def test_small_terminals(terminal: Callable[..., Terminal], store: Store, run_id: str, size: tuple[int, int]) -> None:
    child = terminal("status", "--watch", run_id, size=size)
    child.expect_exact(HIDE_CURSOR)
    store.runs.cancel(run_id)
    child.expect_exact(SHOW_CURSOR)
    child.expect(pexpect.EOF)
    assert child.wait() == 0


def test_no_color_and_ci_on_a_terminal(terminal: Callable[..., Terminal], store: Store, run_id: str) -> None:
    store.runs.cancel(run_id)
    plain = terminal("status", run_id, NO_COLOR="1")
    plain.expect(pexpect.EOF)
    assert "\x1b[" not in (plain.before or "")
    colored = terminal("status", run_id)
    colored.expect(pexpect.EOF)
    assert "\x1b[33m" in (colored.before or "")
    in_ci = terminal("status", "--watch", run_id, CI="true")
    in_ci.expect(pexpect.EOF)
    assert "\x1b" not in (in_ci.before or "")
