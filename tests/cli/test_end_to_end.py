"""Real flows through the command line: embedded server, forked jobs, signals, several terminals."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowq.connections.clients import open_store
from tests.cli.process import FLOWQ, Process, on_terminal
from tests.support.leases import lapse
from tests.support.server import PrivateServer
from tests.support.wait import until

GOOD = """
name: good
params:
  who: {type: string, default: world}
jobs:
  hello:
    run: |
      echo "hello ${{ params.who }}"
      echo "text=hi ${{ params.who }}" >> "$FLOWQ_OUTPUT"
  copy:
    matrix: {n: [1, 2, 3]}
    depends_on: [hello]
    run: echo "n=${{ matrix.n }}" >> "$FLOWQ_OUTPUT"
  end:
    depends_on: [copy]
    run: echo "${{ jobs.hello.result.text }}"
"""

FAILS_ONCE = """
name: fails-once
jobs:
  before:
    run: echo run >> before.txt
  middle:
    depends_on: [before]
    run: |
      echo "looking for mended.txt"
      test -e mended.txt || exit 3
  after:
    depends_on: [middle]
    run: echo done
"""

SLOW = """
name: slow
jobs:
  sleeper:
    run: |
      echo $$ > sleeper.pid
      trap 'echo asked to stop >> asked.txt' TERM
      while [ ! -e go ]; do sleep 0.05; done
  after:
    depends_on: [sleeper]
    run: echo done
