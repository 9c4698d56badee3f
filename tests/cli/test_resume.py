"""`flowq run --resume` of runs whose command and worker were killed: the record of a dead worker is ignored."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.connections.clients import open_store
from flowq.embedded.control import stop_server
from flowq.store import Store
from flowq.store.schema.records import WorkerRecord
from tests.cli.process import FLOWQ, Process, flowq
from tests.support import namespaces
from tests.support.leases import lapse
from tests.support.wait import until

pytestmark = pytest.mark.slow

RUN = "resumed0"
FLOW = "jobs: {work: {run: 'echo begun; until [ -e go ]; do sleep 0.05; done; echo done', retry: 2}}\n"


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Path:
    (tmp_path / "flow.yaml").write_text(FLOW)
    return tmp_path


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


def begun(store: Store) -> WorkerRecord:
    """Wait until the job runs, and return the worker of the run."""
    until(lambda: (run := store.runs.get(RUN)) is not None and run.counts.get("started"), 30, "the job to start")  # type: ignore[call-overload]
    (worker,) = store.workers.live()
    return worker


def shown(project: Path, *arguments: str) -> str:
    return flowq(*arguments, cwd=project).stdout


def test_a_run_whose_command_and_worker_were_killed_is_taken_over_at_once(project: Path, store: Store) -> None:
    command = Process("run", "flow.yaml", "--run-id", RUN, cwd=project)
    worker = begun(store)
    os.kill(worker.pid, signal.SIGKILL)
    command.signal(signal.SIGKILL)
    command.wait()
    command.end()
    until(lambda: not store.workers.live(), 5, "the worker to be known as dead")
    assert json.loads(shown(project, "info", "--json"))["workers"] == []
    assert f"flowq run --resume {RUN}" in shown(project, "status")
    assert f"flowq run --resume {RUN}" in shown(project, "why", RUN, "work")
    assert f"run {RUN} has no worker" in shown(project, "doctor")
    resumed = Process("run", "--resume", RUN, cwd=project)
    try:
        until(store.workers.live, 20, "another worker")
        lapse(store)
        assert "has its worker already" not in resumed.err
        (project / "go").touch()
        assert resumed.wait(40) == 0, resumed.err
    finally:
        resumed.end()


def killed(project: Path, store: Store, *arguments: str) -> None:
    """Start a run, and kill its command and its worker while a job runs."""
    command = Process("run", *arguments, "--run-id", RUN, cwd=project)
    end(command, begun(store), store)


def end(command: Process, worker: WorkerRecord, store: Store) -> None:
    """Kill a command and its worker."""
    os.kill(worker.pid, signal.SIGKILL)
    command.signal(signal.SIGKILL)
    command.wait()
    command.end()
    until(lambda: not store.workers.live(), 5, "the worker to be known as dead")


def complaint(project: Path, *arguments: str) -> str:
    done = flowq(*arguments, cwd=project)
    assert done.returncode == 2, done
    return done.stderr


def test_an_orphaned_run_is_shown_as_such(project: Path, store: Store) -> None:
    killed(project, store, "flow.yaml")
    assert shown(project, "runs").splitlines()[1].split()[2] == "orphaned"
    assert RUN in shown(project, "runs", "--status", "orphaned")
    assert shown(project, "list").splitlines()[1].split()[:2] == ["flow.yaml", "orphaned"]
    assert RUN in shown(project, "runs", "--status", "running"), "its stored status"
    assert f"{RUN}  flow  orphaned" in " ".join(shown(project, "info").split()).replace(
        f"{RUN} flow orphaned", f"{RUN}  flow  orphaned"
    )
    head, *_, advice = shown(project, "status").splitlines()
    assert head.startswith(f"run {RUN}  flow  orphaned")
    assert f"flowq run --resume {RUN}" in advice
    for document in (
        json.loads(shown(project, "status", "--json")),
        json.loads(shown(project, "runs", "--json"))[0],
        json.loads(shown(project, "list", "--json"))[0]["last_run"],
        json.loads(shown(project, "info", "--json"))["runs"][0],
    ):
        assert (document["status"], document["orphaned"]) == ("running", True)
    for command in (["retry", "--failed"], ["retry", RUN, "--failed"], ["retry", "--job", "work"], ["delete", RUN]):
        assert f"flowq run --resume {RUN}" in complaint(project, *command), command
    for command in (["status", "--watch"], ["logs", "-f"]):
        follower = Process(*command, cwd=project)
        follower.expect(f"run {RUN} has no worker now: `flowq run --resume {RUN}` continues it")
        follower.end()
    (project / "go").touch()
    lapse(store)
    resumed = Process("resume", RUN, cwd=project)
    try:
        assert resumed.wait(40) == 0, resumed.err
    finally:
        resumed.end()
    assert shown(project, "runs").splitlines()[1].split()[2] == "finished"
    assert shown(project, "runs", "--status", "orphaned") == ""


def test_a_run_that_waits_for_a_person_is_not_orphaned_until_it_is_approved(project: Path, store: Store) -> None:
    (project / "ask.yaml").write_text("jobs: {ask: {approval: 'Go on?'}, work: {depends_on: ask, run: 'true'}}\n")
    command = Process("run", "ask.yaml", "--run-id", RUN, cwd=project)
    command.expect("next: flowq approve")
    (worker,) = store.workers.live()
    end(command, worker, store)
    assert shown(project, "runs").splitlines()[1].split()[2] == "running"
    assert json.loads(shown(project, "status", "--json"))["orphaned"] is False
    assert "D505" not in shown(project, "doctor")
    done = flowq("approve", RUN, "ask", cwd=project)
    assert done.returncode == 0
    until(lambda: shown(project, "runs").splitlines()[1].split()[2] == "orphaned", 10, "the time in which a worker may begin")
    assert f"flowq run --resume {RUN}" in shown(project, "status")
    assert "finished" in shown(project, "run", "--resume", RUN)


def test_a_worker_in_a_container_counts_as_alive_until_its_lease_expires(project: Path, store: Store) -> None:
    """Its processes are in a container, so only missing heartbeats show that they have ended."""
    if why := namespaces.why_not():
        pytest.skip(why)
    command = subprocess.Popen([*namespaces.UNSHARE, *FLOWQ, "run", "flow.yaml", "--run-id", RUN], cwd=project)
    worker = begun(store)
    followed = Process("run", "--resume", RUN, cwd=project)
    try:
        followed.expect("has its worker already: following it")
        assert shown(project, "run", "--resume", RUN, "--detach").strip() == RUN
        assert [item.name for item in store.workers.live()] == [worker.name]
        command.kill()
        command.wait()
        beat = store.session.keys("worker", worker.name)
        store.client.hincrby(beat, "beat", -19_000)  # as if it had sent no heartbeat for that long
        followed.expect("this command takes over", 30)
        lapse(store)
        (project / "go").touch()
        assert followed.wait(40) == 0, followed.err
    finally:
        command.kill()
        command.wait()
        followed.end()


def test_a_detached_resume_waits_for_a_heartbeat_of_a_worker_in_a_container(project: Path, store: Store) -> None:
    shown(project, "run", "flow.yaml", "--run-id", RUN, "--detach")
    worker = begun(store)
    os.kill(worker.pid, signal.SIGKILL)
    record = store.session.keys("worker", worker.name)
    store.client.hset(record, "process", "")
    store.client.hincrby(record, "beat", -19_000)
    (project / "go").touch()
    lapse(store)
    assert shown(project, "run", "--resume", RUN, "--detach").strip() == RUN
    until(lambda: store.runs.require(RUN).ended, 40, "the run to end")
    assert store.runs.require(RUN).status == "finished"


WAITS = """
concurrency: {group: one}
jobs: {work: {run: 'echo $FLOWQ_ATTEMPT >> begun; [ -e go ] || sleep 60'}}
"""


def test_a_detached_worker_ends_when_the_directory_of_its_server_is_deleted(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = home / "deleted"
    monkeypatch.setenv("FLOWQ_HOME", str(inner))
    shown(project, "run", "flow.yaml", "--run-id", RUN, "--detach")
    store = open_store()
    worker = begun(store)
    store.close()
    stop_server(str(inner), force=True)
    shutil.rmtree(inner)
    until(lambda: not Path(f"/proc/{worker.pid}/exe").exists(), 20, "the worker to end")


def test_a_worker_of_a_waiting_run_does_not_end_the_run_it_waits_for(project: Path, store: Store) -> None:
    """Its job has no retry, so that it would fail, and the run with it: only a worker of its own may find that out."""
    (project / "flow.yaml").write_text(WAITS)
    shown(project, "run", "flow.yaml", "--run-id", RUN, "--detach")
    os.kill(begun(store).pid, signal.SIGKILL)
    shown(project, "run", "flow.yaml", "--run-id", "waiting0", "--detach")
    keys = store.session.keys
    until(store.workers.live, 20, "the worker of the waiting run")
    lapse(store)
    until(lambda: float(store.client.zscore(keys("leases"), f"{RUN}-0") or 0) > 1, 20, "a sweep to see the lost job")
    assert not store.runs.require(RUN).ended
    assert f"run {RUN} has no worker" in shown(project, "doctor")
    (project / "go").touch()
    resumed = Process("run", "--resume", RUN, cwd=project)
    try:
        resumed.wait(40)
    finally:
        resumed.end()
    assert "there is nothing to resume" not in resumed.err
    assert store.runs.require(RUN).ended
    until(lambda: store.runs.require("waiting0").ended, 40, "the waiting run to have its turn")
    assert store.runs.require("waiting0").status == "finished"


CLEANING = """
jobs: {work: {run: sleep 60}}
on_cancel: {tidy: {run: 'echo tidying; until [ -e go ]; do sleep 0.05; done; touch tidy'}}
"""


def cleaning(project: Path, store: Store) -> None:
    """Start a run, cancel it, and wait until its handler runs."""
    (project / "flow.yaml").write_text(CLEANING)
    shown(project, "run", "flow.yaml", "--run-id", RUN, "--detach")
    begun(store)
    assert shown(project, "cancel", RUN).startswith(f"canceling run {RUN}")
    until(lambda: "tidying" in shown(project, "logs", RUN), 30, "the handler to run")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_cancel_ends_a_run_whose_worker_is_dead(project: Path, store: Store, restarted: bool) -> None:
    """Also when the server was away meanwhile, as after a reboot: that time does not count for leases."""
    command = Process("run", "flow.yaml", "--run-id", RUN, cwd=project)
    worker = begun(store)
    end(command, worker, store)
    if restarted:  # an hour ago
        store.client.hincrby(store.session.keys("worker", worker.name), "beat", -3_600_000)
        store.client.hincrby(store.session.keys("meta"), "served", -3_600_000)
    done = Process("cancel", RUN, cwd=project)
    if not restarted:
        done.expect("waiting up to 12s until its jobs count as lost")
        lapse(store)
    assert done.wait() == 0
    done.end()
    assert ("waiting up to" in done.err) is not restarted
    assert store.runs.require(RUN).status == "canceled"
    assert flowq("delete", RUN, cwd=project).returncode == 0


def test_a_second_cancel_leaves_the_clean_up_alone_and_says_so(project: Path, store: Store) -> None:
    cleaning(project, store)
    again = flowq("cancel", RUN, cwd=project)
    assert again.returncode == 0
    assert again.stderr == (
        f"run {RUN} is canceled already, and its clean-up is running (on_cancel/tidy): `flowq cancel {RUN} --force` kills that too\n"
    )
    (project / "go").touch()
    until(lambda: store.runs.require(RUN).ended, 30, "the run to end")
    assert (project / "tidy").exists()


def test_a_canceled_run_that_lost_its_worker_is_shown_as_both(project: Path, store: Store) -> None:
    """Text and JSON say the same; another worker of the run ends the clean-up."""
    cleaning(project, store)
    (worker,) = store.workers.live()
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not store.workers.live(), 5, "the worker to be known as dead")
    assert "  canceling, orphaned  " in shown(project, "status", RUN).splitlines()[0]
    for command in (("status", RUN), ("runs",)):
        document = json.loads(shown(project, *command, "--json"))
        found = document if isinstance(document, dict) else document[0]
        assert (found["status"], found["canceling"], found["orphaned"]) == ("running", True, True)
    (project / "go").touch()
    lapse(store)
    resumed = Process("run", "--resume", RUN, cwd=project)
    try:
        resumed.wait(40)
    finally:
        resumed.end()
    assert store.runs.require(RUN).status == "canceled"
    assert "  canceled  " in shown(project, "status", RUN).splitlines()[0]


def test_a_forced_cancel_kills_the_clean_up(project: Path, store: Store) -> None:
    cleaning(project, store)
    shown(project, "cancel", RUN, "--force")
    until(lambda: store.runs.require(RUN).ended, 30, "the run to end")
    assert store.runs.require(RUN).status == "canceled"
    assert not (project / "tidy").exists()
