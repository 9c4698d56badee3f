"""Sentences about how jobs ended: signals, exit codes, canceled jobs, handlers for another outcome."""

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from flowq.flows.explain.failures import failure, progress
from flowq.states import JobStatus, Reason
from flowq.worker.horse.exit_text import exit_text, killed_text
from tests.cli import samples
from tests.cli.process import Process
from tests.support.wait import until

ENDS = """
name: ends
jobs:
  segv: {run: "kill -SEGV $$"}
  kill: {run: "kill -KILL $$"}
  below: {run: "bash -c 'kill -SEGV $$'; true"}
  pipe: {run: "yes | head -n 1"}
  missing: {run: "flowq-no-such-command --x"}
  plain: {run: "exit 3"}
"""


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "exit code 1"),
        (126, "exit code 126 (usually: a command is not executable)"),
        (127, "exit code 127 (usually: a command was not found)"),
        (128, "exit code 128"),
        (129, "exit code 129"),  # git, and others, use it for wrong options
        (128 + signal.SIGKILL, "exit code 137 (usually SIGKILL: a command was killed, often because memory ran out)"),
        (128 + signal.SIGSEGV, "exit code 139 (usually SIGSEGV: a command crashed: invalid memory access)"),
        (255, "exit code 255"),
    ],
)
def test_exit_codes_in_words(code: int, text: str) -> None:
    assert exit_text(code) == text


def test_signals_in_words() -> None:
    assert killed_text(signal.SIGSEGV) == "killed by SIGSEGV (crashed: invalid memory access)"
    assert killed_text(signal.SIGKILL) == "killed by SIGKILL"
    assert killed_text(signal.SIGUSR1) == "killed by SIGUSR1"
    assert killed_text(60) == "killed by signal 60"


@pytest.mark.slow
def test_the_command_tells_signals_and_exit_codes(tmp_path: Path, home: Path) -> None:
    (tmp_path / "ends.yaml").write_text(ENDS)
    env = {"FLOWQ_HOME": str(home)}
    run = Process("run", "ends.yaml", cwd=tmp_path, env=env)
    assert run.wait() == 1
    told = dict(re.findall(r"failed    (\w+)  \S+  (.+)", run.out))
    assert told["segv"] == "killed by SIGSEGV (crashed: invalid memory access)"
    assert told["kill"] == "killed by SIGKILL"
    assert told["below"].startswith("exit code 139 (usually SIGSEGV: ")
    assert told["pipe"].startswith("exit code 141 (usually SIGPIPE: a command wrote to a pipe")
    assert told["missing"] == "exit code 127 (usually: a command was not found)"
    assert told["plain"] == "exit code 3"
    crash = Process("why", "segv", cwd=tmp_path, env=env)
    assert crash.wait() == 0
    assert "memory ran out" not in crash.out
    assert "flowq did not send this signal" in crash.out
    killed = Process("why", "kill", cwd=tmp_path, env=env)
    assert killed.wait() == 0
    assert "flowq did not send this signal: often the system does, when memory runs out" in killed.out
    for command in (("status",), ("status", "--failed"), ("why", "segv")):
        shown = Process(*command, cwd=tmp_path, env=env)
        assert shown.wait() == 0
        assert shown.out.count("next: ") == 1
    assert run.out.count("next: ") == 1


CANCELED = """
name: canceled
jobs:
  stubborn: {run: "trap '' TERM; touch started; sleep 60 & wait; wait"}
  again: {retry: {max: 2, interval: 60s}, run: "exit 1"}
  after: {depends_on: [stubborn], run: "true"}
"""


@pytest.mark.slow
def test_a_second_ctrl_c_says_what_became_of_the_jobs(tmp_path: Path, home: Path) -> None:
    (tmp_path / "canceled.yaml").write_text(CANCELED)
    env = {"FLOWQ_HOME": str(home)}
    run = Process("run", "canceled.yaml", "--workers", "2", cwd=tmp_path, env=env)
    run.expect("retrying  again")
    until((tmp_path / "started").exists, timeout=20)
    run.signal(signal.SIGINT)
    run.expect("canceling run")
    run.signal(signal.SIGINT)
    assert run.wait() == 130
    assert "running jobs are killed (1), and go back to their queues unless they are canceled" in run.err
    assert "jobs go back" not in run.err
    told = {}
    for job in ("stubborn", "again", "after"):
        why = Process("why", job, cwd=tmp_path, env=env)
        assert why.wait() == 0
        told[job] = why.out.splitlines()[1].strip()
    assert told == {
        "stubborn": "it had been started",
        "again": "it waited for its next attempt",
        "after": "it had not been started",
    }


def test_how_far_a_job_had_come() -> None:
    job = next(job for job in samples.failed_run().jobs if job.bad)
    assert progress(job) == "it was running"
    assert progress(replace(job, attempts=0)) == "it had been started"
    assert progress(replace(job, outcome="retried")) == "it waited for its next attempt"
    assert progress(replace(job, started_ms=None)) == "it had not been started"
    node = samples.node("build", 3)
    over = replace(job, status=JobStatus.FAILED, reason=Reason.RUN_TIMEOUT)
    assert failure(over, node, run_timeout=60)[0] == "the run took longer than its timeout of 1m"
    assert failure(replace(over, started_ms=None), node)[0].endswith("; it had not been started")


HANDLED = """
name: handled
jobs:
  a: {run: "test ! -e bad"}
on_success: {good: {run: "echo fine"}}
on_failure: {page: {run: "echo paged"}}
on_cancel: {tidy: {run: "echo tidied"}}
"""


@pytest.mark.slow
def test_handlers_for_another_outcome_are_not_told_as_skipped(tmp_path: Path, home: Path) -> None:
    (tmp_path / "handled.yaml").write_text(HANDLED)
    env = {"FLOWQ_HOME": str(home)}
    for bad, code, ran in ((False, 0, "on_success/good"), (True, 1, "on_failure/page")):
        if bad:
            (tmp_path / "bad").touch()
        run = Process("run", "handled.yaml", cwd=tmp_path, env=env)
        assert run.wait() == code
        assert f"finished  {ran}" in run.out
        assert "not selected" not in run.out
        assert re.search(r"^4 jobs: .*, 2 handlers not needed$", run.out, re.MULTILINE)
        assert re.findall(r"↷ .*", run.out) == []
        status = Process("status", cwd=tmp_path, env=env)
        assert status.wait() == 0
        assert "not selected" not in status.out
        assert re.search(r"on_cancel/tidy +skipped +only when the run is canceled", status.out)


@pytest.mark.slow
def test_a_shebang_without_effect_is_told(tmp_path: Path, home: Path) -> None:
    (tmp_path / "hash.yaml").write_text('name: hash\njobs:\n  a: {run: "#!/usr/bin/env python3\\nprint(1)"}\n')
    env = {"FLOWQ_HOME": str(home)}
    checked = Process("validate", "hash.yaml", cwd=tmp_path, env=env)
    assert checked.wait() == 0
    assert "warning[FQ506]" in checked.out
    assert "`shell: python3`" in checked.out
    (tmp_path / "hash.yaml").write_text(
        'name: hash\njobs:\n  a: {shell: python3, run: "#!/usr/bin/env python3\\nprint(1 + 41)"}\n'
    )
    run = Process("run", "hash.yaml", cwd=tmp_path, env=env)
    assert run.wait() == 0
    assert "a | 42" in run.out
    assert run.err == ""