"""

Start = Callable[..., Process]


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A directory with the flow files above."""
    for name, text in (("good", GOOD), ("fails", FAILS_ONCE), ("slow", SLOW)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def start(home: Path, flows: Path) -> Iterator[Start]:
    """Return a function that starts `flowq` on the embedded server; all processes are killed after the test."""
    running: list[Process] = []

    def begin(*arguments: str, **env: str) -> Process:
        running.append(Process(*arguments, cwd=flows, env={"FLOWQ_HOME": str(home), **env}))
        return running[-1]

    yield begin
    for process in running:
        process.end()


def call(start: Start, *arguments: str, **env: str) -> Process:
    """Run a command to its end."""
    process = start(*arguments, **env)
    process.wait()
    return process


def status(start: Start, *arguments: str) -> dict[str, Any]:
    """Return the document of `status --json`."""
    document: dict[str, Any] = json.loads(call(start, "status", "--json", *arguments).out)
    return document


def test_a_flow_runs_and_can_be_read_afterwards(start: Start) -> None:
    done = call(start, "run", "good.yaml", "-p", "who=you")
    assert done.code == 0, done.err
    assert done.err == ""
    assert "hello | hello you" in done.out
    assert "5 jobs: 5 finished" in done.out
    run = done.out.split()[1]
    document = status(start)  # from another process, without an id
    assert document["id"] == run
    assert document["counts"] == {"finished": 5}
    assert status(start, run[:4])["id"] == run
    assert json.loads(call(start, "result", run, "hello").out) == {"text": "hi you"}
    assert json.loads(call(start, "result", "@latest", "copy").out) == [{"n": "1"}, {"n": "2"}, {"n": "3"}]
    assert call(start, "logs", run, "end").out == "hi you\n"


def test_a_failed_run_shows_its_failure_and_can_be_retried(start: Start, flows: Path) -> None:
    done = call(start, "run", "fails.yaml")
    assert done.code == 1
    run = done.out.split()[1]
    tail = done.out[done.out.index("middle failed:") :]
    assert "middle failed: exit code 3  (fails.yaml:6)" in tail
    assert "│ looking for mended.txt" in tail
    assert f"flowq logs {run} middle" in tail
    assert f"flowq retry {run} --failed" in tail
    (flows / "mended.txt").touch()
    again = call(start, "retry", "--failed")
    assert again.code == 0, again.err
    assert f"attempt 2 of run {run} runs again 2 jobs:" in again.out
    assert "running   before" not in again.out
    assert (flows / "before.txt").read_text() == "run\n"  # finished jobs were not run again
    document = status(start)
    assert (document["status"], document["attempt"]) == ("finished", 2)
    assert call(start, "retry", run, "--failed").code == 2  # nothing is left to retry


def test_the_json_of_a_run_ends_with_the_run(start: Start) -> None:
    done = call(start, "run", "good.yaml", "--json")
    assert done.code == 0
    *events, document = [json.loads(line) for line in done.out.splitlines()]
    assert document["status"] == "finished"
    assert {event["v"] for event in events} == {1}
    assert sum(event["to"] == "finished" and event["name"] is not None for event in events) >= 5


def test_an_invalid_flow_starts_nothing(start: Start, flows: Path, home: Path) -> None:
    (flows / "bad.yaml").write_text("jobs:\n  a: {run: echo, depends_on: [b]}\n  c: {rum: echo}\n")
    done = call(start, "run", "bad.yaml")
    assert done.code == 3
    assert done.out == ""
    assert done.err.count("error[") >= 2
    assert done.err.splitlines()[-1].startswith("error: bad.yaml cannot run: ")
    assert call(start, "run", "no-such-file.yaml").code == 3
    checked = call(start, "validate", "bad.yaml", "good.yaml")
    assert checked.code == 3
    assert "good.yaml: valid, 5 jobs" in checked.out
    listed = json.loads(call(start, "validate", "bad.yaml", "--json").out)
    assert set(listed[0]) == {"file", "line", "column", "code", "severity", "message", "help"}
    assert not any(home.iterdir())  # no server was started


def test_a_dry_run_submits_nothing(start: Start, home: Path) -> None:
    done = call(start, "run", "good.yaml", "--dry-run")
    assert done.code == 0
    assert "copy[n=2]  default  after hello" in done.out
    document = json.loads(call(start, "run", "good.yaml", "--dry-run", "--json").out)
    assert document["params"] == {"who": "world"}
    assert document["jobs"][-1]["depends_on"] == ["copy"]
    assert not any(home.iterdir())


PARTS = """
name: parts
jobs:
  fetch: {run: echo fetched}
  test: {depends_on: [fetch], run: "echo tested; test ! -e broken"}
  ship: {depends_on: [test], run: echo shipped}
  slow: {run: sleep 60}
"""


@pytest.mark.slow
def test_a_part_of_a_flow(start: Start, flows: Path) -> None:
    (flows / "parts.yaml").write_text(PARTS, encoding="utf-8")
    done = call(start, "run", "parts.yaml", "--job", "test")
    assert done.code == 0, done.err
    assert "parts  1 of 4 jobs\n" in done.out
    assert "test | tested" in done.out
    assert "fetched" not in done.out
    assert "not selected" not in done.out
    assert done.out.endswith("1 of 4 jobs: 1 finished\n")
    document = status(start)
    assert document["selection"] == {"jobs": ["test"], "stages": [], "until": [], "without": []}
    assert {job["name"]: job["reason"] for job in document["jobs"]} == {
        "fetch": "not_selected",
        "test": None,
        "ship": "not_selected",
        "slow": "not_selected",
    }
    assert "only test; the rest of the flow was not selected" in call(start, "status").out
    assert call(start, "why", "@latest", "ship").out.startswith("↷ ship skipped: it was not selected")
    # The same part again, then another one; a retry stays inside the part.
    assert call(start, "run", "--again", "@latest").out.endswith("1 of 4 jobs: 1 finished\n")
    (flows / "broken").touch()
    assert call(start, "run", "--again", "@latest", "--until", "ship").code == 1
    (flows / "broken").unlink()
    assert call(start, "retry", "--failed").out.endswith("3 of 4 jobs: 3 finished\n")
    refused = call(start, "retry", "@latest", "--job", "slow")
    assert (refused.code, "was not selected" in refused.err) == (2, True)
    # All but some jobs, and that again.
    for arguments in (("parts.yaml", "--without", "slow", "--without", "test"), ("--again", "@latest")):
        assert call(start, "run", *arguments).out.endswith("2 of 4 jobs: 2 finished\n")
        assert "without slow, test, not selected" in call(start, "status").out


@pytest.mark.slow
def test_the_timeout_of_a_run(start: Start, flows: Path) -> None:
    (flows / "parts.yaml").write_text(PARTS, encoding="utf-8")
    done = call(start, "run", "parts.yaml", "--job", "slow", "--timeout", "0.3s")
    assert done.code == 5
    assert "slow failed: the run's time was over" in done.out
    assert call(start, "run", "parts.yaml", "--timeout", "soon").code == 2


def test_a_detached_run_continues_without_its_command(start: Start, flows: Path) -> None:
    done = call(start, "run", "slow.yaml", "--detach")
    assert done.code == 0
    run = done.out.strip()
    assert len(run) == 8
    until((flows / "sleeper.pid").exists)
    watching = start("status", "--watch", "--exit-status", run)
    watching.expect("2 jobs")
    (flows / "go").touch()
    assert watching.wait() == 0
    assert call(start, "logs", run, "after").out == "done\n"


def alive(flows: Path) -> bool:
    """Return whether the process of the job `sleeper` is alive."""
    try:
        os.kill(int((flows / "sleeper.pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_cancels_a_local_run(start: Start, flows: Path) -> None:
    following = start("run", "slow.yaml")
    until(lambda: (flows / "sleeper.pid").exists() and (flows / "sleeper.pid").read_text().endswith("\n"))
    following.signal(signal.SIGINT)
    following.expect(": sleeper has up to 10s to stop; Ctrl+C again kills it")
    assert following.wait() == 130
    assert not alive(flows)
    assert status(start)["status"] == "canceled"
    assert "canceled" in following.out


def test_ctrl_c_twice_kills_a_local_run_that_does_not_react(start: Start, flows: Path) -> None:
    following = start("run", "slow.yaml")
    until(lambda: (flows / "sleeper.pid").exists() and (flows / "sleeper.pid").read_text().endswith("\n"))
    (worker,) = children_of(following.pid)
    os.kill(worker, signal.SIGSTOP)  # so the cancel is not carried out
    following.signal(signal.SIGINT)
    following.expect("Ctrl+C again kills it")
    following.signal(signal.SIGINT)
    assert following.wait() == 130
    assert "killed run" in following.err
    assert "flowq run --resume" in following.err  # the worker has not reported the end of the job yet
    until(lambda: not alive(flows))


def test_ctrl_c_says_what_it_waits_for(start: Start, flows: Path) -> None:
    """The jobs ignore SIGTERM, so nothing else would be shown for a minute."""
    deaf = "trap '' TERM; touch $FLOWQ_JOB_NAME; while :; do sleep 0.05; done"
    jobs = "".join(f"  j{number}: {{run: {json.dumps(deaf)}, stop_grace: {number}m}}\n" for number in (1, 2, 3, 4))
    (flows / "deaf.yaml").write_text(f"jobs:\n{jobs}", encoding="utf-8")
    following = start("run", "deaf.yaml", "--workers", "4")
    until(lambda: all((flows / f"j{number}").exists() for number in (1, 2, 3, 4)), timeout=20)
    following.signal(signal.SIGINT)
    following.expect(": j1, j2, j3 and 1 more have up to 4m to stop; Ctrl+C again kills them")
    following.signal(signal.SIGINT)
    assert following.wait() == 130


@pytest.mark.parametrize("handled", ["job", "handler"])
def test_a_run_killed_by_ctrl_c_has_ended_also_with_handlers(start: Start, flows: Path, handled: str) -> None:
    """The second Ctrl+C comes while the job ends, or while the handler runs that the first one started."""
    job = "trap '' TERM INT; touch job; while :; do sleep 0.05; done" if handled == "job" else "touch job; sleep 60"
    text = f"jobs:\n  a: {{run: {json.dumps(job)}}}\non_cancel:\n  tidy: {{run: 'touch handler; sleep 60'}}\n"
    (flows / "handled.yaml").write_text(text, encoding="utf-8")
    following = start("run", "handled.yaml")
    until((flows / "job").exists, timeout=20)
    following.signal(signal.SIGINT)
    following.expect("Ctrl+C again kills it")
    if handled == "handler":
        until((flows / "handler").exists, timeout=20)
    following.signal(signal.SIGINT)
    assert following.wait() == 130
    assert "retry" in following.err
    assert status(start)["status"] == "canceled"
    assert call(start, "retry", "--failed", "--dry-run").code == 0


@pytest.mark.slow
def test_a_killed_worker_is_replaced(start: Start, flows: Path) -> None:
    following = start("run", "slow.yaml", "--workers", "1")
    until(lambda: (flows / "sleeper.pid").exists() and (flows / "sleeper.pid").read_text().endswith("\n"))
    first = (flows / "sleeper.pid").read_text()
    (worker,) = children_of(following.pid)
    os.kill(worker, signal.SIGKILL)
    following.expect("the worker of this run was lost; another one takes over")
    with closing(open_store()) as store:
        lapse(store)
    # The lost attempt is noticed by its lease, and counts: without retries the job has failed, with a reason.
    assert following.wait(timeout=40) == 1
    assert "sleeper failed" in following.out
    job = status(start)["jobs"][0]
    assert (job["status"], job["reason"]) == ("failed", "abandoned")
    assert (flows / "sleeper.pid").read_text() == first


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process."""
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(item) for item in done.stdout.split()]


def test_a_run_canceled_by_another_command(start: Start, flows: Path) -> None:
    following = start("run", "slow.yaml")
    until((flows / "sleeper.pid").exists)
    assert call(start, "cancel").code == 0
    assert following.wait() == 4
    assert "flowq retry" in following.out


def test_the_run_of_a_killed_command_is_resumed(start: Start, flows: Path) -> None:
    following = start("run", "slow.yaml")
    until(lambda: (flows / "sleeper.pid").exists() and (flows / "sleeper.pid").read_text().endswith("\n"))
    first = (flows / "sleeper.pid").read_text()
    following.signal(signal.SIGKILL)
    following.wait()
    until(lambda: not alive(flows))
    until(lambda: "next: flowq run --resume" in call(start, "status").out)
    (flows / "go").touch()
    resumed = call(start, "run", "--resume", "@latest")
    assert resumed.code == 0, resumed.err
    assert (flows / "sleeper.pid").read_text() != first
    assert "2 jobs: 2 finished" in resumed.out
    refused = call(start, "run", "--resume", "@latest")
    assert refused.code == 2
    assert "there is nothing to resume" in refused.err


def test_a_run_that_waits_for_an_orphaned_run_says_so(start: Start, flows: Path) -> None:
    for name in ("slow", "good"):
        (flows / f"{name}.yaml").write_text("concurrency: {group: nightly}\n" + (flows / f"{name}.yaml").read_text())
    first = start("run", "slow.yaml")
    until((flows / "sleeper.pid").exists)
    waiting = start("run", "good.yaml")
    run = first.out.split()[1]
    waiting.expect(f"waits for its turn in the concurrency group nightly, which run {run} has")
    assert "has no worker now" not in waiting.out
    first.signal(signal.SIGKILL)
    first.wait()
    waiting.expect(f"run {run} has no worker now: `flowq run --resume {run}` continues it, `flowq cancel {run}` ends it", 60)
    assert f"`flowq cancel {run}` ends it" in " ".join(call(start, "doctor").out.split())
    detached = call(start, "run", "good.yaml", "--detach")
    third = detached.out.strip()
    assert f"run {third} waits for its turn in the concurrency group nightly, which run {run} has" in detached.err
    assert f"run {run} has no worker now" in detached.err
    assert call(start, "cancel", third).code == 0
    assert call(start, "cancel", run).code == 0
    assert waiting.wait() == 0
    assert "5 jobs: 5 finished" in waiting.out


@pytest.mark.usefixtures("home")
def test_a_closed_pipe_does_not_end_the_run(start: Start, flows: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [*FLOWQ, "run", "good.yaml"],
            cwd=flows,
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ},
        )
    assert done.stderr == b""
    assert done.returncode == 0
    assert status(start)["status"] == "finished"


def test_a_separate_worker_executes_the_run(start: Start) -> None:
    private = PrivateServer().start()
    try:
        following = start("-u", private.url, "run", "good.yaml")
        following.expect("start one with: flowq worker default")
        working = start("-u", private.url, "worker", "default", "--burst", "-c", "2")
        assert following.wait() == 0
        assert working.wait() == 0
    finally:
        private.stop()


def test_the_embedded_server_is_started_inspected_and_stopped(start: Start, home: Path) -> None:
    assert f"not running; its data is in {home}" in call(start, "server", "status").out
    started = call(start, "server", "start")
    assert started.code == 0
    assert "until it is stopped" in started.out
    document = json.loads(call(start, "server", "status", "--json").out)
    assert document["running"]
    assert document["pinned"]
    assert call(start, "server", "stop").out == "stopped\n"
    assert call(start, "server", "stop").err == "the embedded server was not running\n"


def test_a_run_on_a_terminal_is_live_and_ctrl_c_restores_the_terminal(home: Path, flows: Path, start: Start) -> None:
    child = on_terminal("run", "slow.yaml", cwd=flows, env={"FLOWQ_HOME": str(home)})
    child.expect_exact("\x1b[?25l")
    child.expect("sleeper  .*running")
    until((flows / "sleeper.pid").exists)
    child.sendintr()
    child.expect("Ctrl\\+C again kills it")
    child.expect_exact("\x1b[?25h")
    child.expect("canceled")
    assert child.wait() == 130
    child.close()
    assert status(start)["status"] == "canceled"
